"""Jobs that no delivery will bring again: their event has left the stream, or whoever cancelled them died over it.

They are taken like any other, with a lease and an epoch, so a worker that comes back all the same changes nothing, and
a sweep that dies leaves them to the next one. They are ended, not run: an event is in the stream for a day, and whoever
still waits for an answer then is better told.
"""

import structlog

from agent_executor.core import loggable
from agent_executor.core.attempt import Attempt, Parts
from agent_executor.core.classify import attempted
from agent_executor.errors import JobError, LeaseLost, TemporaryError
from agent_executor.models.jobs import Claimed
from agent_executor.services.results import describe
from agent_executor.services.streams import DAY

log = structlog.get_logger()

HOUR = 3600.0  # of caution: clocks differ, and a delivery may be on its way
# A job's last change is younger than the event that brought it about, and no event is in the stream for longer than a
# day. A job at work is not changed until its end, but its wall clock allows it half of that at most.
AGE = DAY + HOUR


async def end(parts: Parts, owner: str) -> None:
    """End all that there are, beside other pods; raises nothing but cancellation."""
    settings = parts.settings
    try:
        while found := await attempted(
            parts.jobs.take_strays(owner=owner, lease_seconds=settings.job_lease_seconds, older_than=AGE)
        ):
            for job in found:
                await _end(parts, job)
    except JobError as error:
        log.warning("strays: left for later", **loggable.words(error, settings))


async def _end(parts: Parts, job: Claimed) -> None:
    with loggable.about(job.job_id, job.trace_id, job.traceparent):
        attempt = Attempt(parts, job)
        lost = TemporaryError("timeout", f"delivery: none for {AGE / HOUR:g} h, so the job's event has left the stream")
        log.warning("job: stray", epoch=job.epoch, cancelled=job.cancel_requested)
        try:
            if job.cancel_requested:
                await attempt.end("cancelled")
            else:
                await attempt.end("failed", describe(lost, job.failures))
        except LeaseLost:
            log.warning("job: lost to another worker")
