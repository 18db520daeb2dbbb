import asyncio
import contextlib
import json
import time
import uuid

import pytest

from agent_executor import embedded, settings
from agent_executor.api import closing
from agent_executor.services import redis
from agent_executor.services.event_log import follow, replay
from agent_executor.services.redis import LiveEvents, channel


@contextlib.asynccontextmanager
async def sender(env, **changes):
    """A client and a sender at work."""
    given = settings.load({**env, **changes})
    client = redis.connect(given)
    events = LiveEvents(client, given)
    task = asyncio.create_task(events.run())
    try:
        yield client, events
    finally:
        await closing.end([task])
        await client.aclose()


@pytest.fixture
def job_id():
    return f"job {uuid.uuid4().hex} ü/*"


async def listened(client, job_id, count):
    """The next messages on a job's channel, once subscribed."""
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel(job_id))
    await pubsub.get_message(timeout=1)

    async def read():
        found = []
        while len(found) < count:
            message = await pubsub.get_message(timeout=5)
            found += [json.loads(message["data"])] if message else []
        await pubsub.aclose()
        return found

    return asyncio.create_task(read())


async def test_messages_are_published_and_kept_as_the_contract_has_them(env, job_id):
    async with sender(env) as (client, events):
        heard = await listened(client, job_id, 2)
        emit = events.stream(job_id, "trace-1", epoch=1)
        emit("on_llm_stream", {"content": "a\0b"})
        emit("end", {"status": "completed"})
        first, last = await heard
        assert first.pop("ts") <= last.pop("ts")
        common = {"job_id": job_id, "trace_id": "trace-1"}
        assert first == {"event_type": "on_llm_stream", "data": {"content": "a\ufffdb"}, "seq": 1, **common}
        assert last == {"event_type": "end", "data": {"status": "completed"}, "seq": 2, **common}
        assert [message["seq"] for message in await replay(client, job_id)] == [1, 2]
        assert [message["seq"] for message in await replay(client, job_id, after=1)] == [2]
        assert 0 < await client.ttl(f"{channel(job_id)}:log") <= 86_400


async def test_a_server_that_refuses_the_script_gets_the_same_one_by_one(env, job_id, monkeypatch):
    monkeypatch.setattr(redis, "_SCRIPT", "return redis.call('NO-SUCH-COMMAND')")
    async with sender(env) as (client, events):
        heard = await listened(client, job_id, 3)
        emit = events.stream(job_id, "t", 1)
        for kind in ("on_state_update", "on_llm_stream", "end"):
            emit(kind, {})
        assert [message["seq"] for message in await heard] == [1, 2, 3]
        assert [message["seq"] for message in await replay(client, job_id)] == [1, 2, 3]
        assert 0 < await client.ttl(f"{channel(job_id)}:log") <= 86_400


async def test_an_idle_sender_sends_at_once(env, job_id):
    async with sender(env) as (client, events):
        heard = await listened(client, job_id, 1)
        began = time.monotonic()
        events.stream(job_id, "t", 1)("on_state_update", {})
        await heard
        assert time.monotonic() - began < 0.2


async def test_a_later_worker_counts_above_its_predecessors(env, job_id):
    async with sender(env) as (client, events):
        first, second = events.stream(job_id, "t", 1), events.stream(job_id, "t", 2)
        first("a", {})
        second("b", {})
        await events.flush()
        first("too late", {})  # a worker that has not yet noticed that it lost the job
        second("end", {})
        await events.flush()
        kept = await replay(client, job_id)
        assert [message["event_type"] for message in kept] == ["a", "b", "end"]
        sequence = [message["seq"] for message in kept]
        assert sequence == sorted(sequence)
        assert sequence[-1] < 2**53  # JavaScript reads it exactly


async def test_the_log_is_capped(env, job_id):
    async with sender(env, EVENT_LOG_LENGTH="100") as (client, events):
        emit = events.stream(job_id, "t", 1)
        for _ in range(2000):
            emit("on_llm_stream", {})
        emit("end", {})
        await events.flush()
        kept = await replay(client, job_id)
        assert 100 <= len(kept) < 400
        assert kept[-1]["event_type"] == "end"


async def test_a_follower_misses_nothing_and_joins_late(env, job_id):
    async with sender(env) as (client, events):
        emit = events.stream(job_id, "t", 1)
        for number in range(50):
            emit("on_llm_stream", {"number": number})
        await events.flush()
        seen = []

        async def read():
            async for message in follow(client, job_id, after=10):
                if message:
                    seen.append(message)
                    if message["event_type"] == "end":
                        return

        reader = asyncio.create_task(read())
        for number in range(50, 100):
            emit("on_llm_stream", {"number": number})
        emit("end", {})
        await asyncio.wait_for(reader, 10)
        assert [message["seq"] for message in seen] == list(range(11, 102))


async def test_a_follower_of_nothing_may_look_up(env, job_id):
    async with sender(env) as (client, _):
        async for message in follow(client, job_id):
            assert message is None
            break


async def test_an_end_that_its_worker_did_not_say_is_said_once(env, job_id):
    async with sender(env) as (client, events):
        events.stream(job_id, "t", 3)("on_state_update", {})
        await events.flush()
        for _ in range(2):
            await events.end(job_id, "t", "failed")
            await events.flush()
        kept = await replay(client, job_id)
        assert [message["event_type"] for message in kept] == ["on_state_update", "end"]
        assert kept[0]["seq"] < kept[1]["seq"]


async def test_a_job_without_any_event_ends_too(env, job_id):
    async with sender(env) as (client, events):
        await events.end(job_id, "t", "failed")
        await events.flush()
        assert [message["data"] for message in await replay(client, job_id)] == [{"status": "failed"}]


async def test_without_a_server_memory_stays_bounded_and_nobody_waits(env, job_id, monkeypatch):
    monkeypatch.setattr(redis, "BUFFER_BYTES", 100_000)
    async with sender(env, DRAGONFLY_PORT="1") as (_, events):
        emit = events.stream(job_id, "t", 1)
        began = time.monotonic()
        for _ in range(1000):
            emit("on_llm_stream", {"content": "x" * 1000})
        emit("end", {})
        assert time.monotonic() - began < 1
        assert 850 < events.dropped < 950
        await asyncio.wait_for(events.flush(), 5)
        await asyncio.wait_for(events.end("other", "t", "failed"), 5)


async def test_what_was_said_while_the_server_was_away_is_sent_when_it_is_back(env, job_id, monkeypatch):
    monkeypatch.setattr(redis, "RETRY_SECONDS", 0.05)
    port = embedded.free_port()
    async with sender(env) as (client, _), sender(env, DRAGONFLY_PORT=str(port)) as (_, events):
        emit = events.stream(job_id, "t", 1)
        emit("on_state_update", {})
        await asyncio.wait_for(events.flush(), 5)
        assert await replay(client, job_id) == []
        async with forwarded(port, int(env["DRAGONFLY_PORT"])):
            emit("end", {})
            deadline = time.monotonic() + 10
            while len(await replay(client, job_id)) < 2:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
        assert [message["seq"] for message in await replay(client, job_id)] == [1, 2]


@contextlib.asynccontextmanager
async def forwarded(port, to):
    """A port that leads to another one."""

    async def pump(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def connected(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize("script", [None, "return redis.call('NO-SUCH-COMMAND')"], ids=["script", "one by one"])
async def test_the_end_of_an_event_that_was_refused_makes_way_for_its_job(env, job_id, monkeypatch, script):
    if script:
        monkeypatch.setattr(redis, "_SCRIPT", script)
    async with sender(env) as (client, events):
        for _ in range(2):
            await events.end(job_id, "", "failed", unless_begun=True)
            await events.flush()
        assert [message["event_type"] for message in await replay(client, job_id)] == ["end"]
        heard = await listened(client, job_id, 2)
        emit = events.stream(job_id, "t", 1)
        for kind in ("on_state_update", "end"):
            emit(kind, {"status": "failed"})
        assert [message["seq"] for message in await heard] == [1, 2]
        assert [message["seq"] for message in await replay(client, job_id)] == [1, 2]


async def test_an_end_that_is_not_a_jobs_last_one_leaves_it_to_be_said(env, job_id):
    async with sender(env) as (client, events):
        await events.end(job_id, "", "failed", unless_begun=True)
        await events.flush()
        for status in ("failed", "failed", "interrupted", "completed", "completed"):
            await events.end(job_id, "t", status)
            await events.flush()
        told = [message["data"]["status"] for message in await replay(client, job_id)]
        assert told == ["failed", "interrupted", "completed"]
