"""What arrives, in every form that publishers really send it: structured, binary, or a bare JobExecutionEvent.

Contract section 4. The received bytes are kept as they came; nothing here re-serialises them. Whatever is wrong becomes
one `Malformed`, which names the place and what would be right, carries the job id that its failed event will have, and
never quotes the payload.
"""

import base64
import binascii
import hashlib
import json as lenient
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from agent_executor.errors import PermanentError
from agent_executor.models import definition as definitions
from agent_executor.models.events import JobCancelEvent, JobExecutionEvent, JobResumeEvent, Name, allowed
from agent_executor.models.jobs import NewJob
from agent_executor.services import json
from agent_executor.services.headers import Fault, check_charset, check_json_type, decode, media_type, read, safe, trace

PREFIX = "dev.my-platform.agent."
STRUCTURED = "application/cloudevents+json"
Kind = Literal["execute", "resume", "cancel"]
_MODELS: dict[Kind, type[JobExecutionEvent | JobResumeEvent | JobCancelEvent]] = {
    "execute": JobExecutionEvent,
    "resume": JobResumeEvent,
    "cancel": JobCancelEvent,
}
_KINDS: dict[str, Kind] = {PREFIX + "resume": "resume", PREFIX + "cancel": "cancel"}
M = TypeVar("M", bound=BaseModel)
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Incoming:
    """One good event: what it asks for, and everything needed to keep or forward it as it came."""

    kind: Kind
    event: JobExecutionEvent | JobResumeEvent | JobCancelEvent
    id: str
    type: str
    source: str
    traceparent: str | None
    tracestate: str | None
    body: bytes
    headers: Mapping[str, str]
    subject: str | None

    @property
    def job_id(self) -> str:
        """The job that is meant."""
        return self.event.job_id


class Malformed(PermanentError):  # noqa: N818  # what the event is
    """An event that can never run. `job_id` is its own, else the event's id, else the payload's digest."""

    def __init__(self, reason: str, *, job_id: str, traceparent: str | None = None) -> None:
        super().__init__("invalid_event", reason)
        self.job_id = job_id
        self.traceparent = traceparent


def parse(
    body: bytes, headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]], subject: str | None = None
) -> Incoming:
    """One event from a message's headers or a request's raw ones, in any letter case. Raises `Malformed`."""
    lower: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    data: Any = None
    try:
        lower = read(headers)
        for attributes, data in _read(body, lower):  # noqa: B007  # what was read so far names the job of a fault
            pass
        kind = _KINDS.get(attributes["type"], "execute")
        event = _model(_MODELS[kind], data)
    except Fault as fault:
        job_id = _job_id(body, attributes, data)
        raise Malformed(str(fault), job_id=job_id, traceparent=_trace(attributes, lower)[0]) from None
    traceparent, tracestate = _trace(attributes, lower)
    return Incoming(
        kind=kind,
        event=event,
        id=attributes["id"] or event.job_id,
        type=attributes["type"],
        source=attributes["source"],
        traceparent=traceparent,
        tracestate=tracestate,
        body=body,
        headers=lower,
        subject=subject,
    )


def _read(body: bytes, headers: Mapping[str, str]) -> Iterable[tuple[dict[str, Any], Any]]:
    """Attributes and data, each as soon as it is known, so that a fault in the next step still has a job id."""
    content_type = headers.get("content-type", "")
    kind = media_type(content_type)
    if kind.startswith("application/cloudevents") and kind != STRUCTURED:
        raise Fault(f"content-type: is not an event format taken here, and would be right as {STRUCTURED}")
    if kind != STRUCTURED and any(name.startswith("ce-") for name in headers):
        yield from _binary(body, headers, content_type)
        return
    check_charset("content-type", content_type)
    value = _json("body", body)
    if not isinstance(value, dict):
        raise Fault("body: is not an object, and would be right as a CloudEvent or a JobExecutionEvent")
    if kind == STRUCTURED or "specversion" in value or ("job_id" not in value and "data" in value):
        yield from _structured(value)
    else:
        yield {"id": None, "type": "", "source": ""}, value


def _binary(body: bytes, headers: Mapping[str, str], content_type: str) -> Iterable[tuple[dict[str, Any], Any]]:
    given = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    attributes: dict[str, Any] = {}
    for name, value in sorted(given.items(), key=lambda item: item[0] != "id"):  # the id first: it may name the job
        attributes[name] = decode(name, value)
        yield attributes, None
    _check_attributes(attributes, place="ce-")
    check_json_type("content-type", content_type or attributes.get("datacontenttype") or "")
    yield attributes, _json("body", body)


def _structured(value: dict[str, Any]) -> Iterable[tuple[dict[str, Any], Any]]:
    attributes = {
        name: item for name, item in value.items() if item is not None and name not in ("data", "data_base64")
    }
    data, encoded = value.get("data"), value.get("data_base64")
    yield attributes, data
    _check_attributes(attributes, place="")
    if data is not None and encoded is not None:
        raise Fault("data: is given twice, and would be right as data or data_base64")
    check_json_type("datacontenttype", attributes.get("datacontenttype", ""))
    if encoded is not None:
        yield attributes, _json("data_base64", _base64(encoded))


def _check_attributes(attributes: dict[str, Any], *, place: str) -> None:
    if attributes.get("specversion") != "1.0":
        raise Fault(f"{place}specversion: {_lack(attributes, 'specversion')}, and would be right as 1.0")
    for name in ("id", "source", "type"):
        if not isinstance(attributes.get(name), str) or not attributes[name].strip():
            raise Fault(f"{place}{name}: {_lack(attributes, name)}, and would be right as a non-blank string")
    for name, value in attributes.items():
        if isinstance(value, dict | list | float) or (name in _TEXTS and (not isinstance(value, str) or not value)):
            raise Fault(f"{place}{safe(name)}: is not an attribute's value, and would be right as a string")
        if isinstance(value, str) and not allowed(value):
            raise Fault(f"{place}{safe(name)}: has a character that CloudEvents forbids")
    if "time" in attributes and not _TIME.fullmatch(attributes["time"]):
        raise Fault(f"{place}time: is not a timestamp, and would be right as RFC 3339 has it")


_TEXTS = {"subject", "time", "dataschema", "datacontenttype"}


def _lack(attributes: dict[str, Any], name: str) -> str:
    return "is not right" if attributes.get(name) else "is missing"


def _base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Fault("data_base64: is not base64, and would be right as a string of it") from None


def _json(place: str, body: bytes) -> Any:
    try:
        return json.parse(body)
    except json.NotJson as error:
        raise Fault(f"{place}: {error}, and would be right as one JSON object in UTF-8") from None


def _model(model: type[M], data: Any) -> M:
    if not isinstance(data, dict):
        raise Fault(f"data: is {'missing' if data is None else 'not an object'}, and would be right as an object")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Fault(_complaint(error)) from None


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = f"data.{first['loc'][0]}"
    if first["type"] == "value_error":
        return f"{place}: {first['ctx']['error']}"
    wants = {"dict_type": "an object", "string_type": "a non-blank string", "string_too_long": "a shorter string"}
    what = "is missing" if first["type"] == "missing" else "is of the wrong kind"
    right = wants.get(first["type"]) or ("an object" if place.endswith(("definition", "payload")) else "a string")
    return f"{place}: {what}, and would be right as {right}"


def _job_id(body: bytes, attributes: Mapping[str, Any], data: Any) -> str:
    """The caller's own name for the job wherever one can be read, so that the caller learns of the failure."""
    salvaged = data if isinstance(data, dict) else _salvage(body)
    inner = salvaged.get("data")
    for found in (salvaged.get("job_id"), inner.get("job_id") if isinstance(inner, dict) else None,
                  attributes.get("id"), salvaged.get("id")):  # fmt: skip
        try:
            return _NAME.validate_python(found)
        except ValidationError:
            continue
    return _digest(body)


def _salvage(body: bytes) -> dict[str, Any]:
    """What a forgiving parser reads in a body that ours refused (NaN, duplicate keys, NUL)."""
    try:
        value = lenient.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _trace(attributes: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The publisher's trace: the extension first, because it travelled with the event; then the message's header."""
    parent, state = trace(attributes.get("traceparent"), attributes.get("tracestate"))
    return (parent, state) if parent else trace(headers.get("traceparent"), headers.get("tracestate"))


def new_job(incoming: Incoming, event: JobExecutionEvent) -> NewJob:
    """The job that an execute event asks for."""
    return NewJob(
        job_id=event.job_id,
        trace_id=event.trace_id,
        received=incoming.body,
        headers=incoming.headers,
        subject=json.clean(incoming.subject or "http"),  # a server takes a NUL in it
        definition=event.agent_definition,
        definition_hash=definitions.digest(event.agent_definition),
        input=event.input_payload,
        traceparent=incoming.traceparent,
        tracestate=incoming.tracestate,
    )
