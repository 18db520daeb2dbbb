"""Each server stopped and started again under load: no job is lost, none is told twice, all of it goes on by itself."""

import asyncio

import pytest

from agent_executor.services import migrations
from tests.support.graphs import agent, call, calls, plan
from tests.support.runtime import caller, job, until, worker
from tests.support.servers import dsn, own_servers

STEP = calls(call("write_todos", todos=[]))
JOBS = 12


@pytest.fixture
def own():
    """Servers of this test's own, which it may stop."""
    with own_servers() as servers:
        environment = servers.environment()
        migrations.apply(
            dsn({key: value for key, value in environment.items() if key.startswith("POSTGRES_")}),
            schema="agent_executor",
        )
        yield servers, {**environment, "ALLOW_SCRIPTED_MODEL": "true"}


async def crash(server):
    """Kill a server and start it again a second later, beside the event loop."""
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(1)
    server.spawn()  # here, not in a thread: the server ends with whoever started it
    await asyncio.to_thread(server.wait)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["postgres", "nats", "redis"])
async def test_a_server_that_comes_back_finds_every_job_done_once(own, name):
    servers, env = own
    definition = agent(plan(*({**STEP, "delay_ms": 300} for _ in range(4)), {"text": "done"}))
    asked = [job(definition) for _ in range(JOBS)]
    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="4", JOB_MAX_ATTEMPTS="5") as inside:
        for one in asked:
            await outside.send(one)
        await until(lambda: inside.executor.in_flight == 4)
        await crash(getattr(servers, name))
        for one in asked:
            event = await outside.told(one["job_id"], seconds=60)
            assert event["type"] == "dev.my-platform.agent.completed", event["data"]
            roles = [message["role"] for message in event["data"]["result"]["messages"]]
            assert roles == ["user", *["assistant", "tool"] * 4, "assistant"]
        await until(lambda: inside.consumer.ready and not inside.executor.in_flight)
        after = job(definition)
        await outside.send(after)
        await outside.told(after["job_id"], "completed")
        assert all(len(outside.all(one["job_id"])) == 1 for one in asked)
