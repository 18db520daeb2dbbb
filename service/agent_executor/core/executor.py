"""What becomes of one event: already done, busy elsewhere, resumed or run, and in every case exactly one verdict.

The verdict says how the message that brought the event is settled. A job's failures are counted in PostgreSQL, over all
pods and crashes; what can never run is kept as a dead letter before its end is written, so no crash loses either.
"""

import asyncio
import contextlib
import os
import random
import socket
import uuid

import structlog

from agent_executor.core import answers, loggable, strays
from agent_executor.core.attempt import Attempt, Parts
from agent_executor.core.classify import attempted
from agent_executor.core.running import Running
from agent_executor.errors import JobError, LeaseLost, PermanentError, TemporaryError
from agent_executor.models.events import JobCancelEvent, JobExecutionEvent, JobResumeEvent
from agent_executor.models.jobs import Busy, Claimed, Finished, NewJob, State
from agent_executor.models.verdict import ACK, BURIED, FAILED, LEAVE, Bury, Verdict
from agent_executor.services.broker import Broker
from agent_executor.services.cloudevents import Incoming, new_job
from agent_executor.services.results import Origin, describe

log = structlog.get_logger()

NEVER_RUNS = frozenset({"invalid_event", "invalid_definition", "invalid_input", "unknown_job"})
STRANGER_DELIVERIES = 5  # a cancel or resume may overtake its job on the way; so often it is waited for
STRANGER_SECONDS = 1.0
HELD_SECONDS = 0.2  # beyond somebody else's lease
AWAY_SECONDS = 2.0  # until a database that was away is asked for a job again


class Executor:
    """All jobs of one process."""

    def __init__(self, parts: Parts, broker: Broker) -> None:
        self._parts = parts
        self._broker = broker
        self._running = Running(parts.settings.job_lease_seconds)
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"

    @property
    def in_flight(self) -> int:
        """Jobs that run here now."""
        return len(self._running)

    @property
    def behind(self) -> bool:
        """Whether a lease of a job that runs here could not be renewed for long."""
        return self._running.behind

    def keeps(self, job_id: str, begun: float) -> bool:
        """Whether the message of a job, in hand since `begun`, is still for this process to see to its end."""
        return self._running.keeps(job_id, begun)

    async def handle(self, incoming: Incoming, bury: Bury, *, delivery: int = 1) -> Verdict:
        """See one event to its end. `delivery` counts from 1. Raises nothing but cancellation."""
        with loggable.about(incoming.job_id, incoming.event.trace_id):
            try:
                try:
                    return await self._dispatch(incoming, bury, delivery)
                except PermanentError as error:
                    return await self._refuse(incoming, error, bury)
            except TemporaryError as error:
                log.warning("event: put back", **loggable.words(error, self._parts.settings))
                return Verdict("again", AWAY_SECONDS * random.uniform(0.5, 1))  # noqa: S311  # spreads the load

    async def cancel(self, job_id: str) -> State | None:
        """End a job wherever it is: at once if it runs here or nowhere, within a third of a lease elsewhere.

        Returns its state afterwards, `running` if another pod still has to stop it; None if it is not known.
        """
        found = await attempted(self._parts.jobs.request_cancel(job_id))
        if found == "queued":  # also if an attempt here has just let it wait for a person
            claimed = await self._reclaim(job_id)
            if isinstance(claimed, Claimed):
                await self._work(Attempt(self._parts, claimed), bury=None)
                return "cancelled"
        elif attempt := self._running.get(job_id):
            attempt.stop("cancelled")
        return found

    async def sweep(self) -> None:
        """End jobs that no delivery will bring again; now and then. Raises nothing but cancellation."""
        if not self._running.draining:
            await strays.end(self._parts, self._owner)

    def drain(self) -> None:
        """Let every job reach its next superstep and hand it over; take no more."""
        self._running.drain()

    def abandon(self) -> None:
        """The time to drain is over: hand the rest over as it stands at its last checkpoint."""
        self._running.abandon()

    async def _dispatch(self, incoming: Incoming, bury: Bury, delivery: int) -> Verdict:
        match incoming.event:
            case JobExecutionEvent() as event:
                claimed, begun = await self._claim(new_job(incoming, event), delivery)
                return await self._take(claimed, bury, event.trace_id, begun)
            case JobResumeEvent() as event:
                return await self._resume(incoming, event, bury, delivery)
            case JobCancelEvent() as event:
                if await self.cancel(event.job_id) is None:
                    return self._stranger(delivery)
                return ACK

    async def _claim(self, job: NewJob, delivery: int) -> tuple[Claimed | Busy | Finished, Attempt | None]:
        """The claim's answer, and the attempt that was begun meanwhile if the job is the new one that it looks like."""
        lease = self._parts.settings.job_lease_seconds
        claim = attempted(self._parts.jobs.claim(job, owner=self._owner, lease_seconds=lease))
        graph = self._parts.builder.built(job.definition_hash) if delivery == 1 else None
        if graph is None:
            return await claim, None
        begun = Attempt(self._parts, job.presumed())
        try:
            claimed, trouble = await asyncio.gather(claim, begun.launch.begin(graph), return_exceptions=True)
        except asyncio.CancelledError:
            await begun.launch.forget()
            raise
        if trouble is None and isinstance(claimed, Claimed) and claimed.runs_like(begun.job):
            begun.confirm(claimed)
            return claimed, begun
        await begun.launch.forget()
        if isinstance(claimed, BaseException):
            raise claimed
        if trouble and not isinstance(trouble, JobError):  # which comes again where it is expected
            log.warning("job: not begun ahead", job_id=job.job_id, error=type(trouble).__name__)
        return claimed, None

    async def _resume(self, incoming: Incoming, event: JobResumeEvent, bury: Bury, delivery: int) -> Verdict:
        taken = await answers.taken(self._parts.jobs, event.job_id, incoming.id, event.resume)
        if taken is None:
            return self._stranger(delivery)
        if not taken:
            log.info("answer: to nothing that waits", id=incoming.id)
            return ACK
        claimed = await self._reclaim(event.job_id)
        return ACK if claimed is None else await self._take(claimed, bury, event.trace_id)

    def _stranger(self, delivery: int) -> Verdict:
        if delivery < STRANGER_DELIVERIES:
            return Verdict("again", STRANGER_SECONDS)
        raise PermanentError("unknown_job", "data.job_id: is no job here, and would be right as one that was taken")

    async def _refuse(self, incoming: Incoming, error: PermanentError, bury: Bury) -> Verdict:
        """Tell the failure of an event that never became a job's attempt; a job that waits for its answer waits on."""
        await bury(error)
        if error.type == "invalid_answer":
            return BURIED
        origin = Origin(incoming.job_id, incoming.traceparent, incoming.tracestate)
        await self._broker.publish(self._parts.results.refused(origin, describe(error, 1), incoming.body))
        await self._parts.events.end(incoming.job_id, incoming.event.trace_id or "", "failed", unless_begun=True)
        return BURIED

    async def _reclaim(self, job_id: str) -> Claimed | Busy | Finished | None:
        lease = self._parts.settings.job_lease_seconds
        return await attempted(self._parts.jobs.reclaim(job_id, owner=self._owner, lease_seconds=lease))

    async def _take(
        self, claimed: Claimed | Busy | Finished, bury: Bury, trace_id: str | None, begun: Attempt | None = None
    ) -> Verdict:
        match claimed:
            case Busy(seconds_left):
                return Verdict("again", seconds_left + HELD_SECONDS)
            case Finished(state, event):
                if event:
                    await self._broker.publish(event)
                    await self._parts.events.end(event.job_id, trace_id or "", state)
                return ACK
            case Claimed():
                return await self._work(begun or Attempt(self._parts, claimed), bury)

    async def _work(self, attempt: Attempt, bury: Bury | None) -> Verdict:
        # Whatever event brought the job, or none: it may name another trace, or not say.
        with loggable.about(attempt.job.job_id, attempt.job.trace_id, attempt.job.traceparent):
            return await self._attempt(attempt, bury)

    async def _attempt(self, attempt: Attempt, bury: Bury | None) -> Verdict:
        job = attempt.job
        log.info("job: taken", epoch=job.epoch, failures=job.failures, resumed=job.has_checkpoint)
        with self._running.run(attempt):
            try:
                return await self._run(attempt, bury)
            except LeaseLost:
                self._parts.observer.count("lost_leases")
                log.warning("job: lost to another worker")
                return LEAVE
            except TemporaryError:
                # Written is nothing, so another try finds it all again; without a lease in its way, and without a mark.
                with contextlib.suppress(JobError):
                    await attempted(self._parts.jobs.release(job.job_id, job.epoch))
                raise

    async def _run(self, attempt: Attempt, bury: Bury | None) -> Verdict:
        job, parts = attempt.job, self._parts
        if job.cancel_requested:
            await attempt.end("cancelled")
            return ACK
        if job.has_checkpoint:
            parts.observer.count("resumes")
        try:
            if job.failures >= parts.settings.job_max_attempts:
                raise PermanentError("attempts_exhausted", f"the job's worker died, or failed, {job.failures} times")
            await attempt.run()
        except JobError as error:
            with _after(attempt):
                return await self._fail(attempt, error, bury)
        with _after(attempt):
            if attempt.stopped == "cancelled":
                await attempt.end("cancelled")
            if attempt.stopped == "drained":
                parts.observer.count("drains")
                log.info("job: handed over")
                await attempted(parts.jobs.release(job.job_id, job.epoch))
                return Verdict("again")
        return ACK

    async def _fail(self, attempt: Attempt, error: JobError, bury: Bury | None) -> Verdict:
        """Count the failure; another attempt later, or the end."""
        job, parts = attempt.job, self._parts
        attempts = job.failures + (0 if error.type == "attempts_exhausted" else 1)
        log.warning("job: failed", **loggable.words(error, parts.settings), attempts=attempts)
        told = describe(error, attempts)
        exhausted = attempts >= parts.settings.job_max_attempts
        if isinstance(error, TemporaryError) and not exhausted:
            if await attempted(parts.jobs.fail_attempt(job.job_id, job.epoch, told)) is None:
                raise LeaseLost(job.job_id)
            parts.observer.count("retries")
            return Verdict("again", self._backoff(error, attempts))
        buried = error.type in NEVER_RUNS or error.type == "attempts_exhausted" or isinstance(error, TemporaryError)
        if buried and bury:
            await bury(PermanentError(error.type, error.message))
        await attempt.end("failed", told)
        return BURIED if buried else FAILED

    def _backoff(self, error: TemporaryError, attempts: int) -> float:
        settings = self._parts.settings
        first = settings.job_retry_delay_seconds if error.delay is None else error.delay
        delay = min(first * 2.0 ** (attempts - 1), settings.job_retry_delay_max_seconds)
        return max(error.retry_after or 0.0, delay * random.uniform(0.5, 1))  # noqa: S311  # spreads, hides nothing


def _after(attempt: Attempt) -> contextlib.AbstractContextManager[None]:
    """Join the lines that follow the attempt's span to its trace, which may have begun with it."""
    return loggable.about(attempt.job.job_id, attempt.job.trace_id, attempt.origin.traceparent)
