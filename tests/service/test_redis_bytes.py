"""A job's log holds so many bytes: the oldest messages go first, and whoever listens hears all of them."""

import pytest

from agent_executor.services import redis
from agent_executor.services.event_log import replay
from agent_executor.services.redis import LiveEvents, channel
from tests.service.test_redis import job_id, sender  # noqa: F401  # a fixture

SCRIPTS = pytest.mark.parametrize("script", [redis._SCRIPT, "return redis.call('NO')"], ids=["script", "one by one"])
KB = {"files": "x" * 10_000}


@pytest.fixture
def most(env):
    return {**env, "EVENT_LOG_BYTES": "55000"}


async def seqs(client, job_id):  # noqa: F811
    return [message["seq"] & 0xFFFFFFFF for message in await replay(client, job_id)]


async def told(events: LiveEvents, emit, *data):
    for each in data:
        emit("on_state_update", each)
    await events.flush()


@SCRIPTS
async def test_the_oldest_messages_make_room(most, job_id, monkeypatch, script):  # noqa: F811
    monkeypatch.setattr(redis, "_SCRIPT", script)
    async with sender(most) as (client, events):
        emit = events.stream(job_id, "t", 1)
        await told(events, emit, *[KB] * 20)
        assert await seqs(client, job_id) == [16, 17, 18, 19, 20]
        await told(events, emit, *[{}] * 3)
        assert (await seqs(client, job_id))[-4:] == [20, 21, 22, 23]
        emit("end", {"status": "completed"})
        await events.flush()
        assert (await seqs(client, job_id))[-1] == 24
        assert await client.ttl(f"{channel(job_id)}:log") > 0


async def test_the_last_message_is_kept_whatever_its_size(most, job_id):  # noqa: F811
    async with sender(most) as (client, events):
        await told(events, events.stream(job_id, "t", 1), KB, {"files": "x" * 100_000})
        assert await seqs(client, job_id) == [2]


async def test_messages_of_an_earlier_attempt_stay_while_there_is_room(most, job_id):  # noqa: F811
    async with sender(most) as (client, events):
        await told(events, events.stream(job_id, "t", 1), *[KB] * 2)
        emit = events.stream(job_id, "t", 2)
        await told(events, emit, *[KB] * 2)
        assert await seqs(client, job_id) == [1, 2, 1, 2]
        await told(events, emit, *[KB] * 20)
        assert await seqs(client, job_id) == [18, 19, 20, 21, 22]


async def test_many_small_messages_are_as_many_as_the_log_holds(env, job_id):  # noqa: F811
    async with sender(env, EVENT_LOG_LENGTH="200") as (client, events):
        await told(events, events.stream(job_id, "t", 1), *[{}] * 1000)
        kept = await seqs(client, job_id)
        assert kept[-1] == 1000
        assert 200 <= len(kept) <= 300
