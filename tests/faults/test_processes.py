"""Processes that die, stop, or lose a job: what was done stays done, and its result is told once."""

import asyncio
import time

import pytest

from tests.support.observer import (
    ECHO,
    HURRY,
    TYPE,
    job,
    metrics,
    plan,
    rows,
    running,
    script,
    turn,
    until,
    watching,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("faults-processes")]

SCRIPTS = {"a": script("a"), "b": script("b", seconds=2), "c": script("c")}
STEPS = plan(turn("a"), turn("b"), turn("c"), {"text": "done"}, scripts=SCRIPTS)


@pytest.fixture
def pair(env, tmp_path):
    """Two ready services that share everything."""
    with running({**env, **HURRY}, tmp_path, 2) as services:
        yield services


@pytest.fixture
def plain_pair(env, tmp_path):
    """The same with the settings that a claim gives them: ten seconds is a promise about those."""
    with running(env, tmp_path, 2) as services:
        yield services


async def holder(services, job_id, than=()):
    """The service that took the job, and the others."""
    return await until(
        lambda: next((one for one in services if one.has(job_id) and one not in than), None), 90, "taken"
    )


async def told_once(observer, job_id, outcome="completed", seconds=30.0):
    """The job's only status event, also after everything came to rest."""
    event = await observer.result(job_id, seconds)
    assert event["type"] == TYPE + outcome, event["data"]
    await observer.settled()
    assert len(await observer.results(job_id)) == 1
    return event


async def test_a_kill_in_the_middle_of_a_step_is_resumed_elsewhere_within_ten_seconds(plain_pair):
    pair = plain_pair
    asked = job(STEPS)
    async with watching(pair[0].env) as observer, observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked)
        await channel.reaches("on_tool_start", name="b")
        first = await holder(pair, asked["job_id"])
        first.kill()
        killed = time.monotonic()
        (second,) = (one for one in pair if one is not first)
        await until(lambda: second.has(asked["job_id"]), seconds=10, what="resumed")
        assert time.monotonic() - killed < 10
        await channel.complete()
        event = await told_once(observer, asked["job_id"])
        assert channel.tools() == ["a", "b", "b", "c"]
        assert [message["role"] for message in event["data"]["result"]["messages"]].count("tool") == 3
        assert event["data"]["result"]["output"] == "done"
        assert metrics(second)["resumes_total"] == 1
        statement = "SELECT state, failures, epoch FROM jobs WHERE job_id = %s"
        assert rows(pair[0].env, statement, asked["job_id"]) == [("completed", 1, 2)]


async def test_a_stopping_service_hands_its_job_over_within_two_seconds(pair):
    asked = job(plan(*(turn("write_todos", delay_ms=400) for _ in range(12)), {"text": "done"}))
    async with watching(pair[0].env) as observer, observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked)
        await channel.reaches("on_tool_start", name="write_todos")
        first = await holder(pair, asked["job_id"])
        (second,) = (one for one in pair if one is not first)
        first.terminate()
        told = time.monotonic()
        await until(lambda: second.has(asked["job_id"]), seconds=10, what="handed over")
        handed = time.monotonic() - told
        assert await first.ended() == 0
        await channel.complete()
        await told_once(observer, asked["job_id"])
        assert handed < 2
        assert channel.tools() == ["write_todos"] * 12
        statement = "SELECT failures, epoch FROM jobs WHERE job_id = %s"
        assert rows(pair[0].env, statement, asked["job_id"]) == [(0, 2)]


async def test_a_stopping_service_is_not_ready_and_stays_healthy(pair):
    asked = job(plan(turn("write_todos", delay_ms=3000), {"text": "done"}))
    async with watching(pair[0].env) as observer:
        await observer.publish(asked)
        first = await holder(pair, asked["job_id"])
        first.terminate()
        answer = await until(lambda: (said := first.get("/ready")) and said.status_code == 503 and said)
        assert "stopping" in answer.text
        assert first.get("/health").status_code == 200
        assert await first.ended() == 0
        await told_once(observer, asked["job_id"])


async def test_a_job_longer_than_three_ack_waits_is_delivered_once(pair):
    asked = job(plan(turn(delay_ms=7000, text="Slowly.")))
    async with watching(pair[0].env) as observer:
        await observer.publish(asked)
        await told_once(observer, asked["job_id"])
        info = await observer.nats.jetstream().consumer_info(observer.env["NATS_STREAM"], observer.env["NATS_CONSUMER"])
        assert info.delivered.consumer_seq == 1
        assert sum(metrics(one)["redeliveries_total"] for one in pair) == 0


async def test_the_same_event_five_times_is_one_run_and_one_result(pair):
    asked = job(plan(turn("write_todos", delay_ms=500), {"text": "done"}))
    async with watching(pair[0].env) as observer, observer.channel(asked["job_id"]) as channel:
        await asyncio.gather(*(observer.publish(asked) for _ in range(5)))
        await channel.complete()
        await observer.publish(asked)  # once more when it is done
        await told_once(observer, asked["job_id"])
        assert channel.tools() == ["write_todos"]
        assert rows(pair[0].env, "SELECT count(*), max(epoch) FROM jobs") == [(1, 1)]


async def test_a_job_that_kills_its_pod_is_buried(env, tmp_path):
    asked = job(plan(turn(delay_ms=60_000, text="Never.")))
    with running({**env, **HURRY}, tmp_path, 3, JOB_MAX_ATTEMPTS="2") as services:
        async with watching(env) as observer:
            good = await observer.publish(job(ECHO))
            await observer.result(good)
            await observer.publish(asked)
            dead = []
            for _ in range(2):
                dead.append(await holder(services, asked["job_id"], than=dead))
                dead[-1].kill()
            event = await told_once(observer, asked["job_id"], "failed")
            assert event["data"]["error"] | {"message": ""} == {
                "type": "attempts_exhausted",
                "message": "",
                "retryable": False,
                "attempts": 2,
            }
            (letter,) = await observer.letters()
            assert b"Never." in letter.data
            assert "2 times" in letter.headers["Agent-Executor-Reason"]
            good = await observer.publish(job(ECHO))
            assert (await observer.result(good))["type"] == TYPE + "completed"


async def test_a_lease_that_nobody_keeps_is_waited_for_and_then_taken(pair):
    asked = job(ECHO)
    async with watching(pair[0].env) as observer:
        # A worker claims a job, and is gone before it wrote anything.
        done = await observer.publish(job(ECHO))
        await told_once(observer, done)
        statement = """
            INSERT INTO jobs (job_id, trace_id, received, headers, subject, definition, definition_hash, input,
                              state, owner, epoch, lease_expires, started_at, clock_started_at)
            SELECT %s, trace_id, received, headers, subject, definition, definition_hash, input,
                   'running', 'nobody', 7, now() + interval '3 seconds', now(), now()
            FROM jobs WHERE job_id = %s
        """
        rows(pair[0].env, statement, asked["job_id"], done)
        began = time.monotonic()
        await observer.publish(asked)
        await told_once(observer, asked["job_id"])
        assert 2 < time.monotonic() - began < 10
        statement = "SELECT epoch, failures FROM jobs WHERE job_id = %s"
        assert rows(pair[0].env, statement, asked["job_id"]) == [(8, 1)]


async def test_a_worker_whose_lease_was_stolen_says_nothing(pair):
    asked = job(plan(turn("write_todos", delay_ms=1500), turn("write_todos", delay_ms=1500), {"text": "done"}))
    async with watching(pair[0].env) as observer, observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked)
        first = await holder(pair, asked["job_id"])
        stolen = "epoch = epoch + 1, owner = 'thief', lease_expires = now() + interval '2 seconds'"
        rows(pair[0].env, f"UPDATE jobs SET {stolen} WHERE job_id = %s", asked["job_id"])
        await until(lambda: first.lines("job: lost to another worker", job_id=asked["job_id"]), what="given up")
        await told_once(observer, asked["job_id"])
        await channel.complete()
        assert metrics(first)["lost_leases_total"] == 1
        statement = "SELECT state, epoch FROM jobs WHERE job_id = %s"
        assert rows(pair[0].env, statement, asked["job_id"]) == [("completed", 3)]
