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

from agent_executor import version
from agent_executor.api.guard import OPEN
from agent_executor.api.problems import Problem, phrase
from agent_executor.models.events import MAX_JOB_ID, JobExecutionEvent

ABOUT: dict[str, Any] = {
    "title": "agent-executor",
    "version": version(),
    "summary": "Agent jobs in, results out, none lost.",
    "description": "Takes agent jobs as CloudEvents, runs them as LangGraph agents and tells how they ended.",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
FORBIDDEN = r"\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"  # control characters and noncharacters
TEXT_PATTERN = rf"^[^{FORBIDDEN}]*$"
# What `models.events.Name` allows: the same, and not blank.
NAME_PATTERN = rf"^[^{FORBIDDEN}]*[^\s{FORBIDDEN}][^{FORBIDDEN}]*$"
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
    schemas["JobExecutionEvent"] = _job()
    schemas["CloudEvent"] = _envelope()
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


def _job() -> dict[str, Any]:
    schema = JobExecutionEvent.model_json_schema()
    for name in ("job_id", "trace_id"):
        schema["properties"][name] |= {"minLength": 1, "pattern": NAME_PATTERN if name == "job_id" else r"\S"}
    schema["properties"]["job_id"]["maxLength"] = MAX_JOB_ID
    return schema


def _envelope() -> dict[str, Any]:
    """The shape of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md."""
    text = {"type": "string", "minLength": 1, "pattern": NAME_PATTERN}
    return {
        "type": "object",
        "description": "A CloudEvent 1.0 in structured mode; binary mode has the attributes in `ce-` headers.",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": text,
            "data": {"$ref": "#/components/schemas/JobExecutionEvent"},
        },
        "additionalProperties": {
            "type": ["string", "integer", "boolean", "null"],
            "pattern": TEXT_PATTERN,
            "description": "An extension; null is unset.",
        },
    }


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
    takes = ", ".join(operation.get("requestBody", {}).get("content", ()))
    return (
        f"<section><h2><b>{verb.upper()}</b> <code>{escape(path)}</code></h2>"
        f"<p>{_prose(operation.get('description', ''))}</p>"
        + (f"<p>Takes <code>{escape(takes)}</code></p>" if takes else "")
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
