"""The service from the outside: a process of its own, talked to over NATS, HTTP and Redis pub/sub only.

`running(env, directory)` is one `agent-executor serve`, and ends with the block whatever the test did to it.
`watching(env)` is a publisher and reader of everything it says; what is in the streams is read by sequence, so nothing
is missed and nothing counted twice, also when NATS goes away and comes back.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import nats
import nats.errors
import nats.js.errors
import psycopg
import redis.asyncio
from nats.aio.client import Client
from nats.js.api import RawStreamMsg
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import Addresses, Database, NatsNames, _create, _drop, dsn, unique

T = TypeVar("T")
PROGRAM = Path(sys.executable).with_name("agent-executor")
START_SECONDS = 150.0  # on a machine where everybody starts something
TYPE = "dev.my-platform.agent."
NO_MESSAGE = 10037  # what NATS calls a sequence number at which there is nothing, where it has the stream
STRUCTURED = "application/cloudevents+json"
HURRY = {  # a killed process's jobs are free after two seconds
    "NATS_ACK_WAIT_SECONDS": "2",
    "JOB_LEASE_SECONDS": "2",
    "JOB_RETRY_DELAY_SECONDS": "0.2",
}


async def until(found: Callable[[], T | Awaitable[T]], seconds: float = 30.0, what: str = "so") -> T:
    """What `found` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not {what} within {seconds:g} s"
        await asyncio.sleep(0.02)


# -- processes


@dataclass
class Service:
    """One `agent-executor serve`."""

    env: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.env['HTTP_PORT']}"

    def get(self, path: str) -> httpx.Response | None:
        """The answer, None while nobody listens."""
        try:
            return httpx.get(self.url + path, timeout=10, trust_env=False)
        except httpx.TransportError:
            return None

    def is_ready(self) -> bool:
        answer = self.get("/ready")
        return answer is not None and answer.status_code == 200

    def wait(self) -> None:
        """Return once `/ready` says so."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()[-2000:]}"
            assert time.monotonic() < deadline, f"not ready within {START_SECONDS:g} s: {self.text()[-2000:]}"
            time.sleep(0.05)

    async def ready(self) -> None:
        await asyncio.to_thread(self.wait)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    async def ended(self, seconds: float = 30.0) -> int:
        """The exit status."""
        return await asyncio.to_thread(self.process.wait, seconds)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def lines(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """What it logged, only about one event if named; every line has to be a JSON object."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.endswith("}")]
        return [line for line in lines if event in (None, line["event"]) and fields.items() <= line.items()]

    def has(self, job_id: str) -> bool:
        """Whether this process took the job."""
        return bool(self.lines("job: taken", job_id=job_id))


def environment(env: Mapping[str, str], **changes: str) -> dict[str, str]:
    """A process's whole environment: ours, and of this one's only what a program needs to start."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, **env, **changes}


def start(env: Mapping[str, str], directory: Path, **changes: str) -> Service:
    """A process that starts; `wait` tells when it is ready. Each has a port and a log of its own."""
    given = environment(env, **{"HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(_free_port()), **changes})
    log = directory / f"{unique('service')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([PROGRAM, "serve"], env=given, stdout=output, stderr=subprocess.STDOUT)
    return Service(given, log, process)


@contextlib.contextmanager
def running(env: Mapping[str, str], directory: Path, count: int = 1, **changes: str) -> Iterator[list[Service]]:
    """Ready services, which are gone when the block ends, whether the test stopped them or not."""
    services = [start(env, directory, **changes) for _ in range(count)]
    try:
        for service in services:
            service.wait()
        yield services
    finally:
        for service in services:
            if service.process.poll() is None:
                service.terminate()
        for service in services:
            try:
                service.process.wait(20)
            except subprocess.TimeoutExpired:
                service.kill()


def migrate(env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The init container's program."""
    return subprocess.run([PROGRAM, "migrate"], env=environment(env), capture_output=True, text=True, check=False)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def tenant(servers: Addresses, template: Database) -> Iterator[dict[str, str]]:
    """The environment of services on a migrated database, streams and subjects of their own."""
    database, token = _create(servers, template.name), unique()
    names = NatsNames(f"EXEC_{token}", f"workers-{token}", f"STATUS_{token}", f"DEAD_{token}", token)
    shared = {"ALLOW_SCRIPTED_MODEL": "true", "LANGSMITH_TRACING": "false"}
    try:
        yield {**replace(servers, postgres=database.postgres).environment(), **names.environment(), **shared}
    finally:
        _drop(servers, database)
        # On a thread of its own: this one may have an event loop.
        cleaning = threading.Thread(target=lambda: asyncio.run(_delete_streams(servers.nats_url, names)))
        cleaning.start()
        cleaning.join()


async def _delete_streams(url: str, names: NatsNames) -> None:
    client = await nats.connect(url)
    for stream in (names.stream, names.status_stream, names.dead_letter_stream):
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await client.jetstream().delete_stream(stream)
    await client.close()


# -- what goes in


def job(definition: Mapping[str, Any], text: str = "hello", job_id: str | None = None) -> dict[str, Any]:
    """A bare JobExecutionEvent."""
    return {
        "trace_id": "trace-1",
        "job_id": job_id or f"job-{uuid.uuid4().hex[:12]}",
        "agent_definition": definition,
        "input_payload": {"messages": [{"role": "user", "content": text}]},
    }


def enveloped(data: Mapping[str, Any], **attributes: str) -> dict[str, Any]:
    """The same as a structured CloudEvent."""
    given = {"specversion": "1.0", "id": unique("event"), "source": "/tests", "type": TYPE + "execute"}
    return {**given, **attributes, "data": data}


def agent(model: Mapping[str, Any] | str, scripts: Mapping[str, str] | None = None, **config: Any) -> dict[str, Any]:
    """A definition with one orchestrator; `scripts` are its tools by name."""
    tools = [{"name": name, "runtime": {"script": text, "dependencies": []}} for name, text in (scripts or {}).items()]
    own = {"name": "lead", "system_prompt": "Be brief.", "model": model, "tools": list(scripts or {}), **config}
    return {
        "name": "observed",
        "version": "1",
        "tool_definitions": tools,
        "nodes": [{"id": "lead", "type": "Orchestrator", "config": own}],
        "edges": [],
    }


ECHO = agent({"provider": "scripted", "model": "echo"})


def plan(*turns: Mapping[str, Any], scripts: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A definition whose agent plays a script."""
    return agent({"provider": "scripted", "model": "plan", "script": list(turns)}, scripts)


def turn(*calls: str, text: str = "", delay_ms: int = 0) -> dict[str, Any]:
    """A turn of that script that calls tools without arguments."""
    return {"text": text, "delay_ms": delay_ms, "tool_calls": [{"name": name, "args": {}} for name in calls]}


def script(name: str, seconds: float = 0) -> str:
    """A tool without arguments that takes its time and says its name."""
    return f'''import time
from langchain_core.tools import tool

@tool
def {name}() -> str:
    """Do {name}."""
    time.sleep({seconds})
    return "{name} is done"
'''


# -- what comes out


@dataclass
class Channel:
    """One job's live events, from Redis pub/sub."""

    pubsub: Any
    events: list[dict[str, Any]] = field(default_factory=list)

    async def reaches(self, kind: str, seconds: float = 30.0, **data: Any) -> dict[str, Any]:
        """The first event of a kind whose data has these items."""
        deadline = time.monotonic() + seconds
        at = 0
        while True:
            for event in self.events[at:]:
                at += 1
                if event["event_type"] == kind and data.items() <= event["data"].items():
                    return event
            assert time.monotonic() < deadline, f"no {kind} {data} within {seconds:g} s, only {self.kinds()}"
            message = await self.pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
            if message:
                self.events.append(json.loads(message["data"]))

    async def complete(self, seconds: float = 30.0) -> list[dict[str, Any]]:
        """All of them, the last is `end`."""
        await self.reaches("end", seconds)
        return self.events

    def kinds(self) -> list[str]:
        return [event["event_type"] for event in self.events]

    def tools(self) -> list[str]:
        """The tools that were started, in order."""
        return [event["data"]["name"] for event in self.events if event["event_type"] == "on_tool_start"]


@dataclass
class Observer:
    """A publisher, and a reader of all that is said about its jobs."""

    env: Mapping[str, str]
    nats: Client
    redis: redis.asyncio.Redis
    said: dict[str, list[RawStreamMsg]]

    async def publish(self, body: Mapping[str, Any] | bytes, token: str = "test", **headers: str) -> str:
        """Put one event into the stream; returns its job's id if it has one. `_` in header names stand for `-`."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.nats.jetstream().publish(f"{self.prefix}.execute.{token}", payload, headers=named or None)
        data = {} if isinstance(body, bytes) else body.get("data", body)
        return str(data.get("job_id"))

    @property
    def prefix(self) -> str:
        return self.env["NATS_SUBJECT_PREFIX"]

    async def read(self) -> None:
        """Take note of what is new in the streams; raises what NATS says, unless that is that there is no more."""
        for stream, said in self.said.items():
            while True:
                try:
                    said.append(await self.nats.jetstream().get_msg(stream, seq=len(said) + 1))
                except nats.js.errors.NotFoundError as error:
                    if error.err_code != NO_MESSAGE:
                        raise
                    break

    async def results(self, job_id: str | None = None) -> list[dict[str, Any]]:
        """Every status event so far, or those of one job."""
        await self.read()
        events = [json.loads(message.data) for message in self.said[self.env["NATS_STATUS_STREAM"]]]
        return [event for event in events if job_id in (None, event["subject"])]

    async def letters(self) -> list[RawStreamMsg]:
        """Every dead letter so far."""
        await self.read()
        return self.said[self.env["NATS_DEAD_LETTER_STREAM"]]

    async def result(self, job_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """The job's first status event; NATS, or the stream, may be away meanwhile."""

        async def told() -> list[dict[str, Any]]:
            with contextlib.suppress(nats.errors.Error, OSError):
                return await self.results(job_id)
            return []

        return (await until(told, seconds, f"told how {job_id} ended"))[0]

    async def message(self, job_id: str) -> RawStreamMsg:
        """The job's status event as it lies in the stream."""
        await self.result(job_id)
        status = self.said[self.env["NATS_STATUS_STREAM"]]
        return next(message for message in status if json.loads(message.data)["subject"] == job_id)

    async def settled(self, seconds: float = 30.0) -> None:
        """Return once no message waits for a worker or for its answer."""

        async def nothing_left() -> bool:
            info = await self.nats.jetstream().consumer_info(self.env["NATS_STREAM"], self.env["NATS_CONSUMER"])
            return not info.num_pending and not info.num_ack_pending

        await until(nothing_left, seconds, "settled")

    @contextlib.asynccontextmanager
    async def channel(self, job_id: str) -> AsyncIterator[Channel]:
        """Listen as the existing clients do."""
        pubsub = self.redis.pubsub()
        await pubsub.subscribe(f"langgraph:stream:{job_id}")
        await until(lambda: pubsub.get_message(timeout=0.2), what="subscribed")
        try:
            yield Channel(pubsub)
        finally:
            await pubsub.aclose()


@contextlib.asynccontextmanager
async def watching(env: Mapping[str, str]) -> AsyncIterator[Observer]:
    """An observer of the services with this environment."""
    client = await nats.connect(env["NATS_URL"], max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quietly)
    secret = env.get("DRAGONFLY_PASSWORD")
    live = redis.asyncio.Redis(host=env["DRAGONFLY_HOST"], port=int(env["DRAGONFLY_PORT"]), password=secret)
    try:
        yield Observer(env, client, live, {env["NATS_STATUS_STREAM"]: [], env["NATS_DEAD_LETTER_STREAM"]: []})
    finally:
        await live.aclose()
        await client.close()


async def _quietly(error: Exception) -> None:
    """A NATS server that is away is part of some tests."""


@contextlib.asynccontextmanager
async def http(service: Service, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one service."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False, headers=headers) as client:
        yield client


def path(job_id: str, rest: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}{rest}"


def metrics(service: Service) -> dict[str, float]:
    """Every sample without labels, and `name{status}` for the jobs; names without their common prefix."""
    answer = service.get("/metrics")
    assert answer is not None
    return {
        sample.name.removeprefix("agent_executor_") + "".join(f"{{{value}}}" for value in sample.labels.values()): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def rows(env: Mapping[str, str], statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What is in the database, by eye."""
    postgres = {name: value for name, value in env.items() if name.startswith("POSTGRES_")}
    with psycopg.connect(dsn(postgres), autocommit=True, options="-c search_path=agent_executor") as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
