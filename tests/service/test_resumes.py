"""An answer is for one question: no event that answered one answers a later one, whoever delivers it again."""

import functools

import pytest

from agent_executor.core import answers
from agent_executor.errors import PermanentError
from agent_executor.services import database, migrations
from agent_executor.services.jobs import Jobs
from tests.service.test_executor import resume
from tests.service.test_jobs import LEASE, event, new_job
from tests.support.graphs import agent, call, calls, plan
from tests.support.runtime import caller, until, worker
from tests.support.runtime import job as asked_for

APPROVED = {"decisions": [{"type": "approve"}]}


@pytest.fixture
async def jobs(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=2) as pool:
        yield Jobs(pool)


async def asks(jobs, job, claimed):
    """The job waits with its next question."""
    asked = event(job.job_id, f"interrupted/{claimed.interrupts + 1}")
    assert await jobs.interrupt(job.job_id, claimed.epoch, [], asked)


async def test_no_earlier_answer_is_taken_again(jobs):
    job = new_job()
    await asks(jobs, job, await jobs.claim(job, **LEASE))
    for number in (1, 2, 3):
        for earlier in range(1, number):
            assert await jobs.resume(job.job_id, f"answer-{earlier}", "again") == "interrupted"
        assert await jobs.resume(job.job_id, f"answer-{number}", number) == "queued"
        assert await jobs.resume(job.job_id, f"answer-{number}", "again") == "queued", "it has been taken"
        claimed = await jobs.reclaim(job.job_id, **LEASE)
        assert claimed.resume_id == f"answer-{number}"
        await asks(jobs, job, claimed)


async def test_an_answer_to_a_question_that_another_answered_meanwhile_is_not_taken(jobs):
    job = new_job()
    await asks(jobs, job, await jobs.claim(job, **LEASE))
    found = await jobs.question(job.job_id, "late")
    assert (found.state, found.interrupts, found.resume_id, found.known) == ("interrupted", 1, None, False)
    await jobs.resume(job.job_id, "quick", 1, ordinal=1)
    await asks(jobs, job, await jobs.reclaim(job.job_id, **LEASE))
    assert await jobs.resume(job.job_id, "late", 1, ordinal=found.interrupts) == "interrupted"
    assert not (await jobs.question(job.job_id, "late")).known
    assert (await jobs.question(job.job_id, "quick")).known
    assert await jobs.resume(job.job_id, "late", 1, ordinal=2) == "queued"
    assert (await jobs.question(job.job_id, "late")).resume_id == "late"
    assert await jobs.question("unknown", "late") is None


async def test_an_answer_that_was_taken_is_not_held_against_the_next_question(jobs):
    job = new_job()
    await asks(jobs, job, await jobs.claim(job, **LEASE))
    await jobs.resume(job.job_id, "taken", "plain")
    await asks(jobs, job, await jobs.reclaim(job.job_id, **LEASE))
    assert await answers.taken(jobs, job.job_id, "taken", "plain") is True
    with pytest.raises(PermanentError, match="invalid_answer"):
        await answers.taken(jobs, job.job_id, "another", "plain")
    assert await answers.taken(jobs, "unknown", "another", "plain") is None


async def test_jobs_take_answers_with_the_same_id(jobs):
    for job in (new_job(), new_job()):
        await asks(jobs, job, await jobs.claim(job, **LEASE))
        assert await jobs.resume(job.job_id, "answer", 1) == "queued"


async def test_the_release_before_works_while_the_schema_grows_and_its_answer_is_remembered(database_of_before):
    dsn, grow = database_of_before
    async with database.pool(dsn, schema="agent_executor", size=1) as pool:
        jobs, job = Jobs(pool), new_job()
        await asks(jobs, job, await jobs.claim(job, **LEASE))
        async with pool.connection() as connection:  # as that release took an answer
            await connection.execute("UPDATE jobs SET state = 'queued', resume_id = 'old'")
        claimed = await jobs.reclaim(job.job_id, **LEASE)
        grow()
        await jobs.claim(new_job(), **LEASE)  # a statement that this connection prepared before
        await asks(jobs, job, claimed)
        assert await jobs.resume(job.job_id, "old", 1) == "interrupted"
        assert await jobs.resume(job.job_id, "new", 2) == "queued"
        await asks(jobs, job, await jobs.reclaim(job.job_id, **LEASE))
        assert await jobs.resume(job.job_id, "old", 3) == "interrupted"


@pytest.fixture
def database_of_before(database, tmp_path):
    """A database as the first three migrations leave it, and what brings it up to date."""
    for path in migrations.SOURCE.glob("00[123]_*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    migrations.apply(database.dsn, schema="agent_executor", directory=tmp_path)
    return database.dsn, lambda: migrations.apply(database.dsn, schema="agent_executor")


async def test_a_stream_that_delivers_old_answers_again_answers_nothing(env):
    turns = [calls(call("write_file", file_path=f"/{name}", content="x")) for name in "abc"]
    definition = agent(plan(*turns, {"text": "done"}), interrupt_on={"write_file": True})
    async with caller(env) as outside, worker(env) as inside:
        asked = asked_for(definition)
        await outside.send(asked)
        for number in (1, 2):
            await until(functools.partial(outside.event, f"{asked['job_id']}/interrupted/{number}"))
            await outside.send(resume(asked["job_id"], APPROVED, f"resume-{number}"))
        await until(functools.partial(outside.event, f"{asked['job_id']}/interrupted/3"))
        await until(lambda: inside.observer.counts.get("processed") == 3)
        await outside.client.jetstream().delete_consumer(env["NATS_STREAM"], env["NATS_CONSUMER"])
        await until(lambda: inside.observer.counts.get("processed") == 6)  # all three once more, and acknowledged
        assert (await inside.jobs.get(asked["job_id"])).state == "interrupted"
        await outside.send(resume(asked["job_id"], APPROVED, "resume-3"))
        done = await outside.told(asked["job_id"], "completed")
        assert sorted(done["data"]["result"]["files"]) == ["/a", "/b", "/c"]
        assert len(outside.all(asked["job_id"])) == 4
