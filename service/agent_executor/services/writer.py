"""What jobs write while they run and when they end: rows of many jobs gather and leave as one statement.

A statement takes along whatever is ready when it leaves; while it commits, the next gathers. So a lone job waits for
nobody, and ten jobs share their commits. Rows that carry a fence are written only while their job's lease is held. A
job's end is its outcome, its event and the last rows of its run: all of it or nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from agent_executor.errors import LeaseLost
from agent_executor.services import database
from agent_executor.services import writer_statements as sql

LINGER_SECONDS = 0.005  # how long a task's writes wait for the checkpoint that mostly follows at once
STATEMENTS = 2  # on their way at a time


@dataclass(eq=False)
class Rows:
    """Rows for the checkpointer's tables, by their primary keys, the fences that they depend on, and ends of jobs."""

    checkpoints: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    blobs: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    writes: dict[tuple[str, str, str, str, int], tuple[Any, ...]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    ends: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    stored: asyncio.Future[None] | None = None
    left: asyncio.Future[None] | None = None  # done once a statement with them is on its way
    taken_back: bool = False  # they are somebody else's to store

    def add(self, other: "Rows") -> None:
        """Take another's rows along, as if they had come one after the other."""
        self.checkpoints |= other.checkpoints
        self.blobs = other.blobs | self.blobs
        for key, row in other.writes.items():
            if (
                key not in self.writes or key[4] < 0
            ):  # the first of a task's writes counts, the last of its special ones
                self.writes[key] = row
        self.fences |= other.fences
        self.ends |= other.ends
        self.left = self.left or other.left

    def statement(self) -> tuple[str, list[Any]]:
        """The statement that writes these rows, and its parameters."""
        fences = [fence for fence in self.fences.items() if fence[0] not in self.ends]
        written = (each.values() for each in (self.ends, self.checkpoints, self.blobs, self.writes))
        return sql.store(sql.Rows(fences, *written))


class Writer:
    """Gathers rows and writes them; belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[Any], *, measure: Callable[[float], None] | None = None) -> None:
        """`measure` is told the seconds of each statement."""
        self._pool = pool
        self._measure = measure
        self._waiting: list[Rows] = []
        self._writing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def store(self, rows: Rows, *, linger: bool) -> None:
        """Return once the rows are committed.

        Args:
            rows: a checkpoint, a task's writes, or a job's end.
            linger: wait a moment for rows that will follow.

        Raises:
            LeaseLost: another worker has the job; nothing was written.
            psycopg.Error: the database is away, or cannot hold a value.
        """
        loop = asyncio.get_running_loop()
        rows.stored = loop.create_future()
        self._waiting.append(rows)
        if not linger:
            loop.call_soon(self._write)  # not at once: others may be ready in this very turn of the loop
        elif self._timer is None:
            self._timer = loop.call_later(LINGER_SECONDS, self._write)
        await rows.stored

    def take_back(self, fences: Mapping[str, int]) -> Rows:
        """Rows of these runs that have not left yet: who waits for them goes on, and whoever asked is to store them."""
        taken, left = Rows(), []
        for rows in self._waiting:
            if rows.fences and rows.fences.items() <= fences.items():
                taken.add(rows)
                rows.taken_back = True
                _settle(rows, None)
            else:
                left.append(rows)
        self._waiting = left
        if self._timer and not left:
            self._timer.cancel()
            self._timer = None
        return taken

    def _write(self, finished: asyncio.Task[None] | None = None) -> None:
        """Send what waits, unless enough is on its way: then it goes when a writer comes back."""
        if finished:
            self._writing.discard(finished)
        if not self._waiting or len(self._writing) >= STATEMENTS:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, []
        writer = asyncio.get_running_loop().create_task(self._write_all(batch))
        self._writing.add(writer)
        writer.add_done_callback(self._write)

    async def _write_all(self, batch: list[Rows]) -> None:
        try:
            for rows in await self._write_together(batch):
                await self._write_together([rows])
        except Exception as error:  # noqa: BLE001  # what nobody foresaw, whoever waits has to hear of
            for rows in batch:
                _settle(rows, error)
        finally:
            for rows in batch:  # nobody waits for a writer that was ended
                if rows.stored:
                    rows.stored.cancel()

    async def _write_together(self, batch: list[Rows]) -> list[Rows]:
        """Write in one statement what can be; returns what must go by itself."""
        together, alone = Rows(), []
        for rows in batch:
            if any(together.fences.get(job, epoch) != epoch for job, epoch in rows.fences.items()):
                alone.append(rows)  # a job's former and present run in one process
            else:
                together.add(rows)
        if together.left:
            asyncio.get_running_loop().call_soon(_note_left, batch)  # when this task waits for the answer
        try:
            lost = await self._execute(together)
        except (psycopg.Error, ValueError) as error:
            if database.is_away(error):  # for each of them
                for rows in batch:
                    _settle(rows, error)
                return []
            if len(batch) > 1:
                return batch  # one job's rows must not fail another's
            _settle(batch[0], error)
            return []
        for rows in batch:
            if rows not in alone:
                gone = lost & rows.fences.keys()
                _settle(rows, LeaseLost(f"{min(gone)}: another worker has it") if gone else None)
        return alone

    async def _execute(self, rows: Rows) -> set[str]:
        statement, parameters = rows.statement()

        async def execute() -> set[str]:
            async with database.connection(self._pool) as connection:
                cursor = await connection.execute(statement, parameters, binary=True)
                return {row[0] for row in await cursor.fetchall()}

        began = time.monotonic()
        lost = await database.retried(self._pool, execute)
        if self._measure:
            self._measure(time.monotonic() - began)
        return lost


def _note_left(batch: list[Rows]) -> None:
    for rows in batch:
        if rows.left and not rows.left.done():
            rows.left.set_result(None)


def _settle(rows: Rows, error: BaseException | None) -> None:
    if rows.stored is None or rows.stored.done():  # whoever waited was cancelled
        return
    if error:
        rows.stored.set_exception(error)
    else:
        rows.stored.set_result(None)
