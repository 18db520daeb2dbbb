"""What the document says of events is what `POST /` takes: each shape is tried on both."""

import base64
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agent_executor.api.main import create_app
from agent_executor.services import cloudevents
from agent_executor.services.cloudevents import PREFIX, STRUCTURED, Malformed
from tests.support.graphs import ECHO, agent, configured
from tests.support.runtime import job

ENVELOPE = {"specversion": "1.0", "id": "1", "source": "s", "type": f"{PREFIX}execute"}
RESUME, CANCEL = {"type": f"{PREFIX}resume"}, {"type": f"{PREFIX}cancel"}
JOB = job(agent(ECHO))
REF = {"job_id": "j"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(configured()).openapi()


def encoded(data: object) -> dict[str, str]:
    return {"data_base64": base64.b64encode(json.dumps(data).encode()).decode()}


RIGHT: dict[str, dict[str, Any]] = {
    "a job": {"data": JOB},
    "a job of another type": {"type": "com.example.made", "data": JOB},
    "a job in base64": encoded(JOB),
    "an answer": {**RESUME, "data": {**REF, "resume": [1, None, {"a": "b"}]}},
    "an answer of nothing": {**RESUME, "data": {**REF, "trace_id": None, "resume": None}},
    "an answer in base64": {**RESUME, **encoded({**REF, "resume": "yes"})},
    "a cancellation": {**CANCEL, "data": {**REF, "trace_id": "t", "reason": "late"}},
    "a cancellation in base64": {**CANCEL, **encoded(REF)},
    "unset data": {"data": None, **encoded(JOB)},
    "unset base64": {"data": JOB, "data_base64": None},
    "every attribute": {
        "data": JOB,
        "subject": "j",
        "time": "2026-01-01T00:00:00.5Z",
        "datacontenttype": "application/vnd.x+json",
        "dataschema": "https://example.com/s",
        "traceparent": "00-x",
        "count": 1,
    },
    "unset attributes": {"data": JOB, "subject": None, "time": None, "other": None},
}
WRONG: dict[str, dict[str, Any]] = {
    "no data": {},
    "no data of an answer": RESUME,
    "no data but null": {"data": None, "data_base64": None},
    "data twice": {"data": JOB, **encoded(JOB)},
    "base64 of another alphabet": {"data_base64": "é==="},
    "base64 that is a number": {"data_base64": 5},
    "an answer where a job is asked for": {"data": {**REF, "resume": 1}},
    "an answer for nobody": {**RESUME, "data": {"resume": 1}},
    "a blank trace": {**RESUME, "data": {**REF, "trace_id": " "}},
    "a reason that is a book": {**CANCEL, "data": {**REF, "reason": "x" * 1001}},
    "a reason that is a number": {**CANCEL, "data": {**REF, "reason": 5}},
    "a cancellation of a list": {**CANCEL, "data": ["j"]},
    "another version": {"specversion": "0.3", "data": JOB},
    "a blank type": {"type": " ", "data": JOB},
    "an empty subject": {"subject": "", "data": JOB},
    "a time that is none": {"time": "yesterday", "data": JOB},
    "data that is said to be XML": {"datacontenttype": "text/xml", "data": JOB},
    "an extension that is an object": {"other": {}, "data": JOB},
}


@pytest.mark.parametrize(
    ("given", "right"),
    [*((each, True) for each in RIGHT.values()), *((each, False) for each in WRONG.values())],
    ids=[*RIGHT, *WRONG],
)
def test_the_document_and_the_service_take_the_same_events(
    document: dict[str, Any], given: dict[str, Any], *, right: bool
) -> None:
    event = ENVELOPE | given
    schema = {"$ref": "#/components/schemas/CloudEvent", "components": document["components"]}
    assert Draft202012Validator(schema).is_valid(event) is right
    try:
        cloudevents.parse(json.dumps(event).encode(), {"content-type": STRUCTURED})
    except Malformed:
        assert not right
    else:
        assert right


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for each in value for found in references(each)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert {"JobExecutionEvent", "JobResumeEvent", "JobCancelEvent"} <= names <= set(document["components"]["schemas"])


def test_the_body_says_what_binary_mode_is_and_the_document_where_its_page_is(document: dict[str, Any]) -> None:
    said = document["paths"]["/"]["post"]["requestBody"]["description"]
    assert all(f"`ce-{name}`" in said for name in ("specversion", "id", "source", "type", "subject", "traceparent"))
    assert all(place in document["info"]["description"] for place in ("`GET /docs`", "`GET /openapi.json`"))
