"""The OpenAPI document, and a page of it that needs no internet.

FastAPI writes what it knows from the routes; here is what it cannot know: the bodies that `POST /` reads by itself, the
problem that every error is, and the token.
"""

import re
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from agent_executor import version
from agent_executor.api.guard import OPEN
from agent_executor.api.problems import Problem, phrase
from agent_executor.models.events import MAX_JOB_ID, JobCancelEvent, JobExecutionEvent, JobResumeEvent
from agent_executor.services.cloudevents import PREFIX

ABOUT: dict[str, Any] = {
    "title": "agent-executor",
    "version": version(),
    "summary": "Agent jobs in, results out, none lost.",
    # What describes itself is no operation of the document's: nobody makes a client of a page.
    "description": "Takes agent jobs as CloudEvents, runs them as LangGraph agents and tells how they ended. "
    "This document is `GET /openapi.json`, and `GET /docs` as a page.",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
FORBIDDEN = r"\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"  # control characters and noncharacters
TEXT_PATTERN = rf"^[^{FORBIDDEN}]*$"
# What `models.events.Name` allows: the same, and not blank.
NAME_PATTERN = rf"^[^{FORBIDDEN}]*[^\s{FORBIDDEN}][^{FORBIDDEN}]*$"
TEXT = {"type": "string", "minLength": 1, "pattern": NAME_PATTERN}
TIME_PATTERN = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"
JSON_PATTERN = r"^(application|text)/(json|[a-z0-9!#$&^_.+-]+\+json)$"
BASE64_PATTERN = r"^[A-Za-z0-9+/]+={0,2}$"
KINDS: dict[type[BaseModel], str] = {JobResumeEvent: f"{PREFIX}resume", JobCancelEvent: f"{PREFIX}cancel"}
"""The types of CloudEvents that ask for something else than a job."""
BODY = (
    "A CloudEvent in structured mode, or a `JobExecutionEvent` without an envelope. In binary mode the body is the "
    "data alone, with a JSON content type, and the attributes are headers, percent-encoded or not: `ce-specversion` "
    "(`1.0`), `ce-id`, `ce-source` and `ce-type`, all four, and others such as `ce-subject` or `ce-traceparent`."
)
"""In words: as parameters of the operation, the four headers would be free to come one without the others."""
router = APIRouter()


def complete(app: FastAPI, *, token: bool) -> None:
    """Make `app.openapi()` the whole truth."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app, token=token)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _document(app: FastAPI, *, token: bool) -> dict[str, Any]:
    document = get_openapi(routes=app.routes, **ABOUT)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # ours are problems, with status 400
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    schemas |= _events()
    document["paths"]["/"]["post"]["requestBody"]["description"] = BODY
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            for status, answer in operation["responses"].items():
                if answer["description"] == "Successful Response":  # FastAPI's, for every answer
                    answer["description"] = phrase(int(status))
            if token and path not in OPEN:
                operation["security"] = [{"token": []}]
            else:
                operation["responses"].pop("401", None)
    if token:
        scheme = {"type": "http", "scheme": "bearer", "description": "AGENT_EXECUTOR_API_TOKEN"}
        document["components"]["securitySchemes"] = {"token": scheme}
    return document


def _events() -> dict[str, Any]:
    """What `POST /` takes, by the names of the schemas: the data of three kinds of events, and their envelopes."""
    models: list[type[BaseModel]] = [JobExecutionEvent, *KINDS]
    data = {model.__name__: _data(model) for model in models}
    types: dict[str, Any] = {model.__name__: {"const": kind} for model, kind in KINDS.items()}
    types[JobExecutionEvent.__name__] = {**TEXT, "not": {"enum": list(KINDS.values())}}
    envelopes = {f"{name}Envelope": _envelope(name, types[name]) for name in data}
    says = f"`{KINDS[JobResumeEvent]}` answers, `{KINDS[JobCancelEvent]}` cancels, and every other one asks for a job."
    one = {
        "description": "A CloudEvent 1.0 in structured mode; binary mode has the attributes in `ce-` headers. One of "
        + ", ".join(f"`{name}`" for name in envelopes)
        + ".",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {**TEXT, "description": says}},
        "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in envelopes],
    }
    return {**data, **envelopes, "CloudEvent": one}


def _data(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("$defs", None)  # of one type alone: anything
    fields = schema["properties"]
    for field in fields.values():
        field.pop("$ref", None)
    fields["job_id"] |= {"minLength": 1, "pattern": NAME_PATTERN, "maxLength": MAX_JOB_ID}
    fields["trace_id"].get("anyOf", [fields["trace_id"]])[0].update(minLength=1, pattern=r"\S")
    return schema


def _envelope(name: str, type_: dict[str, Any]) -> dict[str, Any]:
    """The shape of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md."""
    data = {"$ref": f"#/components/schemas/{name}"}
    encoding = {"contentEncoding": "base64", "contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "description": f"A CloudEvent that has a `{name}` as its data, or the base64 of its JSON.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": TEXT,
            "source": TEXT,
            "type": type_,
            "subject": _or_null(TEXT_PATTERN),
            "time": _or_null(TIME_PATTERN),
            "datacontenttype": _or_null(JSON_PATTERN),
            "dataschema": _or_null(TEXT_PATTERN),
            "data": {"anyOf": [data, {"type": "null"}]},
            "data_base64": _or_null(BASE64_PATTERN, **encoding),
        },
        "oneOf": [
            {"required": ["data"], "properties": {"data": {"type": "object"}}},
            {"required": ["data_base64"], "properties": {"data_base64": {"type": "string"}}},
        ],
        "additionalProperties": {
            "type": ["string", "integer", "boolean", "null"],
            "pattern": TEXT_PATTERN,
            "description": "An extension; null is unset.",
        },
    }


def _or_null(pattern: str, **more: Any) -> dict[str, Any]:
    """A text that may be left unset by null."""
    return {"anyOf": [{"type": "string", "minLength": 1, "pattern": pattern, **more}, {"type": "null"}]}


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The document as a page, made here: a pod that may only reach its databases cannot load one from elsewhere."""
    document = request.app.openapi()
    parts = [_operation(verb, path, each) for path, verbs in document["paths"].items() for verb, each in verbs.items()]
    title = f"{document['info']['title']} {document['info']['version']}"
    return HTMLResponse(
        _PAGE.format(title=escape(title), about=escape(ABOUT["description"]), operations="".join(parts))
    )


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{_prose(each.get('description') or each['schema'].get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(', '.join(each.get('content', {})))}</td>"
        f"<td>{_prose(each['description'])}</td></tr>"
        for status, each in sorted(operation["responses"].items())
    )
    body = operation.get("requestBody", {})
    takes = ", ".join(body.get("content", ()))
    return (
        f"<section><h2><b>{verb.upper()}</b> <code>{escape(path)}</code></h2>"
        f"<p>{_prose(operation.get('description', ''))}</p>"
        + (f"<p>Takes <code>{escape(takes)}</code>. {_prose(body.get('description', ''))}</p>" if takes else "")
        + (f"<table><tr><th>parameter</th><th>in</th><th></th></tr>{parameters}</table>" if parameters else "")
        + f"<table><tr><th>answer</th><th>as</th><th></th></tr>{answers}</table></section>"
    )


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}}
section{{border-top:1px solid #d0d7de;margin-top:2rem}} h2{{font-size:1.15rem}} h2 b{{color:#0550ae}}
table{{border-collapse:collapse;margin:.5rem 0 1rem;width:100%}} td,th{{text-align:left;padding:.25rem .75rem .25rem 0;
vertical-align:top;border-bottom:1px solid #eaeef2}} code{{font-family:ui-monospace,monospace;font-size:.9em}}
@media (prefers-color-scheme:dark){{body{{color:#e6edf3;background:#0d1117}}h2 b{{color:#79c0ff}}
td,th,section{{border-color:#30363d}}}}
</style></head><body><h1>{title}</h1><p>{about} For machines: <a href="openapi.json">openapi.json</a>.</p>
{operations}</body></html>
"""
