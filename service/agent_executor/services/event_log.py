"""A job's live events, read: the Redis Stream that `redis.LiveEvents` keeps them in, contract section 5."""

import json
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio

from agent_executor.services.redis import channel

FOLLOW_SECONDS = 1.0


async def replay(client: redis.asyncio.Redis, job_id: str, after: int = 0, count: int = 1000) -> list[dict[str, Any]]:
    """At most `count` messages of a job's log with a `seq` above `after`; empty once they have expired."""
    entries: Any = await client.xrange(f"{channel(job_id)}:log", min=f"({after}-0", count=count)
    return [json.loads(fields[b"event"]) for _, fields in entries]


async def follow(client: redis.asyncio.Redis, job_id: str, after: int = 0) -> AsyncIterator[dict[str, Any] | None]:
    """A job's messages with a `seq` above `after`, as they come, without a gap.

    None stands for a second without any: the caller may look whether the job still runs. Ends never by itself; raises
    what `TROUBLE` lists when the server is away.
    """
    key, last = f"{channel(job_id)}:log", f"{after}-0"
    while True:
        answer: Any = await client.xread({key: last}, count=100, block=int(FOLLOW_SECONDS * 1000))
        if not answer:
            yield None
            continue
        for id_, fields in answer[0][1]:
            last = id_
            yield json.loads(fields[b"event"])
