"""How a job's end is told: CloudEvents on `<prefix>.status.*`, contract section 6.

Everything about an event follows from the job and its outcome, its id above all (`<job_id>/completed`), so telling the
same end twice is one message in JetStream. No stack trace, no secret and no value that JSON cannot hold gets out. An
event above the server's `max_payload` carries a reference to the API in place of its data.
"""

import dataclasses
import datetime
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent_executor.errors import JobError
from agent_executor.models.jobs import Event
from agent_executor.services import json
from agent_executor.services.cloudevents import PREFIX, STRUCTURED
from agent_executor.services.headers import trace
from agent_executor.settings import Settings

SOURCE = "agent-executor-service"
MESSAGE_LIMIT = 2000  # characters of an error's message on the wire
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


@dataclass(frozen=True)
class Origin:
    """Whose end is told, and in which trace."""

    job_id: str
    traceparent: str | None = None
    tracestate: str | None = None


class Results:
    """Makes the events of one tenant; sends nothing."""

    def __init__(self, settings: Settings, max_payload: Callable[[], int]) -> None:
        self._subject = settings.subject
        self._public_url = settings.public_url
        self._max_payload = max_payload

    def completed(self, origin: Origin, result: Any) -> Event:
        """The job did what it was asked; a result that is too large is fetched from `/jobs/{id}/result`."""
        return self._event(origin, "completed", {"result": result})

    def failed(self, origin: Origin, error: Mapping[str, Any]) -> Event:
        """The job will not be tried again; `error` is `describe`'s."""
        return self._event(origin, "failed", {"error": dict(error)})

    def refused(self, origin: Origin, error: Mapping[str, Any], received: bytes) -> Event:
        """An event, of this body, never became a job's.

        The outcome of the job that it names, if that is known or asked for rightly later, is no duplicate of this one.
        """
        which = hashlib.sha256(f"{error['message']}\0".encode() + received).hexdigest()[:16]
        return self._event(origin, "failed", {"error": dict(error)}, name=f"refused/{which}")

    def cancelled(self, origin: Origin) -> Event:
        """Somebody asked for the end of the job."""
        return self._event(origin, "cancelled", {})

    def interrupted(self, origin: Origin, interrupts: Any, *, ordinal: int) -> Event:
        """The job waits for people; a job can do so many times, and `ordinal` (from 1) says which time it is."""
        return self._event(origin, "interrupted", {"interrupts": interrupts}, name=f"interrupted/{ordinal}")

    def _event(self, origin: Origin, outcome: str, data: Mapping[str, Any], *, name: str = "") -> Event:
        id_ = f"{origin.job_id}/{name or outcome}"
        attributes = {
            "specversion": "1.0",
            "id": id_,
            "source": SOURCE,
            "type": PREFIX + outcome,
            "subject": origin.job_id,
            "time": datetime.datetime.now(datetime.UTC).isoformat(),
            "datacontenttype": "application/json",
        }
        headers = {"Nats-Msg-Id": header_value(id_), "Content-Type": STRUCTURED}
        _add_trace(attributes, headers, origin.traceparent, origin.tracestate)
        payload = json.dump({**attributes, "data": {"job_id": origin.job_id, **data}})
        room = self._max_payload() - sum(len(name) + len(value) + 4 for name, value in headers.items()) - 64
        if len(payload) > room:
            payload = _reference(attributes, self._public_url)
        return Event(id_, origin.job_id, self._subject("status", outcome), payload, headers)


def referred(event: Event, public_url: str | None) -> Event:
    """An event of ours that became too large: its data are left out, and what is no trace by today's rules."""
    told = json.parse(event.payload)
    parent, state = told.pop("traceparent", None), told.pop("tracestate", None)
    attributes = {name: value for name, value in told.items() if name != "data"}
    headers = {name: value for name, value in event.headers.items() if name != "traceparent"}
    _add_trace(attributes, headers, parent, state)
    return dataclasses.replace(event, payload=_reference(attributes, public_url), headers=headers)


def _add_trace(attributes: dict[str, Any], headers: dict[str, str], parent: object, state: object) -> None:
    parent, state = trace(parent, state)
    if parent:
        attributes["traceparent"] = headers["traceparent"] = parent
    if state:
        attributes["tracestate"] = state


def _reference(attributes: Mapping[str, Any], public_url: str | None) -> bytes:
    # https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md
    path = f"/jobs/{quote(attributes['subject'], safe='')}"
    if attributes["type"] == PREFIX + "completed":
        path += "/result"
    return json.dump({**attributes, "dataref": (public_url or "").rstrip("/") + path})


def describe(error: JobError, attempts: int) -> dict[str, Any]:
    """An error as it goes on the wire and into the job's row."""
    message = error.message if len(error.message) <= MESSAGE_LIMIT else error.message[: MESSAGE_LIMIT - 1] + "…"
    return {"type": error.type, "message": json.clean(message), "retryable": error.retryable, "attempts": attempts}


def header_value(text: str) -> str:
    """Any text as a NATS header's value, different for different texts: anything but printable ASCII percent-encoded.

    NATS clients cut blanks off both ends and write what is not ASCII as they please, and a job id may hold both.
    """
    return quote(text, safe=_PRINTABLE)
