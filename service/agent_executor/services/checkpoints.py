"""LangGraph's PostgreSQL saver without its lock: a superstep is one statement, and jobs commit together.

The library's saver lets one coroutine at a time use the whole pool, and sends the parts of a superstep one by one. Here
the checkpoint, its blobs and its writes are rows of one statement, which takes along whatever other jobs have ready:
while one commits, the next gathers. Tables, keys and bytes are the library's own, so either saver reads the other's.

A run that carries a `Fence` writes only while its job's epoch is the one that it claimed; a write that comes too late
raises `LeaseLost` and leaves nothing. `setup()` is never called: migrations own the schema.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent_executor.errors import LeaseLost
from agent_executor.services import checkpoint_statements as sql
from agent_executor.services.database import retried
from agent_executor.services.json import clean
from agent_executor.services.serde import Serde

FENCE = "__job_fence"  # key in `configurable`; the library keeps names with __ out of the metadata
LINGER_SECONDS = 0.002  # how long a task's writes wait for the checkpoint that mostly follows at once
WRITERS = 2  # statements on their way at a time


@dataclass
class Fence:
    """What a run may assume about its job: the epoch that it claimed, and whether there is anything to load."""

    epoch: int
    empty: bool = False


@dataclass(eq=False)
class Rows:
    """Rows for the three tables, by their primary keys, and the fences that they depend on."""

    checkpoints: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    blobs: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)
    writes: dict[tuple[str, str, str, str, int], tuple[Any, ...]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    stored: asyncio.Future[None] | None = None

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

    def parameters(self) -> list[Any]:
        """One array per column."""
        return [
            list(self.fences),
            list(self.fences.values()),
            *_columns(self.checkpoints.values(), 6),
            *_columns(self.blobs.values(), 6),
            *_columns(self.writes.values(), 9),
        ]


class Saver(AsyncPostgresSaver):
    """The service's checkpointer; `pool` is `database.pool`'s."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        super().__init__(pool, serde=Serde())
        self._pool = pool
        self._waiting: list[Rows] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def setup(self) -> None:
        """Refuse: migrations own the schema."""
        raise NotImplementedError("checkpoints: the schema is made by `agent-executor migrate`")

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Load a checkpoint; a job that is known to have none yet costs no round trip."""
        fence: Fence | None = config["configurable"].get(FENCE)
        if fence and fence.empty:
            return None
        return await retried(self._pool, lambda: super(Saver, self).aget_tuple(config))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, together with the writes that led to it."""
        configurable = config["configurable"]
        thread_id, namespace = configurable["thread_id"], configurable["checkpoint_ns"]
        inline, rows = {}, Rows()
        for channel, value in checkpoint["channel_values"].items():
            if value is None or isinstance(value, str | int | float | bool):
                inline[channel] = value
                continue
            if isinstance(value, _DeltaSnapshot):
                inline[channel] = True
            if version := new_versions.get(channel):
                key = (thread_id, namespace, channel, str(version))
                rows.blobs[key] = (*key, *self.serde.dumps_typed(value))
        rows.checkpoints[thread_id, namespace, checkpoint["id"]] = (
            thread_id,
            namespace,
            checkpoint["id"],
            configurable.get("checkpoint_id"),
            _jsonb({**checkpoint, "channel_values": inline}),
            _jsonb(get_serializable_checkpoint_metadata(config, metadata)),
        )
        await self._store(config, rows, linger=False)
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what one task wrote, before the superstep is complete."""
        configurable = config["configurable"]
        names = (configurable["thread_id"], configurable["checkpoint_ns"], configurable["checkpoint_id"], task_id)
        rows = Rows()
        for number, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, number)
            rows.writes[(*names, index)] = (*names, task_path, index, channel, *self.serde.dumps_typed(value))
        await self._store(config, rows, linger=True)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, with their writes and the blobs that nothing else uses."""
        async with self._cursor() as cursor:
            for statement in sql.DELETE_RUNS:
                await cursor.execute(statement, {"runs": list(run_ids)})

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy everything that a thread has to another."""
        async with self._cursor(pipeline=True) as cursor:
            for statement in sql.COPY_THREAD:
                await cursor.execute(statement, {"source": source_thread_id, "target": target_thread_id})

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """A connection per operation, in place of the library's lock; `pipeline` means: all or nothing."""
        async with (
            self._pool.connection() as connection,
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            if pipeline:
                async with connection.transaction():
                    yield cursor
            else:
                yield cursor

    async def _store(self, config: RunnableConfig, rows: Rows, *, linger: bool) -> None:
        fence: Fence | None = config["configurable"].get(FENCE)
        if fence:
            rows.fences[config["configurable"]["thread_id"]] = fence.epoch
        rows.stored = self.loop.create_future()
        self._waiting.append(rows)
        if not linger:
            self.loop.call_soon(self._write)  # not at once: others may be ready in this very turn of the loop
        elif self._timer is None:
            self._timer = self.loop.call_later(LINGER_SECONDS, self._write)
        await rows.stored
        if fence:
            fence.empty = False

    def _write(self, finished: asyncio.Task[None] | None = None) -> None:
        """Send what waits, unless enough is on its way: then it goes when a writer comes back."""
        if finished:
            self._writers.discard(finished)
        if not self._waiting or len(self._writers) >= WRITERS:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, []
        writer = self.loop.create_task(self._write_all(batch))
        self._writers.add(writer)
        writer.add_done_callback(self._write)

    async def _write_all(self, batch: list[Rows]) -> None:
        try:
            for rows in await self._write_together(batch):
                await self._write_together([rows])
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
        try:
            lost = await self._execute(together.parameters())
        except psycopg.OperationalError as error:  # the server is away, for each of them
            for rows in batch:
                _settle(rows, error)
            return []
        except (psycopg.Error, ValueError) as error:
            if len(batch) > 1:
                return batch  # one job's rows must not fail another's
            _settle(batch[0], error)
            return []
        for rows in batch:
            if rows not in alone:
                gone = lost & rows.fences.keys()
                _settle(rows, LeaseLost(f"{min(gone)}: another worker has it") if gone else None)
        return alone

    async def _execute(self, parameters: list[Any]) -> set[str]:
        async def execute() -> set[str]:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(sql.STORE, parameters, binary=True)
                return {row[0] for row in await cursor.fetchall()}

        return await retried(self._pool, execute)


def _settle(rows: Rows, error: BaseException | None) -> None:
    if rows.stored is None or rows.stored.done():  # whoever waited was cancelled
        return
    if error:
        rows.stored.set_exception(error)
    else:
        rows.stored.set_result(None)


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _jsonb(value: Any) -> str:
    """JSON that jsonb can hold: a NUL, a lone surrogate or a NaN is replaced, as everywhere else."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return json.dumps(clean(value), ensure_ascii=False, allow_nan=False)
    return text if "\\u0000" not in text else json.dumps(clean(value), ensure_ascii=False)
