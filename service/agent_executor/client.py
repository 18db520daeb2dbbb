"""A job from outside, over HTTP: submit, watch, cancel. What the command line does, and an application would."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from agent_executor.api.links import job_path

TYPE = "dev.my-platform.agent.execute"
SOURCE = "agent-executor-cli"
STRUCTURED = "application/cloudevents+json"
SECONDS = 30.0
RECONNECTS = 30  # in a row
PAUSE_SECONDS = 0.5
AWAY = 503  # of a service that starts, stops or misses its database
TROUBLE = (httpx.TransportError,)


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
        headers = {b"Authorization": f"Bearer {self.token}".encode()} if self.token else {}
        # No proxy of the environment: the token is for this service alone.
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)
        except httpx.InvalidURL as error:
            raise ClientError(f"{self.url[:80]}: is no address: {error}") from None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, definition: dict[str, Any], payload: dict[str, Any], *, job_id: str | None = None) -> str:
        """Hand in a job; returns its id once JetStream has it."""
        name = job_id or f"job-{uuid.uuid4()}"
        data = {
            "trace_id": uuid.uuid4().hex,
            "job_id": name,
            "agent_definition": definition,
            "input_payload": payload,
        }
        event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": SOURCE, "type": TYPE, "data": data}
        body = json.dumps(event).encode()
        self._call("POST", "/", content=body, headers={"Content-Type": STRUCTURED})
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
                raise ClientError(f"{self.url}: {trouble}")
            time.sleep(PAUSE_SECONDS)

    def job(self, job_id: str) -> dict[str, Any]:
        """One job, as the API shows it."""
        found: dict[str, Any] = self._call("GET", job_path(job_id)).json()
        return found

    def result(self, job_id: str) -> Any:
        """What a completed job came to."""
        return self._call("GET", f"{job_path(job_id)}/result").json()["result"]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the end of a job; returns the job."""
        found: dict[str, Any] = self._call("DELETE", job_path(job_id)).json()
        return found

    def _events(self, job_id: str, after: int) -> Iterator[dict[str, Any]]:
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self._http.stream("GET", f"{job_path(job_id)}/events", headers=headers) as answer:
            if answer.status_code == AWAY:
                return
            if not answer.is_success:
                answer.read()
                raise ClientError(_problem(answer))
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except TROUBLE as error:
            raise ClientError(f"{self.url}: no connection ({type(error).__name__})") from None
        if not answer.is_success:
            raise ClientError(_problem(answer))
        return answer


def _problem(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}: not an answer of this service; is the address right?"
