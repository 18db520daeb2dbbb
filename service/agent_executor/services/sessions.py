"""Sessions of PostgreSQL in use, and how long each may leave a question without an answer.

A server that was stopped, or a proxy before it, acknowledges every packet and says nothing: the kernel sees a healthy
connection, and the server's own timeouts hang with it. So the client has a deadline of its own, which ends the session.
Its socket is shut, not closed: whoever waits for the answer hears of it at once, as of a server that hung up, and what
had arrived is still read. A cancellation would ask the server to cancel, which takes psycopg ten seconds here.
"""

import asyncio
import contextlib
import os
import socket
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

Connection = psycopg.AsyncConnection[Any]

LOOK_SECONDS = 1.0
AT_WORK = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s) AND state = 'active'"


class Silent(psycopg.OperationalError):
    """A session left a question unanswered, and was ended."""


@dataclass(eq=False)
class Use:
    """One use of a connection, from the pool and back."""

    pool: AsyncConnectionPool[Any]
    connection: Connection
    seconds: float
    since: float = field(init=False)
    ended: bool = False
    _timer: asyncio.TimerHandle = field(init=False)

    def __post_init__(self) -> None:
        """The time runs."""
        self.begin()

    def begin(self) -> None:
        """An answer is waited for from now on."""
        loop = asyncio.get_running_loop()
        self.since = loop.time()
        self._timer = loop.call_later(self.seconds, self.end)

    def pause(self) -> None:
        """No answer is waited for."""
        self._timer.cancel()

    @property
    def asks(self) -> bool:
        """Whether an answer is waited for."""
        return not self._timer.cancelled()

    def end(self) -> None:
        """Shut the session's socket."""
        self.pause()
        self.ended = True
        # Another descriptor of the same socket: the connection's own stays valid for whoever waits on it.
        with (
            contextlib.suppress(psycopg.OperationalError, OSError),
            socket.socket(fileno=os.dup(self.connection.pgconn.socket)) as same,
        ):
            same.shutdown(socket.SHUT_RDWR)


_uses: dict[Connection, Use] = {}
_answered: weakref.WeakKeyDictionary[Connection, float] = weakref.WeakKeyDictionary()  # when each did last
_doubted: weakref.WeakKeyDictionary[AsyncConnectionPool[Any], float] = weakref.WeakKeyDictionary()  # who did not since


async def answered(connection: Connection) -> None:
    """A session is known to be alive: it has just been made, or has answered."""
    _answered[connection] = asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def used(pool: AsyncConnectionPool[Any], patience: float | None, seconds: float) -> AsyncIterator[Connection]:
    """A connection of the pool for the block; raises Silent when it has not answered after so many seconds."""
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    connection = await _trusted(pool, patience)
    use = _uses[connection] = Use(pool, connection, seconds)
    try:
        if task and task.cancelling() > asked:  # the pool keeps one to itself that comes as it gives a connection
            raise asyncio.CancelledError
        yield connection
        await answered(connection)
    except psycopg.OperationalError as error:
        if use.ended:
            _doubted[pool] = max(use.since, _doubted.get(pool, use.since))
            raise Silent(f"no answer within {seconds:g} s") from error
        raise
    finally:
        use.pause()
        del _uses[connection]
        if use.ended:
            connection.pgconn.finish()
        await pool.putconn(connection)  # which closes one that is in the middle of something


async def _trusted(pool: AsyncConnectionPool[Any], patience: float | None) -> Connection:
    # Sessions that have been idle since before a silent one was asked are mostly as silent, one deadline after the
    # other. Whoever has answered meanwhile is not: then one statement was slow, and is nobody else's trouble.
    while True:
        connection: Connection = await pool.getconn(patience)
        if pool not in _doubted or _answered[connection] >= _doubted[pool]:
            return connection
        connection.pgconn.finish()
        await pool.putconn(connection)


@contextlib.contextmanager
def paused(connection: Connection) -> Iterator[None]:
    """Do something else meanwhile, however long it takes."""
    use = _uses[connection]
    use.pause()
    try:
        yield
    finally:
        use.begin()


def end(pool: AsyncConnectionPool[Any]) -> bool:
    """End all sessions of a pool that have not answered.

    Returns:
        Whether there was any.
    """
    found = _asking(pool)
    for use in found:
        use.end()
    return bool(found)


async def end_unheard(pool: AsyncConnectionPool[Any], *, asked_before: float) -> None:
    """End sessions asked before a time of the loop's clock that the server, which is to answer, does not work for."""
    late = {use: use.since for use in _asking(pool) if use.since <= asked_before}
    if not late:
        return
    with contextlib.suppress(psycopg.OperationalError):  # then each has its own deadline
        async with used(pool, LOOK_SECONDS, LOOK_SECONDS) as connection:
            rows = await connection.execute(AT_WORK, [[use.connection.pgconn.backend_pid for use in late]])
            at_work = {pid for (pid,) in await rows.fetchall()}
        for use, since in late.items():
            if use.asks and use.since == since and use.connection.pgconn.backend_pid not in at_work:
                use.end()


def _asking(pool: AsyncConnectionPool[Any]) -> list[Use]:
    return [use for use in _uses.values() if use.pool is pool and use.asks]
