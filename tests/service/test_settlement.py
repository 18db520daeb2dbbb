"""A message is answered for where it came from, and nowhere else."""

import asyncio

import nats.js.errors
import pytest

from tests.support.graphs import agent, call, calls, plan
from tests.support.runtime import caller, job, until, worker

STEP = calls(call("write_todos", todos=[]))


def slow(milliseconds):
    return agent(plan({**STEP, "delay_ms": milliseconds}, {"text": "done"}))


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not seen"])
async def test_what_ends_after_its_stream_was_made_again_settles_nobody_elses_message(env, seen):
    """Both are number 1 of their streams. Without a free slot nobody hears of it that the stream was deleted."""
    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="2" if seen else "1") as inside:
        jetstream = outside.client.jetstream()

        async def held():
            try:
                info = await jetstream.consumer_info(env["NATS_STREAM"], env["NATS_CONSUMER"])
            except nats.js.errors.NotFoundError:
                return None
            return info.num_ack_pending

        first, second = job(slow(3000)), job(slow(6000))
        await outside.send(first)
        await until(lambda: inside.executor.in_flight == 1)
        await jetstream.delete_stream(env["NATS_STREAM"])
        async with worker(env, MAX_CONCURRENT_JOBS="1") as other:
            await until(lambda: outside.accepted(second))
            await until(lambda: inside.executor.in_flight + other.executor.in_flight == 2)
            assert not outside.all(first["job_id"])
            await outside.told(first["job_id"], "completed")
            await asyncio.sleep(0.5)
            assert not outside.all(second["job_id"])
            assert await held() == 1
            await outside.told(second["job_id"], "completed")

            async def none_held():
                return await held() == 0

            await until(none_held)
