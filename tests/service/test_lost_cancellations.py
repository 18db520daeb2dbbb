"""psycopg's pool hands its connection to a task that was cancelled in that moment, and the task never hears of it."""

import asyncio
import contextlib

import pytest

from agent_executor.services import database
from agent_executor.services.jobs import Jobs
from tests.support.graphs import agent, plan
from tests.support.runtime import caller, job, until, worker


async def test_the_pool_loses_a_cancellation(migrated):
    """If this fails, it does no more, and nobody has to reckon with it."""
    async with database.pool(migrated.dsn, schema="agent_executor", size=1) as pool:
        held = await pool.getconn()
        waiting = asyncio.create_task(pool.getconn())
        await asyncio.sleep(0.1)
        await pool.putconn(held)
        waiting.cancel()
        await pool.putconn(await waiting)


@pytest.mark.parametrize("outcome", ["completed", "cancelled"])
async def test_a_job_ends_though_its_lease_is_just_being_renewed(env, monkeypatch, outcome):
    renewing, renew = asyncio.Event(), Jobs.renew

    async def unheard(self, *args, **more):
        renewing.set()
        work = asyncio.create_task(renew(self, *args, **more))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return await work

    monkeypatch.setattr(Jobs, "renew", unheard)
    async with caller(env) as outside, worker(env) as inside:
        asked = job(agent(plan({"text": "done", "delay_ms": 800 if outcome == "completed" else 20_000})))
        await outside.send(asked)
        await asyncio.wait_for(renewing.wait(), 20)
        if outcome == "cancelled":
            await inside.executor.cancel(asked["job_id"])
        await outside.told(asked["job_id"], outcome)
        await until(lambda: inside.observer.counts.get("processed") == 1 and not inside.executor.in_flight, 10)
