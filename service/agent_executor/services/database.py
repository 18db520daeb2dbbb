"""Connections to PostgreSQL: one pool per process, every connection in the tenant's schema.

Connections are autocommit: a statement that must be atomic with another is one statement with it. A server that was
restarted costs nobody an attempt: `retried` notices its closed connections. One that is gone without a word is noticed
by the kernel's timeouts, one that only takes packets by the deadlines of `sessions`.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from agent_executor.services import sessions
from agent_executor.services.json import as_it_is, clean
from agent_executor.settings import Settings

CONNECT_SECONDS = 5
RECONNECT_SECONDS = 3.0
POOL_SECONDS = 10.0  # to wait for a free connection, or for a server that is away
SILENCE_SECONDS = 10  # after which unanswered packets mean that the server is gone
STATEMENT_SECONDS = 30
ANSWER_SECONDS = 10.0  # of a session for one statement, nearly all of which take milliseconds
# Nobody waits for the statement of a session that was ended: it is not to go on waiting for a lock, or a standby, while
# there is a second try. PostgreSQL knows the setting from version 14 on.
ABANDONED = {"client_connection_check_interval": "1s"}
LONGEST_SECONDS = STATEMENT_SECONDS + 5.0  # after which not even the server's own timeout works
# Every statement here finds its rows by their keys, and is planned once per connection. Left alone, PostgreSQL plans
# the wide ones anew for every job (a quarter of a millisecond), and keeps plans that read all of a table which was
# small then.
PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
T = TypeVar("T")


def dsn(settings: Settings) -> str:
    """A libpq connection string; holds the password, so never log it."""
    return conninfo.make_conninfo(
        host=settings.postgres_host,
        port=settings.postgres_port,
        dbname=settings.postgres_db,
        user=settings.postgres_user,
        password=settings.postgres_password.get_secret_value(),
        connect_timeout=CONNECT_SECONDS,
    )


def pool(dsn: str, *, schema: str, size: int) -> AsyncConnectionPool:
    """Make a pool, which `async with` opens and closes.

    Args:
        dsn: as libpq takes it.
        schema: the only entry of the search path, whatever its name.
        size: connections at most; they are opened as they are needed.
    """
    settings = {"search_path": _escaped(schema), "statement_timeout": f"{STATEMENT_SECONDS}s", **ABANDONED, **PLANS}
    return AsyncConnectionPool(
        conninfo.make_conninfo(
            dsn,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            application_name="agent-executor",
            tcp_user_timeout=SILENCE_SECONDS * 1000,
            keepalives_idle=SILENCE_SECONDS,
            keepalives_interval=2,
            keepalives_count=3,
        ),
        min_size=1,
        max_size=size,
        open=False,
        timeout=POOL_SECONDS,
        # The library waits ever longer between attempts, up to minutes; given up, the next request tries at once.
        reconnect_timeout=RECONNECT_SECONDS,
        # Prepared at the first use: every statement here is one of a few, used for every job.
        kwargs={"autocommit": True, "prepare_threshold": 0},
        configure=sessions.answered,
        name="agent-executor",
    )


def connection(
    pool: AsyncConnectionPool[Any], patience: float | None = None, *, seconds: float = ANSWER_SECONDS
) -> contextlib.AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
    """A connection for one statement: the pool's `connection` also commits, which a sixth of its time goes into.

    Args:
        pool: `pool`'s.
        patience: seconds to wait for a connection, the pool's own when not given; then it raises PoolTimeout.
        seconds: to wait for all answers; then the session is ended, and `sessions.Silent` raised.
    """
    return sessions.used(pool, patience, seconds)


async def retried(pool: AsyncConnectionPool[Any], work: Callable[[], Awaitable[T]]) -> T:
    """Do the work, and once more if a connection was lost. Its statements must be harmless to do twice."""
    began = asyncio.get_running_loop().time()
    try:
        return await work()
    except PoolTimeout:
        raise  # the server is away, and has been waited for
    except sessions.Silent:
        done = await work()
        await sessions.end_unheard(pool, asked_before=began)  # the server answers, but not to them
        return done
    except psycopg.OperationalError as error:
        if is_away(error):
            await pool.drain()  # whatever closed one connection has mostly closed them all
        return await work()


def is_away(error: Exception) -> bool:
    """Whether the server is gone, and not only something wrong with a row: psycopg calls both operational."""
    state = getattr(error, "sqlstate", None)
    return isinstance(error, psycopg.OperationalError) and (state is None or state.startswith(("08", "57P")))


def storable(value: Any) -> str:
    """JSON that jsonb can hold: a NUL, a lone surrogate, a NaN is replaced (`json.clean`), and all else left alone."""
    if (body := as_it_is(value)) is not None:
        return body.decode()
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError):
        return json.dumps(clean(value), ensure_ascii=False)
    return text if "\\u0000" not in text else json.dumps(clean(value), ensure_ascii=False)


def jsonb(value: Any) -> Jsonb:
    """A statement parameter of type jsonb, whatever a model or a tool made of the value."""
    return Jsonb(value, dumps=storable)


def _escaped(schema: str) -> str:
    quoted = '"' + schema.replace('"', '""') + '"'
    return quoted.replace("\\", "\\\\").replace(" ", "\\ ")  # libpq splits options at spaces
