"""The outbox: events that a transaction decided on, on their way to JetStream.

An event is in the table before anybody publishes it, and marked only after JetStream has it; so a crash in between
publishes it again, under the same `Nats-Msg-Id`, which JetStream drops. Any pod's relay publishes what another left.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from agent_executor.errors import TemporaryError
from agent_executor.models.jobs import Event
from agent_executor.services import database, sessions
from agent_executor.services.broker import TooLarge
from agent_executor.services.database import jsonb, storable

log = structlog.get_logger()

BATCH = 100
GRACE_SECONDS = 2.0  # the time that the worker which wrote an event has to publish it itself
RELAY_SECONDS = 1.0
MARK_SECONDS = 0.1


Publish = Callable[[Event], Awaitable[None]]
"""Returns once JetStream has stored the event (or dropped it as a duplicate); raises TemporaryError otherwise, which is
TooLarge if it never will."""


def parameters_of(event: Event) -> dict[str, Any]:
    """The statement parameters that carry an event."""
    return {
        "event_id": event.id,
        "event_subject": event.subject,
        "event_headers": jsonb(dict(event.headers)),
        "event_payload": event.payload,
    }


def columns_of(event: Event) -> tuple[str, str, str, bytes]:
    """The same, for a row of an array."""
    return event.id, event.subject, storable(dict(event.headers)), event.payload


def event_of(row: Mapping[str, Any]) -> Event:
    """The event in a row with the columns of `parameters_of`."""
    return Event(
        row["event_id"], row["event_job_id"], row["event_subject"], bytes(row["event_payload"]), row["event_headers"]
    )


class Outbox:
    """Publishes events, marks them, and relays what others left behind; `run` belongs to a task of its own."""

    def __init__(self, pool: AsyncConnectionPool, publish: Publish) -> None:
        self._pool = pool
        self._publish = publish
        self._sent: list[str] = []
        self._closed = False
        # Tried no more by this process, or they would be in the way of the others; the outbox's depth goes on telling
        # of them, and a process that starts after somebody raised the server's limit publishes them.
        self._refused: set[str] = set()

    async def send(self, event: Event) -> bool:
        """Publish an event that is in the table already; False if that must be left to a relay.

        The mark follows within a tenth of a second, together with others: it costs the job no round trip.
        """
        if sent := await self._published(event):
            self._sent.append(event.id)
        return sent

    async def run(self) -> None:
        """Mark and relay until closed; a database or a broker that is away is waited for."""
        next_relay = 0.0
        while not self._closed:
            try:
                await self._mark()
                if time.monotonic() >= next_relay:
                    await self.relay(older_than=GRACE_SECONDS)
                    next_relay = time.monotonic() + RELAY_SECONDS
            except psycopg.Error as error:
                log.warning("outbox: waiting for the database", error=str(error))
                await asyncio.sleep(RELAY_SECONDS)
            await asyncio.sleep(MARK_SECONDS)

    def close(self) -> None:
        """End `run` also if it does not hear of its cancellation."""
        self._closed = True

    async def relay(self, *, older_than: float = 0.0) -> int:
        """Publish what nobody has published, oldest first, beside other relays; returns how many went out.

        Args:
            older_than: seconds that an event is left to the worker that wrote it.
        """
        published = 0
        while True:
            refused = len(self._refused)
            async with database.connection(self._pool) as connection, connection.transaction():
                cursor = connection.cursor(row_factory=dict_row, binary=True)
                await cursor.execute(_TAKE, {"older_than": older_than, "batch": BATCH, "refused": list(self._refused)})
                sent = []
                for taken in await cursor.fetchall():
                    # One at a time: together, large ones are more than a small pod has memory for.
                    await cursor.execute(_LOAD, taken)
                    event = event_of(await anext(cursor))
                    with sessions.paused(connection):
                        if await self._published(event):
                            sent.append(event.id)
                await connection.execute(_MARK, {"sent": sent})
            published += len(sent)
            if len(sent) + len(self._refused) - refused < BATCH:  # all gone, or the broker is: either way, later
                return published

    async def flush(self) -> int:
        """Mark what was sent and publish all the rest, for a stopping pod; returns how many events are left."""
        await self._mark()
        await self.relay()
        return await self.depth()

    async def depth(self) -> int:
        """Events that are not known to be published."""
        async with database.connection(self._pool) as connection:
            row = await (await connection.execute(_DEPTH)).fetchone()
        return int(row[0]) if row else 0

    async def _published(self, event: Event) -> bool:
        try:
            await self._publish(event)
        except TooLarge as error:
            self._refused.add(event.id)
            told = {"event_id": event.id, "job_id": event.job_id, "error": error.message}
            log.error("outbox: an event can not be published", **told)  # noqa: TRY400  # nothing to trace
            return False
        except TemporaryError as error:
            log.warning("outbox: an event has to wait", event_id=event.id, job_id=event.job_id, error=error.message)
            return False
        return True

    async def _mark(self) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            async with database.connection(self._pool) as connection:
                await connection.execute(_MARK, {"sent": sent})
        except BaseException:
            self._sent = sent + self._sent  # or a relay publishes them once more, which is dropped as a duplicate
            raise


_TAKE = """
SELECT event_id FROM outbox
WHERE published_at IS NULL AND created_at < now() - make_interval(secs => %(older_than)s)
    AND event_id <> ALL(%(refused)s)
ORDER BY created_at LIMIT %(batch)s
FOR UPDATE SKIP LOCKED
"""
_LOAD = """
SELECT event_id, job_id AS event_job_id, subject AS event_subject, headers AS event_headers, payload AS event_payload
FROM outbox WHERE event_id = %(event_id)s
"""
_MARK = "UPDATE outbox SET published_at = now() WHERE event_id = ANY(%(sent)s) AND published_at IS NULL"
_DEPTH = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
