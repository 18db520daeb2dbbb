"""LangGraph's PostgreSQL saver without its lock: a superstep is one statement, and jobs commit together.

The library's saver lets one coroutine at a time use the whole pool, and sends the parts of a superstep one by one. Here
the checkpoint, its blobs and its writes are rows of one statement (`writer`), which takes along what other jobs have
ready. Tables, keys and bytes are the library's own, so either saver reads what the other wrote.

A run that carries a `Fence` writes only while its job's epoch is the one that it claimed; a write that comes too late
raises `LeaseLost` and leaves nothing. `setup()` is never called: migrations own the schema.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
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
from langgraph.checkpoint.base import id as ids
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import ERROR, TASKS, _DeltaSnapshot
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent_executor.errors import LeaseLost
from agent_executor.services import checkpoint_statements as sql
from agent_executor.services import database
from agent_executor.services.database import retried, storable
from agent_executor.services.fence import FENCE, Fence
from agent_executor.services.serde import Serde
from agent_executor.services.writer import Rows, Writer

# A first node that takes longer has its input's checkpoints stored meanwhile. Long against what LangGraph needs to come
# to a node's end, on a busy machine too: sent by themselves, they are a commit that the next one waits for.
HOLD_SECONDS = 0.05
LAST = "_last_v6_timestamp"  # the time in the id that the library made last; the next one's is above it


class Saver(AsyncPostgresSaver):
    """The service's checkpointer; `pool` is `database.pool`'s."""

    def __init__(self, pool: AsyncConnectionPool[Any], writer: Writer | None = None) -> None:
        """`writer` is the one that the process shares; one of its own when not given."""
        super().__init__(pool, serde=Serde())
        self._pool = pool
        self._writer = writer or Writer(pool)

    async def setup(self) -> None:
        """Refuse: migrations own the schema."""
        raise NotImplementedError("checkpoints: the schema is made by `agent-executor migrate`")

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Load a checkpoint; a job that is known to have none yet costs no round trip."""
        fence: Fence | None = config["configurable"].get(FENCE)
        if fence and not config["configurable"].get("checkpoint_ns"):
            await fence.sent()
            if fence.held.checkpoints:
                await self._send_held(fence)
        if fence and fence.empty:
            return None
        found = await retried(self._pool, lambda: super(Saver, self).aget_tuple(config))
        if found:
            _go_on_above(found.checkpoint["id"])
        return found

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
            storable({**checkpoint, "channel_values": inline}),
            storable(get_serializable_checkpoint_metadata(config, metadata)),
        )
        fence: Fence | None = configurable.get(FENCE)
        if fence and not namespace:
            fence.over = _is_last(checkpoint, fence)
        if fence and metadata.get("source") == "input":
            fence.inputs.add(checkpoint["id"])
        if fence and metadata.get("step", 1) <= 0 and metadata.get("source") in ("input", "loop"):
            self._hold(fence, thread_id, rows)
        else:
            if fence:  # what a task wrote, and the first checkpoints with it, may wait for others still
                fence.held.add(self._writer.take_back({thread_id: fence.epoch}))
            if fence and not namespace and fence.over:
                fence.held.add(rows)
            else:
                told = fence and not namespace and not fence.shown.isdisjoint(checkpoint.get("updated_channels") or ())
                await self._store(config, rows, linger=False, ahead=bool(told))
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what one task wrote, before the superstep is complete."""
        configurable = config["configurable"]
        names = (configurable["thread_id"], configurable["checkpoint_ns"], configurable["checkpoint_id"], task_id)
        rows, fence = Rows(), configurable.get(FENCE)
        if fence and any(channel == ERROR for channel, _ in writes):
            # What a node wrote before it failed would count as all of its work, and the job go on behind it.
            writes = [write for write in writes if write[0] in WRITES_IDX_MAP]
        for number, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, number)
            rows.writes[(*names, index)] = (*names, task_path, index, channel, *self.serde.dumps_typed(value))
        if fence and names[2] in fence.inputs and names[:3] in fence.held.checkpoints:
            fence.held.add(rows)  # no node's work, and made again from the input as the checkpoint is
        else:
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

    @contextlib.asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """A connection per operation, in place of the library's lock; `pipeline` means: all or nothing."""
        async with (
            database.connection(self._pool) as connection,
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
            connection.transaction() if pipeline else contextlib.nullcontext(),
        ):
            yield cursor

    async def _store(self, config: RunnableConfig, rows: Rows, *, linger: bool, ahead: bool = False) -> None:
        fence: Fence | None = config["configurable"].get(FENCE)
        if not fence:
            await self._writer.store(rows, linger=linger)
            return
        rows.fences[config["configurable"]["thread_id"]] = fence.epoch
        if fence.presumed or fence.over:  # not known to be ours yet; or written after the last checkpoint
            fence.held.add(rows)
            return
        await fence.sent()  # no checkpoint is stored before its ancestors
        await fence.stored()  # nor without one
        storing = self._store_with_held(fence, rows, linger=linger)
        await (fence.send_ahead(rows, storing) if ahead else storing)

    def _hold(self, fence: Fence, thread_id: str, rows: Rows) -> None:
        """Keep rows for what follows at once, but not for long: the first node may take its time."""
        rows.fences[thread_id] = fence.epoch
        fence.held.add(rows)

        def send() -> None:
            # Unless they have left: what is held by then may be the last superstep, which goes with the job's end.
            if not rows.checkpoints.keys() & fence.held.checkpoints.keys():
                return
            if not fence.presumed and (fence.sending is None or fence.sending.done()):
                fence.sending = self.loop.create_task(self._send_held(fence))
            else:
                self.loop.call_later(HOLD_SECONDS, send)

        self.loop.call_later(HOLD_SECONDS, send)

    async def _send_held(self, fence: Fence) -> None:
        with contextlib.suppress(LeaseLost, psycopg.Error, ValueError):  # what follows takes them along, or fails too
            await self._store_with_held(fence, Rows(), linger=False)

    async def _store_with_held(self, fence: Fence, rows: Rows, *, linger: bool) -> None:
        together = Rows()
        with fence.taken() as held, fence.under_way(held):
            together.add(held)
            together.add(rows)
            await self._writer.store(together, linger=linger)
            fence.empty = fence.empty and together.taken_back


def _go_on_above(checkpoint_id: str) -> None:
    """Make ids above this one from now on, whatever the clock says: a job's newest checkpoint is the highest.

    The clock that made it may have been another pod's, and ahead of ours.
    """
    with contextlib.suppress(ValueError):  # of another kind
        made = uuid.UUID(checkpoint_id)
        if made.version == 6:
            at = (made.int >> 80) << 12 | (made.int >> 64) & 0xFFF  # RFC 9562, section 5.6
            vars(ids)[LAST] = max(vars(ids)[LAST] or 0, at)


def _is_last(checkpoint: Checkpoint, fence: Fence) -> bool:
    """Whether no node runs after this checkpoint of the whole graph."""
    updated = checkpoint.get("updated_channels")
    if fence.triggers is None or not updated:
        return False
    return not any(channel == TASKS or channel in fence.triggers for channel in updated)
