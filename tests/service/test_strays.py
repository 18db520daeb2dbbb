"""Jobs that no delivery brings again come to an end all the same, once, and with all that is told of an end."""

import asyncio

import psycopg
import pytest

from agent_executor.models.jobs import Lease
from agent_executor.services import database
from agent_executor.services import job_statements as sql
from agent_executor.services.jobs import STRAYS, Jobs
from tests.service.test_executor import ended, query, slow
from tests.service.test_jobs import DEAD, LEASE, event, new_job
from tests.support.graphs import ECHO, agent, call, calls, plan
from tests.support.runtime import caller, until, worker
from tests.support.runtime import job as asked_for

DAY = 86_400.0
TAKING = {**LEASE, "older_than": DAY}
ASKING = agent(
    plan(calls(call("write_file", file_path="/a", content="x")), {"text": "done"}), interrupt_on={"write_file": True}
)


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=4) as opened:
        yield opened


@pytest.fixture
def jobs(pool):
    return Jobs(pool)


async def ages(pool, job, seconds):
    """Nothing has become of a job for so long."""
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET updated_at = updated_at - make_interval(secs => %s::float8) WHERE job_id = %s",
            (float(seconds), job.job_id),
        )


async def queued(jobs):
    job = new_job()
    await jobs.enqueue(job)
    return job


async def running(jobs, lease=LEASE):
    job = new_job()
    await jobs.claim(job, **lease)
    return job


async def waiting(jobs):
    job = await running(jobs)
    await jobs.interrupt(job.job_id, 1, [], event(job.job_id, "interrupted/1"))
    return job


async def test_what_is_taken_and_what_is_not(jobs, pool):
    taken, left = [], []
    for place, seconds in ((left, DAY - 60), (taken, DAY + 60)):
        for job in (await queued(jobs), await running(jobs, DEAD)):
            await ages(pool, job, seconds)
            place.append(job.job_id)
    for place, seconds in ((left, 5), (taken, 15)):
        for job in (await queued(jobs), await running(jobs, DEAD), await waiting(jobs)):
            await jobs.request_cancel(job.job_id)
            await ages(pool, job, seconds)
            place.append(job.job_id)
    at_work, to_stop, asking, done = [await running(jobs) for _ in range(4)]
    await jobs.request_cancel(to_stop.job_id)
    await jobs.interrupt(asking.job_id, 1, [], event(asking.job_id, "interrupted/1"))
    await jobs.finish(done.job_id, 1, "completed", event(done.job_id))
    for job in (at_work, to_stop, asking, done):
        await ages(pool, job, 9 * DAY)
    found = await jobs.take_strays(**TAKING)
    assert sorted(job.job_id for job in found) == sorted(taken)
    assert [job.cancel_requested for job in found] == [False, False, True, True, True], "the oldest first"


async def test_each_is_taken_by_one(jobs, pool):
    made = [await queued(jobs) for _ in range(50)]
    for job in made:
        await ages(pool, job, DAY + 1)
    found = []
    while any(some := await asyncio.gather(*(jobs.take_strays(**TAKING) for _ in range(4)))):
        assert all(len(part) <= STRAYS for part in some)
        found += [job.job_id for part in some for job in part]
    assert sorted(found) == sorted(job.job_id for job in made)


async def test_a_worker_that_comes_back_changes_nothing(jobs, pool):
    job = await running(jobs, DEAD)
    await ages(pool, job, DAY + 1)
    (stray,) = await jobs.take_strays(**TAKING)
    assert (stray.epoch, stray.failures, stray.trace_id) == (2, 1, "trace-1")
    assert await jobs.renew(job.job_id, 1, lease_seconds=30) == Lease(ours=False)
    assert not await jobs.finish(job.job_id, 1, "completed", event(job.job_id))
    assert await jobs.finish(job.job_id, stray.epoch, "failed", event(job.job_id, "failed"), error={})


async def test_one_that_is_taken_and_not_ended_is_free_again_after_the_lease(jobs, pool):
    job = await queued(jobs)
    await ages(pool, job, DAY + 1)
    assert [one.epoch for one in await jobs.take_strays(**DEAD, older_than=DAY)] == [1]
    assert [one.epoch for one in await jobs.take_strays(**TAKING)] == [2]
    assert await jobs.take_strays(**TAKING) == []


async def test_they_are_looked_for_among_open_jobs_only(pool):
    values = {"owner": "o", "lease": 1.0, "grace": 1.0, "age": 1.0, "batch": 1}
    async with pool.connection() as connection:
        rows = await (await connection.execute(f"EXPLAIN {sql.TAKE_STRAYS}", values)).fetchall()
    told = "\n".join(row[0] for row in rows)
    assert "jobs_open_idx" in told
    assert "Seq Scan on jobs" not in told


async def test_a_cancellation_that_died_halfway_is_finished(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = asked_for(ASKING)
        await outside.send(asked)
        await outside.told(asked["job_id"], "interrupted")
        await until(lambda: not inside.executor.in_flight)
        assert await inside.jobs.request_cancel(asked["job_id"]) == "queued"  # and then its process died
        await inside.executor.sweep()
        assert (await inside.jobs.get(asked["job_id"])).state == "queued", "whoever cancelled it may be about to"
        await query(env, "UPDATE jobs SET updated_at = now() - interval '15 s'")
        await inside.executor.sweep()
        assert (await outside.told(asked["job_id"], "cancelled"))["data"] == {"job_id": asked["job_id"]}

        async def told_last():
            # The interruption has an `end` too, and events go out a moment after the status.
            return (await ended(env, asked["job_id"]))[-1]["data"] == {"status": "cancelled"}

        await until(told_last)
        assert inside.observer.ended == ["interrupted", "cancelled"]


LEFT = {
    "never taken": "state = 'queued', epoch = 0, failures = 0",
    "given back": "state = 'queued', epoch = 3, failures = 2",
    "its worker died": "state = 'running', epoch = 3, failures = 1, lease_expires = now() - interval '1 s'",
}


@pytest.mark.parametrize("left_as", LEFT.values(), ids=LEFT)
async def test_a_job_whose_event_left_the_stream_fails_and_may_be_asked_for_again(env, left_as):
    async with caller(env) as outside, worker(env) as inside:
        done = asked_for(agent(ECHO))
        await outside.send(done)
        await outside.told(done["job_id"], "completed")
        for age in ("23 h", "26 h"):
            await query(
                env,
                "INSERT INTO jobs (job_id, trace_id, received, headers, subject, definition, definition_hash, input,"
                " state, updated_at) SELECT %s, trace_id, received, headers, subject, definition, definition_hash,"
                f" input, 'queued', now() - interval '{age}' FROM jobs WHERE job_id = %s",
                age,
                done["job_id"],
            )
            await query(env, f"UPDATE jobs SET {left_as} WHERE job_id = %s", age)
        await inside.executor.sweep()
        told = (await outside.told("26 h", "failed"))["data"]["error"]
        assert (told["type"], told["retryable"]) == ("timeout", True)
        assert told["message"] == "delivery: none for 25 h, so the job's event has left the stream"
        assert told["attempts"] == (0 if "failures = 0" in left_as else 2)
        assert (await ended(env, "26 h"))[-1]["data"] == {"status": "failed"}
        row = await inside.jobs.get("26 h")
        assert (row.state, row.error) == ("failed", told)
        assert outside.all("23 h") == []
        await inside.executor.sweep()
        assert inside.observer.ended == ["completed", "failed"]


async def test_a_job_may_run_as_long_as_its_wall_clock_says(env):
    async with caller(env) as outside, worker(env, JOB_TIMEOUT_SECONDS="43200", JOB_LEASE_SECONDS="30") as inside:
        asked = asked_for(slow(1, 1500))
        await outside.send(asked)
        await until(lambda: inside.executor.in_flight)
        long = "UPDATE jobs SET updated_at = now() - interval '24 h', lease_expires = now() - interval '1 s'"
        await query(env, long)  # as a database leaves it that was away, and comes back
        await inside.executor.sweep()
        await outside.told(asked["job_id"], "completed")
        assert "lost_leases" not in inside.observer.counts


async def test_a_sweep_without_a_database_is_put_off_and_one_that_drains_takes_nothing(env, monkeypatch):
    async with worker(env) as inside:
        asked = 0

        async def away(**_):
            nonlocal asked
            asked += 1
            raise psycopg.OperationalError("away")

        monkeypatch.setattr(inside.jobs, "take_strays", away)
        await inside.executor.sweep()
        assert asked == 1
        inside.executor.drain()
        await inside.executor.sweep()
        assert asked == 1
