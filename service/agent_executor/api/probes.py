"""One question for each dependency that readiness names: does it answer, and can work be done with it.

Invariant: what a probe says never holds an address, a user or a password; a client's own text may.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import psycopg
import redis.asyncio
import redis.exceptions
from nats.aio.client import Client
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from agent_executor.services import database

WAIT_SECONDS = 1.5  # for a connection, and after a start for the first look at stream and consumer
ANSWER_SECONDS = 1.5
Probe = Callable[[], Awaitable[None]]
"""Returns when a dependency answers; raises NotReady otherwise, or takes too long."""

TABLES = "SELECT to_regclass('jobs') IS NOT NULL AND to_regclass('checkpoints') IS NOT NULL"


class NotReady(Exception):  # noqa: N818  # what a dependency is
    """A dependency is missing; the text says how."""


def of(
    pool: AsyncConnectionPool,
    dragonfly: redis.asyncio.Redis,
    nats: Client,
    *,
    looked: asyncio.Event,
    taking: Callable[[], bool],
    behind: Callable[[], bool],
) -> Mapping[str, Probe]:
    """The probes of a service that starts now, by the names that the seed gives to its dependencies."""
    patience = asyncio.get_running_loop().time() + WAIT_SECONDS

    async def postgresql() -> None:
        try:
            async with database.connection(pool, WAIT_SECONDS, seconds=ANSWER_SECONDS) as connection:
                row = await (await connection.execute(TABLES)).fetchone()
        except (psycopg.Error, PoolTimeout) as error:
            raise NotReady(f"no connection ({type(error).__name__})") from None
        if not row or not row[0]:
            raise NotReady("the schema has no tables: run `agent-executor migrate`")
        if behind():
            raise NotReady("answers, but the leases of running jobs could not be renewed")

    async def dragonfly_answers() -> None:
        try:
            await dragonfly.ping()
        except (redis.exceptions.RedisError, OSError) as error:
            raise NotReady(f"no connection ({type(error).__name__})") from None

    async def nats_takes_jobs() -> None:
        # The first question comes before the connection is there; told no, it would be asked again a second later.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(patience):
                await looked.wait()
        if not nats.is_connected:
            raise NotReady("not connected")
        if not taking():
            raise NotReady("the stream or its consumer is missing and could not be made; the log says why")

    return {"postgresql": postgresql, "dragonfly": dragonfly_answers, "nats": nats_takes_jobs}
