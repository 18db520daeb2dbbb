"""The whole runtime on real servers: an event goes in over NATS, its result comes out on the status stream."""

import asyncio
import json

import pytest

from agent_executor.services import redis
from tests.support.graphs import ECHO, agent, call, calls, plan
from tests.support.runtime import caller, job, until, worker


async def test_an_event_becomes_a_result(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(agent(ECHO), "say this")
        await outside.send(asked)
        event = await outside.told(asked["job_id"])
        assert event["type"] == "dev.my-platform.agent.completed"
        assert event["id"] == f"{asked['job_id']}/completed"
        assert event["data"]["job_id"] == asked["job_id"]
        assert event["data"]["result"]["output"] == "say this"
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert inside.observer.ended == ["completed"]
