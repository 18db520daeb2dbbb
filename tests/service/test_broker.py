import asyncio
import dataclasses
import json

import pytest

from agent_executor import embedded, settings
from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models.jobs import Event
from agent_executor.services import broker, event_log, redis, streams
from agent_executor.services.broker import Broker
from agent_executor.services.cloudevents import Malformed
from agent_executor.services.dead_letters import DeadLetters, Received
from agent_executor.services.redis import LiveEvents
from agent_executor.services.results import Origin, Results
from tests.support.runtime import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def given(env):
    return settings.load(env)


@pytest.fixture
async def client(given):
    client = await broker.connect(given)
    yield client
    if not client.is_closed:
        await client.close()


async def stored(client, stream):
    return (await client.jetstream().stream_info(stream)).state.messages


async def test_a_published_event_is_stored_once_and_its_stream_is_made_if_it_is_missing(given, client):
    messages, subject = Broker(client, given), given.subject("status", "completed")
    for _ in range(2):
        await messages.publish(Event("j/completed", "j", subject, b"{}", {"Nats-Msg-Id": "j/completed"}))
    assert await stored(client, given.nats_status_stream) == 1


async def test_a_subject_without_a_stream_is_said(given, client):
    with pytest.raises(TemporaryError, match="elsewhere: no stream takes this subject"):
        await Broker(client, given).store(f"{given.nats_subject_prefix}.elsewhere", b"", {})


async def test_without_a_connection_nothing_is_kept_for_later(given, client):
    await client.close()
    with pytest.raises(TemporaryError, match="not connected"):
        await Broker(client, given).store("x", b"", {})


HEADERS = {"Nats-Msg-Id": "größer", "X-Own": "x" * 1000}
HEADERS_LENGTH = 12 + sum(len(name) + len(value.encode()) + 4 for name, value in HEADERS.items())


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
async def test_headers_count_as_the_server_counts_them(given, client, more, fits):
    await streams.ensure(client.jetstream(), given)
    messages, subject = Broker(client, given), given.subject("status", "completed")
    body = b"x" * (messages.max_payload() - HEADERS_LENGTH + more)
    if fits:
        await messages.store(subject, body, HEADERS)
    else:
        with pytest.raises(TemporaryError, match="with its headers") as caught:
            await messages.store(subject, body, HEADERS)
        assert type(caught.value).__name__ == "TooLarge"
    await messages.store(subject, b"another", {})
    assert await stored(client, given.nats_status_stream) == 1 + fits


async def test_jetstream_may_take_less_than_its_server(given, client):
    _, status, _ = streams.wanted(given)
    await client.jetstream().add_stream(dataclasses.replace(status, max_msg_size=1000))
    for body, headers in ((b"x" * 1001, {}), (b"", {"X-Long": "x" * 66_000})):
        with pytest.raises(TemporaryError, match="with its headers"):
            await Broker(client, given).store(given.subject("status", "completed"), body, headers)


async def test_an_event_that_became_too_large_goes_out_as_a_reference(given, client):
    await streams.ensure(client.jetstream(), given)
    made = Results(given, lambda: 10**9)
    await Broker(client, given).publish(made.completed(Origin("j", TRACE), "x" * 1_100_000))
    message = await client.jetstream().get_msg(given.nats_status_stream, seq=1)
    told = json.loads(message.data)
    assert (told["dataref"], told["traceparent"], "data" in told) == ("/jobs/j/result", TRACE, False)
    assert message.headers["Nats-Msg-Id"] == "j/completed"


async def test_nats_is_waited_for(given):
    port = embedded.free_port()
    waiting = asyncio.create_task(broker.connect(given.model_copy(update={"nats_url": f"nats://127.0.0.1:{port}"})))
    done, _ = await asyncio.wait({waiting}, timeout=1.2)
    assert not done
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_the_largest_message_that_arrived_can_be_buried(given, client):
    await streams.ensure(client.jetstream(), given)
    live = redis.connect(given)
    messages = Broker(client, given)
    letters = DeadLetters(given, messages, Results(given, messages.max_payload), LiveEvents(live, given))
    body = b"x" * (messages.max_payload() - 100)
    await letters.keep(Received(body, {"X-Own": "1"}, "t", "S/1"), PermanentError("x", "why"), "j")
    await letters.keep(Received(body[:100], {}, "t", "S/2"), PermanentError("x", "why"), "j")
    first, second = [await client.jetstream().get_msg(given.nats_dead_letter_stream, seq=seq) for seq in (1, 2)]
    assert body.startswith(first.data)
    assert len(body) - len(first.data) < 1000
    assert (first.headers["Agent-Executor-Original-Length"], first.headers["X-Own"]) == (str(len(body)), "1")
    assert second.data == body[:100]
    assert "Agent-Executor-Original-Length" not in second.headers
    await live.aclose()


async def test_headers_that_are_too_long_for_a_dead_letter_are_left_out_longest_first(given, client):
    await streams.ensure(client.jetstream(), given)
    live = redis.connect(given)
    messages = Broker(client, given)
    letters = DeadLetters(given, messages, Results(given, messages.max_payload), LiveEvents(live, given))
    headers = {"Nats-Msg-Id": "m" * 40_000, "X-Long": "y" * 25_000, "X-Own": "1"}
    body = b"z" * messages.max_payload()
    for received in (Received(b"body", headers, "t", "S/1"), Received(body, headers, "t", "S/2")):
        await letters.keep(received, PermanentError("x", "ü" * 100_000), "j")
    first, second = [await client.jetstream().get_msg(given.nats_dead_letter_stream, seq=seq) for seq in (1, 2)]
    assert first.data == b"body"
    assert first.headers.keys() == {"Nats-Msg-Id", "X-Long", "X-Own", "Agent-Executor-Reason"}
    assert first.headers["Nats-Msg-Id"].startswith("dead/")
    assert second.headers.keys() == {*first.headers, "Agent-Executor-Original-Length"}
    assert second.headers["Agent-Executor-Original-Length"] == str(len(body))
    assert 0 < len(body) - len(second.data) < 65_536
    await live.aclose()


async def test_a_refused_event_is_told_everywhere_once(given, client):
    await streams.ensure(client.jetstream(), given)
    live = redis.connect(given)
    messages, events = Broker(client, given), LiveEvents(live, given)
    letters = DeadLetters(given, messages, Results(given, messages.max_payload), events)
    fault = Malformed("body: is not JSON", job_id=given.nats_stream)
    for _ in range(2):
        await letters.refuse(Received(b"x", {}, "t", "S/1"), fault)
        await events.flush()
    assert await stored(client, given.nats_dead_letter_stream) == 1
    message = await client.jetstream().get_msg(given.nats_status_stream, seq=1)
    assert json.loads(message.data)["data"] == {
        "job_id": given.nats_stream,
        "error": {"type": "invalid_event", "message": "body: is not JSON", "retryable": False, "attempts": 1},
    }
    assert await stored(client, given.nats_status_stream) == 1
    assert [one["event_type"] for one in await until(lambda: event_log.replay(live, given.nats_stream))] == ["end"]
    await live.aclose()
