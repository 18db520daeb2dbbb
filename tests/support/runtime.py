"""The runtime without its HTTP side, on real servers, in this process or in one of its own.

`python -m tests.support.runtime` is a worker process that a test may kill; it reads the contract's environment.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from agent_executor import settings
from agent_executor.api import closing
from agent_executor.core.attempt import Parts
from agent_executor.core.builder import Builder, warm
from agent_executor.core.executor import Executor
from agent_executor.models.observer import Unobserved
from agent_executor.services import broker, database, redis, streams
from agent_executor.services.dead_letters import DeadLetters
from agent_executor.services.jobs import Jobs
from agent_executor.services.nats_consumer import Consumer
from agent_executor.services.outbox import Outbox
from agent_executor.services.results import Results
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
from agent_executor.settings import Settings

T = TypeVar("T")
HURRY = {
    "NATS_ACK_WAIT_SECONDS": "1.5",
    "JOB_LEASE_SECONDS": "1.5",
    "JOB_RETRY_DELAY_SECONDS": "0.2",
    "JOB_MAX_ATTEMPTS": "3",
    "DRAIN_SECONDS": "5",
}


class Counting(Unobserved):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.measured: dict[str, list[float]] = {}
        self.ended: list[str] = []

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def measure(self, name: str, seconds: float) -> None:
        self.measured.setdefault(name, []).append(seconds)

    def finished(self, status: str, seconds: float) -> None:
        self.ended.append(status)


@dataclass
class Worker:
    """One pod's worth of runtime."""

    settings: Settings
    client: Client
    jobs: Jobs
    executor: Executor
    consumer: Consumer
    outbox: Outbox
    events: redis.LiveEvents
    observer: Counting
    tasks: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    async def stop(self) -> None:
        """As on SIGTERM."""
        await self.consumer.stop()
        self.executor.drain()
        _, running = await asyncio.wait([self.tasks["consumer"]], timeout=self.settings.drain_seconds)
        if running:
            self.executor.abandon()
            await asyncio.wait(running, timeout=5)
        await self.events.flush()
        await self.outbox.flush()

    async def die(self) -> None:
        """As on SIGKILL: nothing is handed over."""
        await closing.end(self.tasks.values())  # more than once, as the service does: libraries lose cancellations
        assert all(task.done() for task in self.tasks.values())


@contextlib.asynccontextmanager
async def worker(env: Mapping[str, str], **changes: str) -> AsyncIterator[Worker]:
    """A running worker, in a hurry unless `changes` say otherwise; the block's end stops it as SIGTERM would."""
    from agent_executor.services.checkpoints import Saver

    given = settings.load({**HURRY, **env, **changes})
    async with contextlib.AsyncExitStack() as stack:
        dsn = database.dsn(given)
        pool = await stack.enter_async_context(database.pool(dsn, schema=given.postgres_schema, size=given.pool_size))
        client = await broker.connect(given)
        stack.push_async_callback(client.close)
        live = redis.connect(given)
        stack.push_async_callback(live.aclose)
        tools = ToolRunner(Limits.of(given))
        stack.push_async_callback(tools.close)
        messages, observer = broker.Broker(client, given), Counting()
        jobs, outbox, events = Jobs(pool), Outbox(pool, messages.publish), redis.LiveEvents(live, given)
        results = Results(given, messages.max_payload)
        saver = Saver(pool)
        builder = Builder(given, lambda: saver, tools)
        executor = Executor(Parts(given, jobs, outbox, builder, events, results, observer), messages)
        letters = DeadLetters(given, messages, results, events)
        consumer = Consumer(client, given, executor, letters, observer)
        made = Worker(given, client, jobs, executor, consumer, outbox, events, observer)
        await warm()
        for name, run in (("outbox", outbox.run), ("events", events.run), ("consumer", consumer.run)):
            made.tasks[name] = asyncio.create_task(run())
        try:
            await until(lambda: consumer.ready)
            yield made
            if not made.tasks["consumer"].done():
                await made.stop()
        finally:
            await made.die()


async def until(found: Callable[[], T | Awaitable[T]], seconds: float = 20.0) -> T:
    """What `found` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds:g} s")
        await asyncio.sleep(0.02)


@dataclass
class Caller:
    """The outside: publishes events and reads what comes back."""

    client: Client
    prefix: str
    names: Mapping[str, str]
    seen: list[tuple[str, dict[str, Any], Msg]] = field(default_factory=list)

    async def send(self, data: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        await self.client.jetstream().publish(f"{self.prefix}.execute.test", body, headers=dict(headers or {}) or None)

    async def accepted(self, data: Mapping[str, Any]) -> bool:
        """Whether JetStream took the event just now."""
        try:
            await self.send(data)
        except (nats.js.errors.NoStreamResponseError, nats.errors.TimeoutError):
            return False
        return True

    async def told(self, job_id: str, outcome: str = "", seconds: float = 20.0) -> dict[str, Any]:
        """The first status event of a job (of that outcome)."""
        return (await until(lambda: self.all(job_id, outcome), seconds))[0]

    def all(self, job_id: str, outcome: str = "") -> list[dict[str, Any]]:
        return [
            e
            for s, e, _ in self.seen
            if e.get("subject") == job_id and s.endswith(f".status.{outcome}" if outcome else "")
        ]

    def event(self, id_: str) -> dict[str, Any] | None:
        """The status event with this id."""
        return next((event for _, event, _ in self.seen if event.get("id") == id_), None)

    def dead(self) -> list[Msg]:
        return [message for subject, _, message in self.seen if ".dead." in subject]


@contextlib.asynccontextmanager
async def caller(env: Mapping[str, str]) -> AsyncIterator[Caller]:
    """A caller that has its streams, and listens to what JetStream stores on the status and dead-letter subjects."""
    given = settings.load({**HURRY, **env})
    client = await nats.connect(given.nats_url)
    await streams.ensure(client.jetstream(), given)
    made = Caller(client, given.nats_subject_prefix, {})

    async def note(message: Msg) -> None:
        event = json.loads(message.data) if ".status." in message.subject else {}
        made.seen.append((message.subject, event, message))
        await message.ack()

    subscriptions = [
        await client.jetstream().subscribe(given.subject(kind, "*"), stream=stream, cb=note, manual_ack=True)
        for kind, stream in (("status", given.nats_status_stream), ("dead", given.nats_dead_letter_stream))
    ]
    try:
        yield made
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()
        await client.close()


def job(
    definition: Mapping[str, Any], text: str = "hello", job_id: str | None = None, **payload: Any
) -> dict[str, Any]:
    """A bare JobExecutionEvent."""
    messages = [{"role": "user", "content": text}]
    return {
        "trace_id": "trace-1",
        "job_id": job_id or f"job-{uuid.uuid4().hex[:12]}",
        "agent_definition": definition,
        "input_payload": {"messages": messages, **payload},
    }


async def main() -> None:
    """A worker process that stops on SIGTERM."""
    async with worker(os.environ) as made:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.create_task(made.consumer.stop()))
        print("ready", flush=True)
        await made.consumer._stopping.wait()


if __name__ == "__main__":
    asyncio.run(main())
