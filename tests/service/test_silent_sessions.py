"""A session of PostgreSQL that takes every packet and never answers: neither the kernel nor the server notices."""

import asyncio
import contextlib
import functools
import os
import signal
import time
from types import SimpleNamespace

import psycopg
import pytest

from agent_executor.api import probes
from agent_executor.core.running import Running
from agent_executor.services import database, outbox, sessions
from agent_executor.services.jobs import Jobs
from agent_executor.services.outbox import Outbox
from agent_executor.services.sessions import Silent
from tests.service.test_jobs import LEASE, event, new_job
from tests.support.api import ECHO, plan, serving
from tests.support.graphs import agent, call, calls
from tests.support.graphs import plan as scripted
from tests.support.proxies import proxied
from tests.support.runtime import caller, job, until, worker

STEP = {"text": "step", "tool_calls": [{"name": "write_todos", "args": {"todos": []}}], "delay_ms": 200}


@pytest.fixture
def proxy(migrated):
    with proxied(int(migrated.postgres["POSTGRES_PORT"])) as made:
        yield made


@pytest.fixture
async def pool(migrated, proxy):
    dsn = psycopg.conninfo.make_conninfo(migrated.dsn, port=proxy.port)
    async with database.pool(dsn, schema="agent_executor", size=4) as opened:
        yield opened


def hurried(used, most, pool, patience, seconds):
    return used(pool, patience, min(seconds, most))


async def claimed(pool):
    known = new_job()
    await Jobs(pool).claim(known, **LEASE)
    return known.job_id


async def test_a_statement_goes_on_over_another_session(pool, proxy):
    job_id = await claimed(pool)
    proxy.strand()
    async with asyncio.timeout(4):
        assert (await Jobs(pool, answer=0.5).get(job_id)).state == "running"
    assert proxy.connections >= 2


@contextlib.asynccontextmanager
async def stopped(dsn):
    """The sessions that there are do nothing inside the block; after it they do what they were asked, and are gone."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as asking:

        async def pids():
            rows = await asking.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'agent-executor'")
            return {pid for (pid,) in await rows.fetchall()}

        silent = await pids()
        for pid in silent:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in silent:
                os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            while silent & await pids():
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("given_back", [False, True])
async def test_a_claim_that_a_silent_session_makes_after_all_takes_the_job_from_nobody(migrated, given_back):
    async with database.pool(migrated.dsn, schema="agent_executor", size=1) as pool:
        await claimed(pool)
        table, asked = Jobs(pool), new_job()
        async with stopped(migrated.dsn):
            taken = await table.claim(asked, owner="pod-1", lease_seconds=2.0)  # as prepared
            assert (taken.epoch, taken.failures) == (1, 0)
            if given_back:
                assert await table.release(asked.job_id, 1)
        if not given_back:
            assert (await table.renew(asked.job_id, 1, lease_seconds=30)).ours
        else:
            again = await table.claim(asked, **LEASE)
            assert (again.epoch, again.failures) == (2, 0)


async def test_idle_sessions_are_not_asked_one_after_the_other(pool, proxy):
    job_id = await claimed(pool)
    await asyncio.gather(*(Jobs(pool).get(job_id) for _ in range(20)))
    proxy.strand()
    async with asyncio.timeout(4):
        for _ in range(4):
            assert await Jobs(pool, answer=1.0).get(job_id)


async def test_without_any_answer_it_is_an_error_of_the_database_soon(pool, proxy):
    await claimed(pool)
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        await Jobs(pool, patience=0.5, answer=0.5).get("any")
    assert time.monotonic() - began < 3


async def test_a_renewal_is_in_time_and_frees_what_waits_longer(pool, proxy):
    job_id = await claimed(pool)
    table = Jobs(pool)
    proxy.strand()
    waiting = asyncio.create_task(table.get(job_id))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(6):  # of a lease of eight seconds
        assert (await table.renew(job_id, 1, lease_seconds=6)).ours
        assert (await waiting).state == "running"


async def test_a_statement_that_waits_for_a_lock_ends_no_other_and_costs_no_session_in_use(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=3) as pool:
        job_id = await claimed(pool)
        await asyncio.gather(*(slow(pool, 0.3) for _ in range(3)))  # so that it is full
        made = pool.get_stats()["connections_num"]
        async with await psycopg.AsyncConnection.connect(migrated.dsn) as locker:
            await locker.execute("LOCK TABLE agent_executor.jobs")
            at_work = asyncio.create_task(slow(pool, 2.5))
            asked = asyncio.create_task(Jobs(pool, answer=1.0).get(job_id))
            for _ in range(7):
                await asyncio.sleep(0.2)
                await slow(pool, 0)
        assert (await asked).state == "running"
        await asyncio.wait_for(at_work, 3)
        assert pool.get_stats()["connections_num"] - made <= 1


async def slow(pool, seconds):
    """Once: with another session it would have to be retried."""
    async with database.connection(pool) as connection:
        await connection.execute("SELECT pg_sleep(%s)", (float(seconds),))


async def test_the_server_does_not_go_on_with_what_nobody_waits_for(pool, migrated):
    job_id = await claimed(pool)
    async with await psycopg.AsyncConnection.connect(migrated.dsn) as locker:
        await locker.execute("SELECT FROM agent_executor.jobs WHERE job_id = %s FOR UPDATE", (job_id,))
        with pytest.raises(Silent):
            await Jobs(pool, answer=0.3).release(job_id, 1)
        async with asyncio.timeout(10):
            while await waiting_for_locks(locker):
                await asyncio.sleep(0.05)


async def waiting_for_locks(connection):
    found = await connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return (await found.fetchone())[0]


async def test_an_answer_that_comes_is_waited_for(pool):
    async with database.connection(pool, seconds=5) as connection:
        await connection.execute("SELECT pg_sleep(0.5)")
    with pytest.raises(Silent):
        async with database.connection(pool, seconds=0.2) as connection:
            await connection.execute("SELECT pg_sleep(5)")


async def test_a_session_that_was_ended_is_given_to_nobody(pool):
    async with database.connection(pool, seconds=0.1) as connection:
        await asyncio.sleep(0.3)
    async with database.connection(pool) as another:
        assert another is not connection
        await another.execute("SELECT 1")


async def test_a_cancellation_that_the_pool_keeps_to_itself_is_heard(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=1) as pool:
        held = await pool.getconn()

        async def use():
            async with database.connection(pool):
                return "went on"

        waiting = asyncio.create_task(use())
        await asyncio.sleep(0.1)
        await pool.putconn(held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await use() == "went on"


async def test_publishing_may_take_longer_than_an_answer(pool, monkeypatch):
    job_id = await claimed(pool)
    await Jobs(pool).finish(job_id, 1, "completed", event(job_id))
    monkeypatch.setattr(sessions, "used", functools.partial(hurried, sessions.used, 0.3))

    async def publish(_):
        await asyncio.sleep(1)

    relay = Outbox(pool, publish)
    assert await relay.relay() == 1
    assert await relay.depth() == 0


@pytest.mark.parametrize("work", [Outbox.depth, Outbox.relay])
async def test_the_outbox_does_not_wait_for_ever(pool, proxy, monkeypatch, work):
    await claimed(pool)
    monkeypatch.setattr(sessions, "used", functools.partial(hurried, sessions.used, 0.5))
    proxy.strand()
    async with asyncio.timeout(4):
        with pytest.raises(Silent):
            await work(Outbox(pool, outbox.Publish))


async def test_a_pods_jobs_go_on_when_its_sessions_fall_silent(env, proxy):
    slow = plan(*[STEP] * 8, {"text": "done"})
    async with serving(env, POSTGRES_PORT=str(proxy.port), MAX_CONCURRENT_JOBS="2") as api:
        ids = [await api.submit(slow) for _ in range(3)]
        await api.reaches(ids[0], "running")
        await asyncio.sleep(0.5)
        proxy.strand()
        async with asyncio.timeout(25):
            assert [await api.ended(job_id) for job_id in ids] == ["completed"] * 3
        assert await api.ended(await api.submit(ECHO)) == "completed"


async def test_a_job_of_a_pod_that_hears_nothing_from_the_database_goes_on_elsewhere(env, proxy):
    slow = agent(
        scripted(*[{**calls(call("write_todos", todos=[])), "delay_ms": 500} for _ in range(6)], {"text": "done"})
    )
    async with caller(env) as outside, worker(env, POSTGRES_PORT=str(proxy.port)) as deaf:
        asked = job(slow)
        await outside.send(asked)
        await until(lambda: deaf.executor.in_flight == 1)
        await asyncio.sleep(0.7)
        async with worker(env) as other:
            proxy.freeze()
            await until(lambda: other.executor.in_flight == 1, 15)
            assert deaf.executor.behind
            await outside.told(asked["job_id"], "completed", 30)
            proxy.thaw()


async def test_readiness_says_that_leases_are_not_renewed(pool):
    behind = True
    all_ = probes.of(pool, None, None, looked=asyncio.Event(), taking=lambda: True, behind=lambda: behind)
    asked = all_["postgresql"]
    with pytest.raises(probes.NotReady, match="leases"):
        await asked()
    behind = False
    await asked()


def test_a_message_is_kept_for_three_leases_without_a_renewal(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("agent_executor.core.running.time", SimpleNamespace(monotonic=lambda: clock.now))
    running = Running(8.0)
    running._attempts["job"] = SimpleNamespace(held_at=100.0)
    for clock.now, kept in ((123.0, True), (125.0, False)):
        assert running.keeps("job", 0.0) is kept
        assert running.behind is not kept
        assert running.keeps("being claimed", 100.0) is kept
