"""A job from outside, over HTTP: submit, watch, cancel. What the command line does, and an application would."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from agent_executor.addresses import printable
from agent_executor.api.links import job_path

TYPE = "dev.my-platform.agent.execute"
SOURCE = "agent-executor-cli"
STRUCTURED = "application/cloudevents+json"
SECONDS = 30.0
RECONNECTS = 30  # in a row
PAUSE_SECONDS = 0.5
AWAY = 503  # of a service that starts, stops or misses its database
TROUBLE = (httpx.TransportError,)
STREAM = "text/event-stream"
STRANGER = "not an answer of this service; is the address right?"


class ClientError(Exception):
    """The service is not there, or says no: one line that says why."""


@dataclass
class Client:
    """One service; a context manager."""

    url: str
    token: str | None = None
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Connect to nothing yet."""
        # An argument that is not UTF-8 has surrogates, which stand for its bytes.
        headers = {b"Authorization": f"Bearer {self.token}".encode(errors="surrogateescape")} if self.token else {}
        # No proxy of the environment: the token is for this service alone.
        try:
            known = httpx.URL(self.url)
        except httpx.InvalidURL:  # whose text may have a part of a password
            known = httpx.URL()
        if known.scheme not in ("http", "https") or not known.host or (known.port or 80) > 65535:
            raise ClientError(f"{printable(self.url)[:80]}: is no address, and would be right as http://HOST:PORT")
        self._http = httpx.Client(base_url=known, headers=headers, timeout=SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, definition: dict[str, Any], payload: dict[str, Any], *, job_id: str | None = None) -> str:
        """Hand in a job; returns its id once JetStream has it."""
        name = f"job-{uuid.uuid4()}" if job_id is None else job_id
        data = {
            "trace_id": uuid.uuid4().hex,
            "job_id": name,
            "agent_definition": definition,
            "input_payload": payload,
        }
        event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": SOURCE, "type": TYPE, "data": data}
        body = json.dumps(event).encode()
        self._call("POST", "/", "job_id", content=body, headers={"Content-Type": STRUCTURED})
        return name

    def watch(self, job_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """A job's events until `end`; a connection that breaks, or a service that restarts, costs none of them."""
        failures = 0
        while True:
            trouble = "the service is away"
            try:
                for message in self._events(job_id, after):
                    failures, after = 0, message["seq"]
                    yield message
                    if message["event_type"] == "end":
                        return
            except TROUBLE as error:
                trouble = f"no connection ({type(error).__name__})"
            failures += 1
            if failures > RECONNECTS:
                raise ClientError(f"{printable(self.url)}: {trouble}")
            time.sleep(PAUSE_SECONDS)

    def job(self, job_id: str) -> dict[str, Any]:
        """One job, as the API shows it."""
        return self._call("GET", job_path(job_id), "state")

    def result(self, job_id: str) -> Any:
        """What a completed job came to."""
        return self._call("GET", f"{job_path(job_id)}/result", "result")["result"]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the end of a job; returns the job."""
        return self._call("DELETE", job_path(job_id), "state")

    def _events(self, job_id: str, after: int) -> Iterator[dict[str, Any]]:
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self._http.stream("GET", f"{job_path(job_id)}/events", headers=headers) as answer:
            if answer.status_code == AWAY:
                return
            if not answer.is_success:
                raise ClientError(_problem(answer))
            if not answer.headers.get("content-type", "").startswith(STREAM):
                raise ClientError(_stranger(answer))
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield _message(answer, line.removeprefix("data: "))

    def _call(self, method: str, path: str, wanted: str, **options: Any) -> dict[str, Any]:
        """An answer of the service, which has the member `wanted`: anything may listen at an address, and say 200."""
        try:
            with self._http.stream(method, path, **options) as answer:
                if not answer.is_success:
                    raise ClientError(_problem(answer))
                found = _json(answer)
        except TROUBLE as error:
            raise ClientError(f"{printable(self.url)}: no connection ({type(error).__name__})") from None
        if not isinstance(found, dict) or wanted not in found:
            raise ClientError(_stranger(answer))
        return found


def _json(answer: httpx.Response) -> Any:
    try:
        answer.read()
        return answer.json()
    except (ValueError, RecursionError, httpx.DecodingError):
        return None


def _message(answer: httpx.Response, text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict) and {"seq", "event_type", "data"} <= found.keys():
            return found
    raise ClientError(_stranger(answer))


def _problem(answer: httpx.Response) -> str:
    found = _json(answer)
    detail = found.get("detail") if isinstance(found, dict) else None
    return f"{answer.status_code}: {detail}" if detail else _stranger(answer)


def _stranger(answer: httpx.Response) -> str:
    return f"{answer.status_code}: {STRANGER}"
