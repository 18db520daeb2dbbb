"""Pods' clocks differ: what a job did on one of them stays done on a pod whose clock is behind."""

import time
from types import SimpleNamespace

from langgraph.checkpoint.base import id as ids

from tests.service.test_executor import query, slow
from tests.support.runtime import caller, job, until, worker

HOUR = 3600 * 10**9


async def test_a_job_goes_on_on_a_pod_whose_clock_is_behind(env, monkeypatch):
    asked = job(slow(12, 300))

    async def steps():
        rows = await query(
            env, "SELECT (metadata->>'step')::int FROM checkpoints WHERE checkpoint_ns = '' ORDER BY checkpoint_id"
        )
        return [step for (step,) in rows]

    async def a_while(number):
        """As a process of its own: it knows of no id that another one made."""
        monkeypatch.setattr(ids, "_last_v6_timestamp", None)
        before = len(await steps())

        async def further():
            return len(await steps()) >= before + number

        async with worker(env):
            await until(further)

    async with caller(env) as outside:
        await outside.send(asked)
        await a_while(4)
        monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: time.time_ns() - HOUR))
        await a_while(4)
        assert await steps() == sorted(await steps())
        monkeypatch.setattr(ids, "_last_v6_timestamp", None)
        async with worker(env):
            await outside.told(asked["job_id"], "completed")
        found = await steps()
        assert found == sorted(set(found)), "a step that was done is done again"
