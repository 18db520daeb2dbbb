"""The running service: its parts, the tasks that they need, and how all of it stops.

Invariants: nothing is taken before it can be worked on; every task is owned, and one that ends unforeseen ends the
service, loudly; a stop loses nothing and counts nothing: jobs are handed over at their last checkpoint, results are
flushed.
"""

import asyncio
import contextlib
import functools
import gc
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import psycopg
import structlog

from agent_executor import garbage
from agent_executor.api import closing, probes
from agent_executor.api.parts import Parts
from agent_executor.api.upkeep import Upkeep
from agent_executor.core import attempt, builder
from agent_executor.core.executor import Executor
from agent_executor.models.parts import Model
from agent_executor.services import broker, built_in, database, redis, sandbox, sessions
from agent_executor.services.broker import Broker
from agent_executor.services.dead_letters import DeadLetters
from agent_executor.services.jobs import Jobs
from agent_executor.services.nats_client import Client
from agent_executor.services.nats_consumer import Consumer
from agent_executor.services.outbox import Outbox
from agent_executor.services.redis import LiveEvents
from agent_executor.services.results import Results
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
from agent_executor.services.writer import Writer
from agent_executor.settings import Settings
from agent_executor.telemetry.metrics import Metrics
from agent_executor.telemetry.observer import Telemetry
from agent_executor.telemetry.traces import Traces

log = structlog.get_logger()

PATIENCE_SECONDS = 2.0  # of a caller, for a database that is away: a job has more
WATCHERS = 1000  # streams of events that are served side by side; more of them take turns
YOUNG_OBJECTS = 20_000  # made since the collector last looked at them
HAND_OVER_SECONDS = 5.0  # after the drain: a write that hangs must not keep the pod
CLOSE_SECONDS = 6.0  # for all that is closed then
LEAVE_SECONDS = 1.0  # for connections that are being made, or have been broken off


class Service:
    """One process's parts at work; `parts` is what the API needs of them."""

    def __init__(
        self, settings: Settings, metrics: Metrics, traces: Traces, graphs: type[builder.Builder] = builder.Builder
    ) -> None:
        """`graphs` makes graphs of definitions: another class, another meaning of a definition."""
        self._settings = settings
        self._traces = traces
        dsn = database.dsn(settings)
        self._pool = database.pool(dsn, schema=settings.postgres_schema, size=settings.pool_size)
        self._nats = Client()
        self._redis = redis.connect(settings)
        self._watchers = redis.connect(settings, connections=WATCHERS)
        self._events = LiveEvents(self._redis, settings, metrics.lost_events.inc)
        store = Broker(self._nats, settings)
        results = Results(settings, store.max_payload)
        writer = Writer(self._pool, measure=metrics.checkpoint.observe)
        jobs = Jobs(self._pool, writer)
        self._outbox = Outbox(self._pool, store.publish)
        self._tools = ToolRunner(Limits.of(settings))
        observer = Telemetry(metrics, traces)

        @functools.cache
        def saver() -> Any:
            from agent_executor.services.checkpoints import Saver  # noqa: PLC0415  # imports LangGraph

            return Saver(self._pool, writer)

        def watch(agent: str, model: Model) -> Any:
            from agent_executor.telemetry import agents  # noqa: PLC0415  # imports LangChain

            return agents.Watch(metrics, traces, agent=agent, provider=model.provider, model=model.model)

        made = graphs(
            settings,
            saver,
            self._tools,
            http_request=built_in.http_request(settings),
            mcp=built_in.mcp_tools(settings),
            watch=watch,
        )
        self._executor = Executor(
            attempt.Parts(settings, jobs, self._outbox, made, self._events, results, observer), store
        )
        dead_letters = DeadLetters(settings, store, results, self._events)
        self._consumer = Consumer(self._nats, settings, self._executor, dead_letters, observer)
        self._upkeep = Upkeep(settings, jobs, self._outbox, self._executor, metrics)
        self._tasks: set[asyncio.Task[None]] = set()
        self._working: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._stopped = False
        self._connecting = True
        self.parts = Parts(
            settings=settings,
            metrics=metrics,
            jobs=Jobs(self._pool, patience=PATIENCE_SECONDS, answer=PATIENCE_SECONDS),
            broker=store,
            watchers=self._watchers,
            cancel=self._executor.cancel,
            dead_letters=dead_letters,
            probes=probes.of(
                self._pool,
                self._redis,
                self._nats,
                looked=self._consumer.looked,
                taking=lambda: self._consumer.ready,
                behind=lambda: self._executor.behind,
            ),
        )

    @property
    def broken(self) -> asyncio.Event:
        """Set when a task of the service ended unforeseen: the process is to stop, and to start anew."""
        return self._broken

    async def start(self) -> None:
        """Begin to work; returns at once, whatever is away."""
        sandbox.shield()
        for gap in sandbox.report():
            log.warning("sandbox: weaker than it could be", gap=gap)
        await self._pool.open(wait=False)
        for work in (self._outbox.run(), self._events.run(), *self._upkeep.tasks()):
            self._own(work)
        self._working = self._own(self._take_jobs())

    async def stop(self) -> None:
        """Hand over what runs and flush what is stored; see runtime.md, "Stopping"."""
        if self._stopped:
            return
        self._stopped = True
        self.parts.stopping.set()
        log.info("service: stopping", in_flight=self._executor.in_flight)
        await self._consumer.stop()
        self._executor.drain()
        if self._working and self._connecting:
            await closing.end({self._working})  # nothing was taken, and NATS may stay away for ever
        if self._working and not await closing.ends(self._working, self._settings.drain_seconds):
            self._executor.abandon()
            await self._hand_over(self._working)
        await self._events.flush()
        await self._hand_over(self._own(self._flush()))

    async def close(self) -> None:
        """End every task and close every connection, in little more than CLOSE_SECONDS; raises nothing."""
        self._outbox.close()
        self._upkeep.close()
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "tasks": self._end_tasks,
            "tools": self._tools.close,
            "nats": self._leave_nats,
            "dragonfly": self._redis.aclose,
            "watchers": self._watchers.aclose,
            "postgresql": functools.partial(self._pool.close, LEAVE_SECONDS),
            "traces": functools.partial(asyncio.to_thread, self._traces.close),
        }
        await closing.each(steps, CLOSE_SECONDS)

    async def _hand_over(self, work: "asyncio.Task[None]") -> None:
        """Give it its time, then end the statements that hang: cancelled, each of them would take ten seconds more."""
        if not await closing.ends(work, HAND_OVER_SECONDS) and sessions.end(self._pool):
            await closing.ends(work, LEAVE_SECONDS)

    async def _flush(self) -> None:
        with contextlib.suppress(psycopg.Error):  # another pod's relay publishes what is left
            left = await self._outbox.flush()
            log.info("service: stopped", unpublished=left)

    async def _end_tasks(self) -> None:
        if sessions.end(self._pool):  # before anybody who asks is cancelled, see `_hand_over`
            await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS / 4)
        await closing.end(self._tasks)

    async def _leave_nats(self) -> None:
        if self._nats.is_connected or self._nats.is_reconnecting:  # one that never was has nothing to close
            await self._nats.close()

    async def _take_jobs(self) -> None:
        self._own(broker.until_refused(self._nats))
        await broker.open_(self._nats, self._settings)
        self._connecting = False
        self._own(broker.until_closed(self._nats))
        await self._consumer.run(_prepare)

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=getattr(work, "__qualname__", None))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._stopped:
            return
        log.critical("service: a task ended, so the service does", task=task.get_name(), exc_info=task.exception())
        self._broken.set()


async def _prepare() -> None:
    """Import what jobs need.

    A job makes thousands of objects and mostly no cycles: looked for after every 700 they cost a thirtieth of its time.
    """
    with garbage.spared():
        await builder.warm()
        await asyncio.to_thread(importlib.import_module, "agent_executor.services.checkpoints")
    gc.set_threshold(YOUNG_OBJECTS)


@contextlib.asynccontextmanager
async def running(
    settings: Settings, metrics: Metrics, traces: Traces, graphs: type[builder.Builder] = builder.Builder
) -> AsyncIterator[Service]:
    """A service at work inside the block, stopped and closed after it."""
    service = Service(settings, metrics, traces, graphs)
    try:
        await service.start()
        yield service
        await service.stop()
    finally:
        await service.close()
