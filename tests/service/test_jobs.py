import asyncio
from dataclasses import replace

import pytest

from agent_executor.models.jobs import Busy, Claimed, Event, Finished, Lease, NewJob
from agent_executor.services import database, sessions
from agent_executor.services.jobs import Jobs
from tests.support.servers import unique

LEASE = {"owner": "pod-1", "lease_seconds": 30.0}
DEAD = {"owner": "pod-1", "lease_seconds": -1.0}  # a lease that has run out already


def new_job(**fields):
    job = NewJob(
        job_id=unique("job-"),
        trace_id="trace-1",
        received=b'{"job_id": "\xff"}',
        headers={"ce-id": "1"},
        subject="agent.execute.demo",
        definition={"name": "demo", "nodes": []},
        definition_hash="abc",
        input={"messages": ["hé"]},
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    )
    return replace(job, **fields)


def event(job_id, outcome="completed", payload=b"{}"):
    return Event(
        f"{job_id}/{outcome}", job_id, f"agent.status.{outcome}", payload, {"Content-Type": "application/json"}
    )


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=12) as opened:
        yield opened


@pytest.fixture
def jobs(pool):
    return Jobs(pool)


async def test_a_new_job_is_claimed_with_everything_it_came_with(jobs):
    job = new_job()
    claimed = await jobs.claim(job, **LEASE)
    assert claimed == job.presumed()
    assert (claimed.epoch, claimed.failures, claimed.has_checkpoint) == (1, 0, False)
    assert (claimed.definition, claimed.input, claimed.received) == (job.definition, job.input, job.received)


async def test_a_live_lease_is_busy_for_the_time_it_has_left(jobs):
    job = new_job()
    await jobs.claim(job, **LEASE)
    busy = await jobs.claim(job, owner="pod-2", lease_seconds=5)
    assert isinstance(busy, Busy)
    assert 25 < busy.seconds_left <= 30


@pytest.fixture
def one_claim(monkeypatch):
    """All claims are tries of one."""
    monkeypatch.setattr("agent_executor.services.jobs.once", lambda owner: owner)


@pytest.mark.parametrize("lease", [LEASE, DEAD])
async def test_a_claim_whose_answer_was_lost_is_made_again_and_counts_as_none(jobs, one_claim, lease):
    job = new_job()
    first, second = await jobs.claim(job, **lease), await jobs.claim(job, **LEASE)
    assert (second.epoch, second.failures) == (first.epoch, first.failures) == (1, 0)
    again = await jobs.reclaim(job.job_id, **LEASE)
    assert (again.epoch, again.failures) == (1, 0)
    assert await jobs.renew(job.job_id, 1, lease_seconds=30) == Lease(ours=True)


async def test_a_claim_that_the_server_comes_to_late_does_not_take_what_was_given_back(jobs, one_claim):
    released, failed, answered = (new_job() for _ in range(3))
    for job in (released, failed, answered):
        await jobs.claim(job, **LEASE)
    await jobs.release(released.job_id, 1)
    await jobs.fail_attempt(failed.job_id, 1, {})
    await jobs.interrupt(answered.job_id, 1, {}, event(answered.job_id, "interrupted/1"))
    await jobs.resume(answered.job_id, "e", 1)
    for job in (released, failed, answered):
        assert await jobs.claim(job, **LEASE) == await jobs.reclaim(job.job_id, **LEASE) == Busy(0.0)
        assert (await jobs.claim(job, owner="pod-2", lease_seconds=30)).epoch == 2


async def test_strays_whose_answer_was_lost_are_taken_again_and_count_as_none(jobs, one_claim):
    abandoned = new_job()
    await jobs.enqueue(abandoned)
    for _ in range(2):
        (taken,) = await jobs.take_strays(**LEASE, older_than=0)
        assert (taken.job_id, taken.epoch, taken.failures) == (abandoned.job_id, 1, 0)
    await jobs.release(abandoned.job_id, 1)
    assert not await jobs.take_strays(**LEASE, older_than=0)


async def test_a_job_that_is_to_be_cancelled_does_not_wait_for_a_person(jobs):
    job = new_job()
    await jobs.claim(job, **LEASE)
    assert await jobs.request_cancel(job.job_id) == "running"
    assert not await jobs.interrupt(job.job_id, 1, [], event(job.job_id, "interrupted/1"))
    assert await jobs.renew(job.job_id, 1, lease_seconds=30) == Lease(ours=True, cancel_requested=True)


async def test_a_job_whose_owner_died_is_taken_over_and_the_crash_counts(jobs):
    job = new_job()
    await jobs.claim(job, **DEAD)
    claimed = await jobs.claim(replace(job, definition={"other": 1}, input=None), **LEASE)
    assert (claimed.epoch, claimed.failures) == (2, 1)
    assert (claimed.definition, claimed.input) == (job.definition, job.input)


async def test_a_released_job_is_taken_over_without_a_mark_against_it(jobs):
    job = new_job()
    await jobs.claim(job, **LEASE)
    assert await jobs.release(job.job_id, 1)
    claimed = await jobs.claim(job, **LEASE)
    assert (claimed.epoch, claimed.failures) == (2, 0)


async def test_failed_attempts_are_counted(jobs):
    job = new_job()
    for number in (1, 2, 3):
        claimed = await jobs.claim(job, **LEASE)
        assert await jobs.fail_attempt(job.job_id, claimed.epoch, {"type": "overloaded"}) == number
    found = await jobs.get(job.job_id)
    assert (found.state, found.failures, found.error) == ("queued", 3, {"type": "overloaded"})


async def test_a_worker_that_lost_its_lease_changes_nothing(jobs):
    job = new_job()
    await jobs.claim(job, **DEAD)
    await jobs.claim(job, owner="pod-2", lease_seconds=30)
    assert await jobs.renew(job.job_id, 1, lease_seconds=60) == Lease(ours=False)
    assert await jobs.release(job.job_id, 1) is False
    assert await jobs.fail_attempt(job.job_id, 1, {}) is None
    assert await jobs.finish(job.job_id, 1, "completed", event(job.job_id)) is False
    assert await jobs.interrupt(job.job_id, 1, {}, event(job.job_id, "interrupted")) is False
    assert await jobs.renew(job.job_id, 2, lease_seconds=60) == Lease(ours=True)
    assert await jobs.finish(job.job_id, 2, "completed", event(job.job_id))


def told(job_id):
    """An event that no other attempt makes."""
    return event(job_id, "told", payload=unique("").encode())


ENDS = {
    "finish": lambda jobs, job_id, it: jobs.finish(job_id, 1, "completed", it, result={"output": 1}),
    "fail": lambda jobs, job_id, it: jobs.finish(job_id, 1, "failed", it, error={}),
    "interrupt": lambda jobs, job_id, it: jobs.interrupt(job_id, 1, [], it),
    "release": lambda jobs, job_id, it: jobs.release(job_id, 1),
    "fail_attempt": lambda jobs, job_id, it: jobs.fail_attempt(job_id, 1, {"type": "overloaded"}),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_an_end_whose_answer_was_lost_is_known_as_ours_and_counts_once(jobs, pool, end, monkeypatch):
    """Its first try waits for the row longer than for an answer, and then commits after all, before its second."""
    once, late = new_job(), new_job()
    for job in (once, late):
        await jobs.claim(job, **LEASE)
    ours = told(once.job_id)
    assert [await end(jobs, once.job_id, ours) for _ in range(2)] == [True, True]
    used = sessions.used
    monkeypatch.setattr(sessions, "used", lambda pool, patience, _: used(pool, patience, 0.5))
    async with pool.connection() as locker, locker.transaction():
        await locker.execute("SELECT FROM jobs WHERE job_id = %s FOR UPDATE", (late.job_id,))
        ending = asyncio.create_task(end(jobs, late.job_id, told(late.job_id)))
        await asyncio.sleep(0.8)
    assert await ending


@pytest.mark.parametrize("end", [ENDS["finish"], ENDS["interrupt"]])
async def test_another_end_of_the_same_attempt_is_not_that_which_was_stored(jobs, end):
    job = new_job()
    await jobs.claim(job, **LEASE)
    assert await end(jobs, job.job_id, told(job.job_id))
    assert not await end(jobs, job.job_id, told(job.job_id))


async def test_a_finished_job_answers_with_the_event_that_it_ended_with(jobs):
    job = new_job()
    await jobs.claim(job, **LEASE)
    done = event(job.job_id, payload=b'{"result": "\xc3\xa9"}')
    assert await jobs.finish(job.job_id, 1, "completed", done, result={"output": "é"})
    assert await jobs.claim(job, **LEASE) == Finished("completed", done)
    assert await jobs.reclaim(job.job_id, **LEASE) == Finished("completed", done)
    assert await jobs.outcome(job.job_id) == Finished("completed", done)
    assert await jobs.result(job.job_id) == {"output": "é"}


async def test_a_result_that_postgresql_cannot_hold_is_mended(jobs):
    job = new_job(input={"text": "\ud800\0"})
    claimed = await jobs.claim(job, **LEASE)
    assert claimed.input == {"text": "\ufffd\ufffd"}
    result = {"nul": "a\0", "half": "\udc00", "nan": float("nan"), "huge": 10**400, "escaped": "\\u0000"}
    assert await jobs.finish(job.job_id, 1, "completed", event(job.job_id), result=result)
    assert await jobs.result(job.job_id) == {
        "nul": "a\ufffd",
        "half": "\ufffd",
        "nan": None,
        "huge": str(10**400),
        "escaped": "\\u0000",
    }


async def test_of_twenty_claims_at_once_one_wins(jobs):
    job = new_job()
    results = await asyncio.gather(*(jobs.claim(job, owner=f"pod-{n}", lease_seconds=30) for n in range(20)))
    assert [type(result) for result in results].count(Claimed) == 1
    assert [type(result) for result in results].count(Busy) == 19


async def test_an_interrupted_job_waits_and_goes_on_with_its_answer(jobs, pool):
    job = new_job()
    await jobs.claim(job, **LEASE)
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, 'c1', '{}')", (job.job_id,)
        )
    asked = event(job.job_id, "interrupted/1")
    assert await jobs.interrupt(job.job_id, 1, [{"value": "may I?"}], asked)
    assert await jobs.claim(job, **LEASE) == Finished("interrupted", asked)

    assert await jobs.resume(job.job_id, "event-1", {"answer": "yes"}) == "queued"
    claimed = await jobs.reclaim(job.job_id, **LEASE)
    assert (claimed.resume, claimed.resume_id, claimed.has_checkpoint) == ({"answer": "yes"}, "event-1", True)
    assert (claimed.epoch, claimed.failures, claimed.interrupts) == (2, 0, 1)

    await jobs.interrupt(job.job_id, 2, [], event(job.job_id, "interrupted/2"))
    assert await jobs.resume(job.job_id, "event-1", {"answer": "again"}) == "interrupted", "a redelivery is no answer"
    assert await jobs.resume(job.job_id, "event-2", {"answer": "no"}) == "queued"
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, 'c2', '{}')", (job.job_id,)
        )
    claimed = await jobs.reclaim(job.job_id, **LEASE)
    assert claimed.resume is None, "the graph has taken the answer already"


async def test_cancelling(jobs):
    running, waiting, done = new_job(), new_job(), new_job()
    for job in (running, waiting, done):
        await jobs.claim(job, **LEASE)
    await jobs.interrupt(waiting.job_id, 1, {}, event(waiting.job_id, "interrupted/1"))
    await jobs.finish(done.job_id, 1, "completed", event(done.job_id))

    assert await jobs.request_cancel(running.job_id) == "running"
    assert await jobs.renew(running.job_id, 1, lease_seconds=30) == Lease(ours=True, cancel_requested=True)
    assert await jobs.request_cancel(waiting.job_id) == "queued"
    assert (await jobs.reclaim(waiting.job_id, **LEASE)).cancel_requested
    assert await jobs.request_cancel(done.job_id) == "completed"
    assert await jobs.request_cancel("unknown") is None


async def test_an_enqueued_job_can_be_seen_and_then_claimed(jobs):
    job = new_job()
    assert await jobs.enqueue(job)
    assert await jobs.enqueue(job) is False
    assert (await jobs.get(job.job_id)).state == "queued"
    claimed = await jobs.claim(job, **LEASE)
    assert (claimed.epoch, claimed.failures) == (1, 0)


async def test_unknown_jobs_are_none(jobs):
    assert await jobs.get("unknown") is None
    assert await jobs.result("unknown") is None
    assert await jobs.outcome("unknown") is None
    assert await jobs.reclaim("unknown", **LEASE) is None
    assert await jobs.resume("unknown", "e", 1) is None


async def test_pages_hold_every_job_once_and_newest_first(jobs):
    made = [new_job() for _ in range(7)]
    for job in made:
        await jobs.claim(job, **LEASE)
    seen, before = [], None
    while page := await jobs.page(limit=3, before=before):
        seen += [job.job_id for job in page]
        before = (page[-1].created_at, page[-1].job_id)
    assert seen == [job.job_id for job in reversed(made)]
    assert [job.job_id for job in await jobs.page(limit=9, state="completed")] == []


async def test_time_spent_is_that_at_work_and_leaves_out_every_wait(jobs, pool):
    job = new_job()
    await jobs.claim(job, **LEASE)

    async def an_hour_passes():
        async with pool.connection() as connection:
            await connection.execute("UPDATE jobs SET clock_started_at = clock_started_at - interval '1 hour'")

    await an_hour_passes()
    await jobs.interrupt(job.job_id, 1, {}, event(job.job_id, "interrupted/1"))
    await an_hour_passes()
    await jobs.resume(job.job_id, "e", 1)
    claimed = await jobs.reclaim(job.job_id, **LEASE)
    assert 3600 <= claimed.seconds_spent < 3610
    await an_hour_passes()
    await jobs.release(job.job_id, 2)
    await an_hour_passes()
    claimed = await jobs.reclaim(job.job_id, **LEASE)
    assert 7200 <= claimed.seconds_spent < 7210, "no pod had it"
    await jobs.fail_attempt(job.job_id, 3, {})
    await an_hour_passes()
    claimed = await jobs.reclaim(job.job_id, **LEASE)
    assert 7200 <= claimed.seconds_spent < 7210, "its retry was not due"
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET clock_started_at = now() - interval '3 hours', lease_expires = now() - interval '2 hours'"
        )
    claimed = await jobs.reclaim(job.job_id, owner="another", lease_seconds=30)
    assert 10800 <= claimed.seconds_spent < 10810, "its pod died, and there was no other"


async def test_old_finished_jobs_are_removed_with_everything_they_left(jobs, pool):
    old, unpublished, fresh, running = (new_job() for _ in range(4))
    tables = ("jobs", "outbox", "checkpoints", "checkpoint_blobs", "checkpoint_writes")
    async with pool.connection() as connection:
        for job in (old, unpublished, fresh, running):
            await jobs.claim(job, **LEASE)
            await connection.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, 'c', '{}')", (job.job_id,)
            )
            await connection.execute(
                "INSERT INTO checkpoint_blobs VALUES (%s, '', 'a', '1', 'msgpack', '')", (job.job_id,)
            )
            await connection.execute(
                "INSERT INTO checkpoint_writes VALUES (%s, '', 'c', 't', 0, 'a', 'msgpack', '')", (job.job_id,)
            )
        for job in (old, unpublished, fresh):
            await jobs.finish(job.job_id, 1, "completed", event(job.job_id))
        await connection.execute("UPDATE outbox SET published_at = now() WHERE job_id <> %s", (unpublished.job_id,))
        await connection.execute(
            "UPDATE jobs SET finished_at = now() - interval '8 days' WHERE job_id <> %s AND state = 'completed'",
            (fresh.job_id,),
        )
        assert await jobs.purge(older_than_days=7) == 1
        for table in tables:
            column = "job_id" if table in ("jobs", "outbox") else "thread_id"
            rows = await (await connection.execute(f"SELECT DISTINCT {column} FROM {table}")).fetchall()
            assert old.job_id not in {row[0] for row in rows}, table
            assert unpublished.job_id in {row[0] for row in rows}, table


async def test_jobs_that_left_too_much_for_one_statement_are_removed_by_fewer(migrated, monkeypatch):
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.3)
    async with database.pool(migrated.dsn, schema="agent_executor", size=2) as pool:
        jobs = Jobs(pool)
        async with pool.connection() as connection:
            for job in [new_job() for _ in range(30)]:
                await jobs.claim(job, **LEASE)
                await connection.execute(
                    "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, 'c', '{}')",
                    (job.job_id,),
                )
            await connection.execute(
                "CREATE FUNCTION much() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_sleep(0.05); RETURN OLD; END'"
            )
            await connection.execute(
                "CREATE TRIGGER much BEFORE DELETE ON checkpoints FOR EACH ROW EXECUTE PROCEDURE much()"
            )
            await connection.execute("UPDATE jobs SET state = 'failed', finished_at = now() - interval '8 days'")
        assert await jobs.purge(older_than_days=7) == 30
        assert not await jobs.page(limit=1)
