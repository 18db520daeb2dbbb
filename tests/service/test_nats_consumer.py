"""The consumer's dealings with JetStream; what becomes of jobs is test_executor.py's."""

import json
import time

import nats.js.errors
import pytest

from agent_executor import settings
from agent_executor.errors import TemporaryError
from agent_executor.services import nats_consumer, streams
from tests.support.graphs import ECHO, agent, plan
from tests.support.runtime import caller, job, until, worker

SLOW = agent(plan({"text": "done", "delay_ms": 700}))


async def waiting(client, env):
    """Requests for messages that the server holds."""
    return (await client.jetstream().consumer_info(env["NATS_STREAM"], env["NATS_CONSUMER"])).num_waiting


async def test_as_many_requests_as_free_slots_and_none_for_a_busy_one(env):
    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="3") as inside:

        async def asks(number):
            return await waiting(outside.client, env) == number

        await until(lambda: asks(3))
        await outside.send(asked := job(SLOW))
        await until(lambda: inside.executor.in_flight)
        assert await waiting(outside.client, env) == 2
        await outside.told(asked["job_id"], "completed")
        await until(lambda: asks(3))


async def test_a_stopped_consumer_leaves_no_request_behind(env):
    async with caller(env) as outside, worker(env) as inside:
        await until(lambda: waiting(outside.client, env))
        await inside.consumer.stop()
        await until(inside.tasks["consumer"].done, 2)
        assert not inside.consumer.ready
        assert await waiting(outside.client, env) == 0
        await outside.send(asked := job(agent(ECHO)))
        async with worker(env) as other:
            await outside.told(asked["job_id"], "completed")
            await until(lambda: other.observer.counts.get("processed") == 1)
            assert "redeliveries" not in other.observer.counts


async def test_a_message_that_comes_without_a_free_slot_is_given_back_at_once(env):
    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="1", NATS_ACK_WAIT_SECONDS="9") as inside:
        # As a request that was thought lost in a reconnect, and was not.
        await until(lambda: waiting(outside.client, env))
        stray = json.dumps({"batch": 2, "expires": 10_000_000_000}).encode()
        await inside.client.publish(inside.consumer._next, stray, reply=inside.consumer._inbox)
        asked = [job(SLOW) for _ in range(3)]
        began = time.monotonic()
        for one in asked:
            await outside.send(one)
        for one in asked:
            await outside.told(one["job_id"], "completed")
        assert time.monotonic() - began < 9  # sooner than by the acknowledgement's own timeout


async def test_an_idle_consumer_goes_on_asking(env, monkeypatch):
    monkeypatch.setattr(nats_consumer, "_REQUEST", json.dumps({"batch": 1, "expires": 50_000_000}).encode())
    async with caller(env) as outside, worker(env) as inside:
        begun = inside.client.stats["out_msgs"]
        await until(lambda: inside.client.stats["out_msgs"] > begun + 20)
        await outside.send(asked := job(agent(ECHO)))
        await outside.told(asked["job_id"], "completed")


async def test_slots_whose_requests_get_no_answer_ask_again(env, monkeypatch):
    monkeypatch.setattr(nats_consumer, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(nats_consumer, "LOOK_SECONDS", 0.05)
    async with caller(env) as outside:
        await outside.client.subscribe("mute")  # takes every request, and says nothing
        asked_of = nats_consumer.Consumer._next
        monkeypatch.setattr(nats_consumer.Consumer, "_next", "mute")
        async with worker(env, MAX_CONCURRENT_JOBS="2") as inside:
            begun = inside.client.stats["out_msgs"]
            await until(lambda: inside.client.stats["out_msgs"] > begun + 8)
            monkeypatch.setattr(nats_consumer.Consumer, "_next", asked_of)
            await outside.send(asked := job(agent(ECHO)))
            await outside.told(asked["job_id"], "completed")


async def test_a_consumer_that_cannot_be_had_is_asked_for_with_patience(env, monkeypatch):
    ensure, refused, allowed = streams.ensure, [], []

    async def unwilling(*arguments):
        if not allowed:
            refused.append(time.monotonic())
            raise TemporaryError("nats_unavailable", "stream X: no space")
        return await ensure(*arguments)

    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="20") as inside:
        monkeypatch.setattr(streams, "ensure", unwilling)
        await outside.client.jetstream().delete_consumer(env["NATS_STREAM"], env["NATS_CONSUMER"])
        await until(lambda: len(refused) == 3)
        assert not inside.consumer.ready
        assert refused[2] - refused[0] > 1  # 0.5 s, then 1 s, give or take, and not from every slot
        allowed.append(True)
        await until(lambda: inside.consumer.ready)
        await outside.send(asked := job(agent(ECHO)))
        await outside.told(asked["job_id"], "completed")


async def test_the_real_consumers_ack_wait_sets_the_pace(env):
    given = settings.load({**env, "NATS_ACK_WAIT_SECONDS": "0.5"})
    async with caller({**env, "NATS_ACK_WAIT_SECONDS": "0.5"}) as outside:
        async with worker(env, NATS_ACK_WAIT_SECONDS="30") as inside:
            await outside.send(asked := job(agent(plan({"text": "done", "delay_ms": 1500}))))
            await outside.told(asked["job_id"], "completed")
            await until(lambda: inside.observer.counts.get("processed") == 1)
            assert "redeliveries" not in inside.observer.counts
        assert given.nats_ack_wait_seconds == 0.5


async def test_a_settled_message_is_gone(env):
    async with caller(env) as outside, worker(env) as inside:
        await outside.send(b"not an event")
        await outside.send(asked := job(agent(ECHO)))
        await outside.told(asked["job_id"], "completed")
        await until(lambda: inside.observer.counts.get("processed") == 2)
        info = await outside.client.jetstream().consumer_info(env["NATS_STREAM"], env["NATS_CONSUMER"])
        assert (info.num_pending, info.num_ack_pending, info.num_redelivered) == (0, 0, 0)


async def test_an_event_that_jetstream_has_waits_for_a_worker(env):
    async with caller(env) as outside:
        await outside.send(asked := job(agent(ECHO)))
        with pytest.raises(nats.js.errors.NotFoundError):
            await outside.client.jetstream().get_last_msg(env["NATS_STATUS_STREAM"], "none")
        async with worker(env) as inside:
            await outside.told(asked["job_id"], "completed")
            assert inside.observer.measured["queue_wait"][0] > 0
            assert len(inside.observer.measured["first_event"]) == 1
