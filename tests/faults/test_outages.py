"""PostgreSQL, NATS and Redis each stopped and started again under load, on servers of the test's own.

Nothing is lost and nothing told twice; readiness names what is away within five seconds, and is back within ten.
"""

import asyncio
import contextlib
import time

import nats.errors
import nats.js.errors
import pytest

from tests.support.observer import ECHO, TYPE, job, migrate, plan, running, start, turn, until, watching
from tests.support.servers import own_servers, unique

pytestmark = pytest.mark.slow

JOBS = 10
WORK = plan(*(turn("write_todos", delay_ms=500) for _ in range(4)), {"text": "done"})
NAMES = {"postgres": "postgresql", "nats": "nats", "redis": "dragonfly"}
SETTINGS = {"JOB_MAX_ATTEMPTS": "10", "MAX_CONCURRENT_JOBS": "5", "JOB_RETRY_DELAY_SECONDS": "0.2"}


@pytest.fixture
def own():
    """Servers that this test may stop, migrated, and the environment of services on them."""
    with own_servers() as servers:
        env = {**servers.environment(), "NATS_STREAM": "AGENT_EXECUTION", "NATS_CONSUMER": "agent-executor-workers"}
        env |= {"NATS_STATUS_STREAM": "AGENT_STATUS", "NATS_DEAD_LETTER_STREAM": "AGENT_DEAD_LETTER"}
        env |= {"NATS_SUBJECT_PREFIX": "agent", "ALLOW_SCRIPTED_MODEL": "true"}
        assert migrate(env).returncode == 0
        yield servers, env


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_that_comes_back_finds_every_job_done_once(own, tmp_path, name):
    servers, env = own
    server = getattr(servers, name)
    with running(env, tmp_path, 1, **SETTINGS) as (service,):
        async with watching(env) as observer:
            ids = [await observer.publish(job(WORK, job_id=unique("job"))) for _ in range(JOBS)]
            await until(lambda: sum(map(service.has, ids)) >= 5)
            await asyncio.to_thread(server.stop)
            stopped = time.monotonic()
            said = await until(lambda: (answer := service.get("/ready")) and answer.status_code == 503 and answer)
            assert time.monotonic() - stopped < 5
            assert [check for check, state in said.json()["checks"].items() if state != "ok"] == [NAMES[name]]
            assert NAMES[name] in said.json()["detail"]
            assert service.get("/health").status_code == 200
            if name == "redis":  # live events are best effort: jobs go on without
                alone = await observer.publish(job(ECHO))
                assert (await observer.result(alone))["type"] == TYPE + "completed"
            server.spawn()  # here, not in a thread: a server ends with the thread that started it
            await asyncio.to_thread(server.wait)
            back = time.monotonic()
            await until(service.is_ready, what="ready")
            assert time.monotonic() - back < 10
            for job_id in ids:
                event = await observer.result(job_id, seconds=60)
                assert event["type"] == TYPE + "completed", event["data"]
                roles = [message["role"] for message in event["data"]["result"]["messages"]]
                assert roles == ["user", *["assistant", "tool"] * 4, "assistant"]
            await until(lambda: answered(observer, ECHO), what="publishing")
            await observer.settled(60)
            events = await observer.results()
            assert len({event["id"] for event in events}) == len({event["subject"] for event in events}) == len(events)
            assert {event["subject"] for event in events} >= set(ids)
            assert not await observer.letters()
        service.terminate()
        assert await service.ended() == 0
        assert not service.lines(level="critical")


async def answered(observer, definition):
    """Whether a new job is taken and done; NATS's client may still be on its way back."""
    with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
        job_id = await observer.publish(job(definition))
        return (await observer.result(job_id))["type"] == TYPE + "completed"


async def test_a_service_that_starts_before_its_servers_waits_for_them(own, tmp_path):
    servers, env = own
    for server in (servers.postgres, servers.nats, servers.redis):
        server.stop()
    service = start(env, tmp_path)
    try:
        said = await until(lambda: (answer := service.get("/ready")) and answer.status_code == 503 and answer)
        assert set(said.json()["checks"]) == set(NAMES.values())
        assert "ok" not in said.json()["checks"].values()
        for server in (servers.postgres, servers.nats, servers.redis):
            server.spawn()
        for server in (servers.postgres, servers.nats, servers.redis):
            await asyncio.to_thread(server.wait)
        await until(service.is_ready, seconds=20, what="ready")
        async with watching(env) as observer:
            job_id = await observer.publish(job(ECHO))
            assert (await observer.result(job_id))["type"] == TYPE + "completed"
        service.terminate()
        assert await service.ended() == 0
    finally:
        if service.process.poll() is None:
            service.kill()


async def test_a_deleted_consumer_and_stream_are_made_again(own, tmp_path):
    _, env = own
    with running(env, tmp_path, 1, **SETTINGS) as (service,):
        async with watching(env) as observer:
            first = await observer.publish(job(ECHO))
            await observer.result(first)
            await observer.settled()
            await observer.nats.jetstream().delete_consumer(env["NATS_STREAM"], env["NATS_CONSUMER"])
            again = await observer.publish(job(ECHO))
            await observer.result(again, seconds=20)
            await observer.settled()
            await observer.nats.jetstream().delete_stream(env["NATS_STREAM"])
            await until(lambda: answered(observer, ECHO), what="made again")
            # A new consumer on a kept stream delivers what is done already: answered from the job table, told once.
            assert [len(await observer.results(job_id)) for job_id in (first, again)] == [1, 1]
            assert service.is_ready()
