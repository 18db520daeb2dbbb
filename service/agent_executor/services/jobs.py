"""The job table: who works on a job, how often it failed, how it ended.

One worker at a time: `claim` hands out a lease and a new epoch, and whatever a worker writes names its epoch, so a
worker that lost its lease changes nothing. Every function is one statement, hence one round trip and one transaction,
and harmless to do twice, since after a lost connection nobody knows whether it was done.
Times are the database's: of pods' clocks only the order of a job's checkpoints is made. A lease that runs out was not
given back, so its owner died: that counts as a failure, and a job that kills its pod is buried like any other.

States: queued -> running -> completed | failed | cancelled, and running -> interrupted -> (resume) queued.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from agent_executor.errors import LeaseLost
from agent_executor.models.jobs import Busy, Claimed, Event, Finished, Job, Lease, NewJob, Outcome, Question, State
from agent_executor.services import database
from agent_executor.services import job_statements as sql
from agent_executor.services.database import jsonb, retried, storable
from agent_executor.services.job_rows import claim_result, claimed, columns, finished, once
from agent_executor.services.outbox import columns_of, parameters_of
from agent_executor.services.writer import Rows, Writer

PURGE_BATCH = 500
CLAIM_TRIES = 5
SHORTEST = 2.0  # seconds without an answer that a busy machine may take
STRAYS = 20  # taken at a time
STRAY_GRACE = 10.0  # seconds that a cancelled job is left to whoever cancelled it


class Jobs:
    """The table in one schema; `pool` is `database.pool`'s."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        writer: Writer | None = None,
        *,
        patience: float | None = None,
        answer: float = database.ANSWER_SECONDS,
    ) -> None:
        """The parts of a job table.

        Args:
            pool: `database.pool`'s.
            writer: the one that the process shares; one of its own when not given.
            patience: seconds to wait for a connection; the pool's own when not given.
            answer: seconds to wait for an answer, where no lease asks for less.
        """
        self._pool = pool
        self._writer = writer or Writer(pool)
        self._patience = patience
        self._answer = answer

    async def enqueue(self, job: NewJob) -> bool:
        """Note a job before anybody works on it, so that it can be seen and cancelled; False if it is known."""
        return bool(await self._rows(sql.ENQUEUE, columns(job)))

    async def claim(self, job: NewJob, *, owner: str, lease_seconds: float) -> Claimed | Busy | Finished:
        """Take a job that was delivered, new or not."""
        parameters = {**columns(job), "owner": once(owner), "lease": lease_seconds}
        return await self._claim(sql.CLAIM, parameters, lease_seconds)

    async def reclaim(self, job_id: str, *, owner: str, lease_seconds: float) -> Claimed | Busy | Finished | None:
        """Take a job that is known, after `resume` or `request_cancel`; None if it is not known."""
        parameters = {"job_id": job_id, "owner": once(owner), "lease": lease_seconds}
        return await self._claim(sql.RECLAIM, parameters, lease_seconds) if await self._state([], job_id) else None

    async def take_strays(self, *, owner: str, lease_seconds: float, older_than: float) -> list[Claimed]:
        """Take a few jobs that nobody works on and no delivery may bring, beside other pods; empty when there are none.

        They are to be cancelled, or nothing has become of them for `older_than` seconds.
        """
        parameters = {"owner": once(owner), "lease": lease_seconds, "age": older_than}
        rows = await self._rows(sql.TAKE_STRAYS, {**parameters, "grace": STRAY_GRACE, "batch": STRAYS})
        return [claimed(row) for row in rows]

    async def renew(self, job_id: str, epoch: int, *, lease_seconds: float) -> Lease:
        """Keep the lease; a lease that is not ours any more means: stop, publish nothing, ack nothing."""
        parameters = {"job_id": job_id, "epoch": epoch, "lease": lease_seconds}
        # In a lease there is time for a second try, on another connection.
        rows = await self._rows(sql.RENEW, parameters, max(lease_seconds / 3, SHORTEST))
        return Lease(ours=True, cancel_requested=rows[0]["cancel_requested"]) if rows else Lease(ours=False)

    async def release(self, job_id: str, epoch: int) -> bool:
        """Give the job back without a mark against it (a drain); False if it was not ours any more."""
        return bool(await self._rows(sql.RELEASE, {"job_id": job_id, "epoch": epoch, "failed": 0, "error": None}))

    async def fail_attempt(self, job_id: str, epoch: int, error: Mapping[str, Any]) -> int | None:
        """Count a failure and give the job back for another attempt.

        Returns:
            The failures so far, this one included; None if the job was not ours any more.
        """
        parameters = {"job_id": job_id, "epoch": epoch, "failed": 1, "error": jsonb(error)}
        rows = await self._rows(sql.RELEASE, parameters)
        return int(rows[0]["failures"]) if rows else None

    async def finish(
        self,
        job_id: str,
        epoch: int,
        outcome: Outcome,
        event: Event,
        *,
        result: Any = None,
        error: Mapping[str, Any] | None = None,
        held: Rows | None = None,
    ) -> bool:
        """End the job and put its event into the outbox, with the rows that its run holds: all or none of it.

        Returns:
            False if it was not ours any more.
        """
        rows = Rows(fences={job_id: epoch})
        if held:
            rows.add(held)
        told = (storable(value) if value is not None else None for value in (result, error))
        rows.ends[job_id] = (job_id, epoch, outcome, *told, *columns_of(event))
        try:
            await self._writer.store(rows, linger=False)
        except LeaseLost:
            return await self._told(event)
        return True

    async def interrupt(self, job_id: str, epoch: int, payload: Any, event: Event) -> bool:
        """Let the job wait for a person at its last checkpoint, without a worker.

        Returns:
            False if it was not ours any more, or is to be cancelled: `renew` tells which.
        """
        parameters = {**parameters_of(event), "job_id": job_id, "epoch": epoch, "payload": jsonb(payload)}
        return bool(await self._rows(sql.INTERRUPT, parameters)) or await self._told(event)

    async def question(self, job_id: str, resume_id: str) -> Question | None:
        """What a job waits for, as an event that may answer it finds it; None if the job is not known."""
        rows = await self._rows(sql.QUESTION, {"job_id": job_id, "resume_id": resume_id})
        return Question(**rows[0]) if rows else None

    async def resume(self, job_id: str, resume_id: str, answer: Any, *, ordinal: int | None = None) -> State | None:
        """Give an interrupted job its answer; then `reclaim` it.

        `resume_id` is the event's id: an event that has answered before changes nothing, whatever is asked now. A job
        that does not wait keeps its state. With `ordinal` only that interrupt is answered.

        Returns:
            The state afterwards, `queued` when the answer was taken; None if the job is not known.
        """
        parameters = {"job_id": job_id, "resume_id": resume_id, "answer": jsonb(answer), "ordinal": ordinal}
        rows = await self._rows(sql.RESUME, parameters)
        return await self._state(rows, job_id)

    async def request_cancel(self, job_id: str) -> State | None:
        """Ask for the end of a job; a worker learns of it with its next renewal.

        Returns:
            The state afterwards: `queued` means that nobody works on it, so the caller may `reclaim` it and finish it
            as cancelled; None if the job is not known.
        """
        return await self._state(await self._rows(sql.CANCEL, {"job_id": job_id}), job_id)

    async def get(self, job_id: str) -> Job | None:
        """One job, without its result."""
        rows = await self._rows(sql.GET, {"job_id": job_id})
        return Job(**rows[0]) if rows else None

    async def result(self, job_id: str) -> Any | None:
        """The result of a completed job, None for any other."""
        rows = await self._rows("SELECT result FROM jobs WHERE job_id = %(job_id)s", {"job_id": job_id})
        return rows[0]["result"] if rows else None

    async def outcome(self, job_id: str) -> Finished | None:
        """How a job ended and the event that said so; None while it runs, or if it is not known."""
        rows = await self._rows(sql.OUTCOME, {"job_id": job_id})
        return finished(rows[0]) if rows and rows[0]["found"] not in ("queued", "running") else None

    async def page(
        self, *, limit: int, before: tuple[datetime, str] | None = None, state: State | None = None
    ) -> list[Job]:
        """A page of jobs, newest first; the next page is `before` the last one's (created_at, job_id)."""
        at, job_id = before or (None, None)
        parameters = {"limit": limit, "at": at, "job_id": job_id, "state": state}
        return [Job(**row) for row in await self._rows(sql.LIST, parameters)]

    async def purge(self, *, older_than_days: float) -> int:
        """Remove jobs that ended longer ago, and have told it, with all that they left; returns how many."""
        purged, batch = 0, PURGE_BATCH
        while batch:
            try:
                rows = await self._rows(sql.PURGE, {"days": older_than_days, "batch": batch}, database.LONGEST_SECONDS)
                purged, batch = purged + len(rows), batch if rows else 0
            except psycopg.errors.QueryCanceled:  # so many have left more than can be removed in its time
                if batch == 1:
                    raise
                batch = max(batch // 10, 1)
        return purged

    async def _claim(self, statement: str, parameters: Mapping[str, Any], seconds: float) -> Claimed | Busy | Finished:
        # A row that another claim inserted meanwhile is neither taken nor seen by this statement, but by the next one.
        for _ in range(CLAIM_TRIES):
            if found := claim_result((await self._rows(statement, parameters, max(seconds, SHORTEST)))[0]):
                return found
        return Busy(1.0)

    async def _told(self, event: Event) -> bool:
        return bool(await self._rows(sql.TOLD, parameters_of(event)))

    async def _state(self, rows: Sequence[Mapping[str, Any]], job_id: str) -> State | None:
        if not rows:
            rows = await self._rows("SELECT state FROM jobs WHERE job_id = %(job_id)s", {"job_id": job_id})
        return rows[0]["state"] if rows else None

    async def _rows(
        self, statement: str, parameters: Mapping[str, Any], seconds: float | None = None
    ) -> list[dict[str, Any]]:
        seconds = seconds or self._answer

        async def execute() -> list[dict[str, Any]]:
            async with (
                database.connection(self._pool, self._patience, seconds=seconds) as connection,
                connection.cursor(row_factory=dict_row, binary=True) as cursor,
            ):
                await cursor.execute(statement, parameters)
                return await cursor.fetchall()

        return await retried(self._pool, execute)
