"""One attempt at one claimed job: the graph runs under a lease, and its end is one transaction.

Whatever happens to the run, the job's row decides: every write of this attempt carries the epoch it was claimed with,
so an attempt that lost its lease changes nothing. A lease is kept by a task that job code cannot block. What fails in
passing is tried again here first, from the last checkpoint.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from agent_executor.core import limits, loggable, state, streaming
from agent_executor.core.builder import Builder
from agent_executor.core.classify import attempted
from agent_executor.core.launch import Launch
from agent_executor.errors import JobError, LeaseLost, TemporaryError
from agent_executor.models.jobs import Claimed, Event, Lease
from agent_executor.models.observer import Observer, Span
from agent_executor.services.jobs import Jobs
from agent_executor.services.outbox import Outbox
from agent_executor.services.redis import LiveEvents
from agent_executor.services.results import Origin, Results
from agent_executor.settings import Settings

log = structlog.get_logger()

TRIES_IN_PLACE = 3
PAUSE_IN_PLACE = 0.5  # seconds before the second try, doubled before the third
LONGEST_PAUSE = 5.0  # a server that asks for more gets its job given back
RENEWALS = 3  # in one lease


@dataclass(frozen=True)
class Parts:
    """What every attempt works with; made once, where the service is put together."""

    settings: Settings
    jobs: Jobs
    outbox: Outbox
    builder: Builder
    events: LiveEvents
    results: Results
    observer: Observer


Why = Literal["cancelled", "drained", "lost"]


@dataclass
class Attempt:
    """A job that this process runs now."""

    parts: Parts
    job: Claimed
    stopped: Why | None = None
    held_at: float = field(default_factory=time.monotonic)
    """When its lease was last known to be ours."""
    emit: Callable[[str, dict[str, Any]], None] = field(init=False)
    launch: Launch = field(init=False)
    _work: "asyncio.Task[None] | None" = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _span: Span = field(default_factory=Span)
    _began: float = field(default_factory=time.monotonic)
    _closing: bool = False
    _over: bool = False

    def __post_init__(self) -> None:
        """Watch for the first live event."""
        told = self.parts.events.stream(self.job.job_id, self.job.trace_id, self.job.epoch)
        begun = False

        def emit(event_type: str, data: dict[str, Any]) -> None:
            nonlocal begun
            if not begun:
                self.parts.observer.measure("first_event", time.monotonic() - self._began)
            begun = True
            told(event_type, data)

        self.emit = emit
        self.launch = Launch(self.parts.settings, self.parts.builder, self.job, emit)

    def confirm(self, job: Claimed) -> None:
        """The claim has come back, and it is this job; its time begins now."""
        self.job = self.launch.job = job
        self._began = self.held_at = time.monotonic()

    async def run(self) -> None:
        """Work until the job ended, waits for a person, or was stopped (`stopped` says why).

        Raises:
            PermanentError: the job can never end well; nothing is written yet.
            TemporaryError: it may at another time; nothing is written yet.
            LeaseLost: it is somebody else's.
        """
        with self.parts.observer.span(self.job) as self._span:
            self._work = asyncio.create_task(self._persist())
            keeper = asyncio.create_task(self._keep_lease())
            try:
                await self._work
            except (asyncio.CancelledError, JobError):
                if self.stopped is None:  # else we broke it off, and what it said then means nothing
                    raise
            finally:
                self._over = True
                keeper.cancel()
                await asyncio.gather(self._work, keeper, return_exceptions=True)
                await self.launch.forget()
        if self.stopped == "lost":
            raise LeaseLost(self.job.job_id)

    def drain(self) -> None:
        """Stop at the next superstep, with nothing lost and nothing counted."""
        self._stopping.set()
        self.launch.drain()

    def stop(self, why: Why) -> None:
        """Stop here and now; the last checkpoint stands."""
        if self._closing:  # its end is on the way to the database, which decides
            return
        self.stopped = self.stopped or why
        if self._work:
            self._work.cancel()

    async def end(self, outcome: Literal["failed", "cancelled"], error: Mapping[str, Any] | None = None) -> None:
        """Write and tell an end that is not the graph's own; raises `LeaseLost`."""
        results = self.parts.results
        event = results.failed(self.origin, error) if error else results.cancelled(self.origin)
        ours = self.parts.jobs.finish(self.job.job_id, self.job.epoch, outcome, event, error=error)
        await self._close(outcome, event, ours)

    @property
    def origin(self) -> Origin:
        """Whose end is told; its trace is the one that the job came with, or its span's, once it has one."""
        return Origin(self.job.job_id, self._span.traceparent or self.job.traceparent, self.job.tracestate)

    async def _persist(self) -> None:
        """Try, and try again in place what may pass soon."""
        for number in range(TRIES_IN_PLACE):
            try:
                return await attempted(self._try())
            except TemporaryError as error:
                pause = max(error.retry_after or 0.0, PAUSE_IN_PLACE * 2**number) * random.uniform(1, 1.25)  # noqa: S311
                if number == TRIES_IN_PLACE - 1 or pause > LONGEST_PAUSE:
                    raise
                told = loggable.words(error, self.parts.settings)
                log.info("job: tried again in place", **told, seconds=round(pause, 2))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if self._stopping.is_set():
                self.stopped = self.stopped or "drained"
                return None
        return None

    async def _try(self) -> None:
        most = self.parts.settings.job_timeout_seconds
        outcome = await limits.within(self._left(), most, self.launch.run())
        job, results = self.job, self.parts.results
        match outcome:
            case streaming.Drained():
                self.stopped = self.stopped or "drained"
            case streaming.Interrupted(payload):
                event = results.interrupted(self.origin, payload, ordinal=job.interrupts + 1)
                ours = self.parts.jobs.interrupt(job.job_id, job.epoch, payload, event)
                try:
                    await self._close("interrupted", event, ours)
                except LeaseLost:
                    if not (await self._renewed()).cancel_requested:
                        raise
                    self.stopped = self.stopped or "cancelled"
            case streaming.Finished(values):
                result = state.result(values)
                event = results.completed(self.origin, result)
                await self.launch.fence.sent()
                with self.launch.fence.taken() as held:
                    ours = self.parts.jobs.finish(job.job_id, job.epoch, "completed", event, result=result, held=held)
                    await self._close("completed", event, ours)

    def _left(self) -> float:
        return self.parts.settings.job_timeout_seconds - self.job.seconds_spent - (time.monotonic() - self._began)

    async def _close(self, status: str, event: Event, ours: Awaitable[bool]) -> None:
        """The outcome and its event are written as one, by whoever holds the lease; only then are they told."""
        self._closing, written = True, False
        try:
            written = await attempted(ours)
        finally:
            self._closing = written  # for good: then there is nothing left to stop
        if not written:
            raise LeaseLost(self.job.job_id)
        self.emit("end", {"status": status})
        await self.parts.outbox.send(event)
        seconds = self.job.seconds_spent + time.monotonic() - self._began
        log.info("job: ended", status=status, seconds=round(seconds, 3))
        self.parts.observer.finished(status, seconds)

    async def _renewed(self) -> Lease:
        lease = self.parts.settings.job_lease_seconds
        return await attempted(self.parts.jobs.renew(self.job.job_id, self.job.epoch, lease_seconds=lease))

    async def _keep_lease(self) -> None:
        """Renew, and learn of a cancellation; what cannot be renewed works on, as the epoch decides in the end."""
        # A cancellation alone may be lost: the pool forgets one that comes in the moment in which it has a connection.
        while not self._over:
            await asyncio.sleep(self.parts.settings.job_lease_seconds / RENEWALS)
            try:
                held = await self._renewed()
            except JobError as error:
                log.warning("job: lease not renewed", **loggable.words(error, self.parts.settings))
                continue
            if not held.ours:
                self.stop("lost")
                continue
            self.held_at = time.monotonic()
            if held.cancel_requested:
                self.stop("cancelled")
