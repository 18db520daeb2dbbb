"""A job's live events as Server-Sent Events, resumable without a gap.

The events are read from the job's log in Dragonfly, by `seq`, which is also the SSE id: a client that reconnects with
`Last-Event-ID` gets what comes after it. When the log is gone (expired, or Dragonfly is away) the job's row still says
how it ended. Invariant: a stream of a finished job always ends with `end`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from agent_executor.api import problems
from agent_executor.api.identifiers import UNKNOWN, JobId
from agent_executor.api.jobs import Service
from agent_executor.api.parts import Parts
from agent_executor.models.jobs import Job
from agent_executor.services import event_log, redis
from agent_executor.services.json import dump

AWAY_SECONDS = 0.5
PATIENCE = 3  # attempts to read the log before the row has to do: a reconnect loses no event
LARGEST = 2**63 - 2  # a Redis Stream's ids have 64 bits
router = APIRouter(tags=["jobs"])
EVENT = {
    "type": "object",
    "description": "One event.",
    "required": ["id", "event", "data"],
    "properties": {each: {"type": "string"} for each in ("id", "event", "data")},
}
DONE = ("completed", "failed", "cancelled")


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events until `end`", "content": {"text/event-stream": {"schema": EVENT}}},
        **problems.documented(400, 401, 404, 503),
    },
)
async def stream_events(
    service: Service,
    job_id: JobId,
    last_event_id: Annotated[
        str, Header(description="`seq` of the last event that was seen.", pattern=r"^[0-9]{0,32}$")
    ] = "",
) -> StreamingResponse:
    """What happens in a job, as it happens: `event` is the type, `id` the `seq`, `data` the whole message."""
    after = min(int(last_event_id or 0), LARGEST)
    job = await service.jobs.get(job_id)
    if job is None:
        raise problems.Refused(404, UNKNOWN)
    return StreamingResponse(
        _frames(service, job, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _frames(service: Parts, job: Job, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for message in _messages(service, job, after):
        if message is None:
            yield b": still here\n\n"
        else:
            yield _frame(message)


async def _messages(service: Parts, job: Job, after: int) -> AsyncIterator[dict[str, Any] | None]:
    """A job's messages until `end`; None stands for a second without any."""
    job_id, ended, troubles = job.job_id, _ending(job, after), 0
    while not service.stopping.is_set():
        try:
            async for message in event_log.follow(service.watchers, job_id, after):
                troubles = 0
                if message is not None:
                    after = message["seq"]
                    if message["event_type"] != "end":
                        yield message
                    elif not await _went_on(service, message):
                        yield message
                        return
                elif service.stopping.is_set():
                    return
                elif ended is not None:  # it had ended a second ago, and still nothing came: nothing will
                    yield ended
                    return
                else:
                    ended = await _found_ending(service, job_id, after)
                    yield None
        except psycopg.OperationalError:  # the log may hold more, so nothing is said of the end
            yield None
            await asyncio.sleep(AWAY_SECONDS)
        except redis.TROUBLE:
            troubles += 1
            if troubles >= PATIENCE and (gone := await _last_word(service, job_id, after)):
                yield gone
                return
            yield None
            await asyncio.sleep(AWAY_SECONDS)


def _ending(job: Job, after: int) -> dict[str, Any] | None:
    """What the job's row knows of its end, as the last message; None while it runs."""
    if job.state not in DONE and (after or job.state != "interrupted"):
        return None  # who has seen the interrupt waits for what follows the answer
    return {
        "event_type": "end",
        "data": {"status": job.state},
        "seq": after + 1,
        "job_id": job.job_id,
        "trace_id": job.trace_id,
        "ts": (job.finished_at or job.updated_at).isoformat(),
    }


async def _found_ending(service: Parts, job_id: str, after: int) -> dict[str, Any] | None:
    """The same, of the row as it is now; one that was purged had ended."""
    job = await service.jobs.get(job_id)
    if job is None:
        return {"event_type": "end", "data": {"status": "unknown"}, "seq": after + 1, "job_id": job_id}
    return _ending(job, after)


async def _last_word(service: Parts, job_id: str, after: int) -> dict[str, Any] | None:
    """The same while Dragonfly is away; None too while PostgreSQL is."""
    with contextlib.suppress(psycopg.OperationalError):
        return await _found_ending(service, job_id, after)
    return None


async def _went_on(service: Parts, end: dict[str, Any]) -> bool:
    """Whether this `end` is that of an interrupt which has been answered since, or of an event that was refused."""
    if end["seq"] == redis.REFUSED:
        return True  # there is a job with this id, and that was not its event
    if end["data"].get("status") != "interrupted":
        return False
    if await event_log.replay(service.watchers, end["job_id"], end["seq"], count=1):
        return True
    job = await service.jobs.get(end["job_id"])
    return job is not None and job.state in ("queued", "running")


def _frame(message: dict[str, Any]) -> bytes:
    """One event of https://html.spec.whatwg.org/multipage/server-sent-events.html; JSON has no line breaks in it."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (message["seq"], message["event_type"].encode(), dump(message))
