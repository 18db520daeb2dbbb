"""A job from outside, over HTTP: submit, watch, cancel. What the command line does, and an application would."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import httpx

TYPE = "dev.my-platform.agent.execute"
SOURCE = "agent-executor-cli"
STRUCTURED = "application/cloudevents+json"
SECONDS = 30.0
RECONNECTS = 20
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
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        # No proxy of the environment: the token is for this service alone.
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)

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
        """A job's events until `end`; a connection that breaks is made again where it broke."""
        for left in reversed(range(RECONNECTS)):
            try:
                for message in self._events(job_id, after):
                    after = message["seq"]
                    yield message
                    if message["event_type"] == "end":
                        return
            except TROUBLE as error:
                if not left:
                    raise ClientError(f"{self.url}: no connection ({type(error).__name__})") from None

    def job(self, job_id: str) -> dict[str, Any]:
        """One job, as the API shows it."""
        found: dict[str, Any] = self._call("GET", _path(job_id)).json()
        return found

    def result(self, job_id: str) -> Any:
        """What a completed job came to."""
        return self._call("GET", f"{_path(job_id)}/result").json()["result"]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask for the end of a job; returns the job."""
        found: dict[str, Any] = self._call("DELETE", _path(job_id)).json()
        return found

    def _events(self, job_id: str, after: int) -> Iterator[dict[str, Any]]:
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self._http.stream("GET", f"{_path(job_id)}/events", headers=headers) as answer:
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


def _path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _problem(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}: not an answer of this service; is the address right?"
