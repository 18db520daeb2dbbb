"""The callers' side: processes to measure, and jobs sent to them over NATS until their results are back."""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import psutil
from nats.aio.client import Client
from nats.aio.msg import Msg

from agent_executor import embedded, settings
from agent_executor.embedded import Servers
from agent_executor.services import migrations, streams
from benchmarks.service_graph import CONNECTIONS, MESSAGES

HERE = Path(__file__).parent.parent
START_SECONDS, JOB_SECONDS, POLL_SECONDS = 60.0, 60.0, 0.05
BUSY_SECONDS = 0.05  # of CPU in a second: more is not idle
DEFINITION = {"name": "no-op", "nodes": [{"id": "boss", "type": "Orchestrator", "config": {"name": "boss"}}]}
Figures = dict[str, Any]


def environment(servers: Servers, name: str, **more: str) -> dict[str, str]:
    """A tenant's variables: tables, streams and subjects of its own, all made."""
    env = {
        **servers.environment(),
        "POSTGRES_SCHEMA": name,
        "POSTGRES_POOL_SIZE": str(CONNECTIONS),
        "NATS_STREAM": f"EXECUTE_{name}",
        "NATS_STATUS_STREAM": f"STATUS_{name}",
        "NATS_DEAD_LETTER_STREAM": f"DEAD_{name}",
        "NATS_SUBJECT_PREFIX": name,
        "HTTP_HOST": "127.0.0.1",
        "MAX_CONCURRENT_JOBS": "50",
        "LOG_LEVEL": "warning",
        "LANGSMITH_TRACING": "false",
        **more,
    }
    migrations.apply(servers.postgres_dsn, schema=name)
    return env


@dataclass
class Contestant:
    """A running process."""

    process: subprocess.Popen[str]
    url: str = ""
    ready_cpu_s: float = 0.0

    def ask(self, line: str) -> Figures:
        """One line to its input and one, as JSON, back."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: Figures = json.loads(self.process.stdout.readline())
        return answer

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return str(answer.read().decode())

    def first_events(self) -> tuple[float, float]:
        """Seconds from taking a job to its first event, and jobs, since the start."""
        lines = dict(line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if not line.startswith("#"))
        name = "agent_executor_first_event_seconds"
        return float(lines[f"{name}_sum"]), float(lines[f"{name}_count"])

    def mb(self) -> float:
        """Resident memory, with that of its children."""
        return sum(each.memory_info().rss for each in self._family()) / 1e6

    def cpu(self) -> float:
        """CPU seconds so far, with those of its children."""
        spent = [each.cpu_times() for each in self._family()]
        return sum(one.user + one.system for one in spent)

    def settle(self) -> None:
        """Wait until it has nothing left to do, such as imports."""
        deadline, before = time.monotonic() + START_SECONDS, -BUSY_SECONDS
        while (now := self.cpu()) - before >= BUSY_SECONDS and time.monotonic() < deadline:
            before = now
            time.sleep(1)

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]


@contextlib.contextmanager
def contestant(kind: str, env: Mapping[str, str], *, real: bool = False) -> Iterator[Contestant]:
    """A process of `service_contestant`, ready; `real` takes the service as it is installed."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(env)
    command = [sys.executable, "-m", "benchmarks.service_contestant", kind]
    if real:
        command = [str(Path(sys.executable).with_name("agent-executor")), "serve"]
    port = embedded.free_port()
    own["HTTP_PORT"] = str(port)
    is_service = kind == "service"
    pipe = subprocess.PIPE
    out = subprocess.DEVNULL if is_service else pipe
    process = subprocess.Popen(command, cwd=HERE, env=own, stdin=pipe, stdout=out, text=True)
    made = Contestant(process, f"http://127.0.0.1:{port}")
    try:
        if is_service:
            _until(process, lambda: _is_ready(made))
        elif process.stdout and process.stdout.readline() != "ready\n":
            sys.exit(f"{kind} does not start")
        made.ready_cpu_s = made.cpu()
        yield made
    finally:
        process.kill()
        process.wait()


def _until(process: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the service does not start")
        time.sleep(POLL_SECONDS)


def _is_ready(service: Contestant) -> bool:
    try:
        return bool(service.get("/ready"))
    except (urllib.error.URLError, OSError):
        return False


async def completed(ended: asyncio.Future[str]) -> None:
    """Wait for a job's end; one that did not complete has done other work, so its time would mean nothing."""
    async with asyncio.timeout(JOB_SECONDS):
        outcome = await ended
    if outcome != "completed":
        sys.exit(f"a job ended as {outcome}")


@dataclass
class Caller:
    """Sends jobs to one tenant and waits for their results."""

    client: Client
    prefix: str
    label: str
    waiting: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def send(self) -> asyncio.Future[str]:
        """Publish a job; the future is its outcome."""
        job_id = f"{self.label}-{next(self.numbers)}"
        ended = self.waiting[job_id] = asyncio.get_running_loop().create_future()
        job = {
            "trace_id": job_id,
            "job_id": job_id,
            "agent_definition": DEFINITION,
            "input_payload": {"messages": MESSAGES},
        }
        await self.client.jetstream().publish(f"{self.prefix}.execute.bench", json.dumps(job).encode())
        return ended

    async def run(self, jobs: int, width: int) -> Figures:
        """Jobs from publish to result, `width` at a time."""
        numbers, took = iter(range(jobs)), []

        async def work() -> None:
            for _ in numbers:
                began = time.perf_counter()
                await completed(await self.send())
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(width)))
        return {"took": took, "seconds": time.perf_counter() - began}

    async def note(self, message: Msg) -> None:
        ended = self.waiting.pop(json.loads(message.data)["subject"], None)
        if ended:
            ended.set_result(message.subject.rsplit(".", 1)[-1])


@contextlib.asynccontextmanager
async def caller(env: Mapping[str, str], label: str = "job") -> AsyncIterator[Caller]:
    """A caller of a tenant, with its streams made; `label` begins the ids of its jobs."""
    given = settings.load(env)
    client = await nats.connect(given.nats_url)
    try:
        await streams.ensure(client.jetstream(), given)
        made = Caller(client, given.nats_subject_prefix, label)
        await client.subscribe(given.subject("status", "*"), cb=made.note)
        yield made
    finally:
        await client.close()
