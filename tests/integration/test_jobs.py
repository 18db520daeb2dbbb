"""The seed's rows 7.3.2 without a model: an event comes in by any way, and everything it promises comes out."""

import json

import pytest

from tests.support.observer import (
    ECHO,
    STRUCTURED,
    TYPE,
    agent,
    enveloped,
    http,
    job,
    metrics,
    path,
    plan,
    rows,
    script,
    turn,
    unique,
    until,
)

pytestmark = pytest.mark.xdist_group("integration-jobs")

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
BINARY = {
    "ce-specversion": "1.0",
    "ce-source": "/tests",
    "ce-type": TYPE + "execute",
    "Content-Type": "application/json",
}


def check_envelope(event, outcome, job_id):
    """A status event is the CloudEvent that the contract describes."""
    assert event["specversion"] == "1.0"
    assert event["type"] == TYPE + outcome
    assert event["source"] == "agent-executor-service"
    assert event["subject"] == job_id
    assert event["id"] == f"{job_id}/{outcome}"
    assert event["data"]["job_id"] == job_id


async def test_a_structured_event_over_nats_becomes_a_result(observer):
    job_id = await observer.publish(enveloped(job(ECHO, "said over NATS")), Content_Type=STRUCTURED)
    event = await observer.result(job_id)
    check_envelope(event, "completed", job_id)
    assert event["data"]["result"]["output"] == "said over NATS"
    message = await observer.message(job_id)
    assert message.subject == f"{observer.prefix}.status.completed"
    assert message.headers["Content-Type"] == STRUCTURED
    assert message.headers["Nats-Msg-Id"] == event["id"]


async def test_a_bare_payload_over_nats_becomes_a_result(observer):
    job_id = await observer.publish(job(ECHO, "bare"))
    assert (await observer.result(job_id))["data"]["result"]["output"] == "bare"


async def test_a_binary_event_over_nats_becomes_a_result(observer):
    job_id = await observer.publish(job(ECHO, "binary"), **BINARY, **{"ce-id": unique()})
    assert (await observer.result(job_id))["data"]["result"]["output"] == "binary"


WAYS = {
    "structured": ({"Content-Type": STRUCTURED}, enveloped),
    "binary": ({**BINARY, "ce-id": "event-1"}, lambda data: data),
    "bare": ({"Content-Type": "application/json"}, lambda data: data),
}


@pytest.mark.parametrize(("headers", "wrap"), WAYS.values(), ids=WAYS)
async def test_an_event_over_http_is_accepted_and_its_result_goes_to_nats(service, observer, headers, wrap):
    asked = job(ECHO, "said over HTTP")
    async with http(service) as client:
        answer = await client.post("/", content=json.dumps(wrap(asked)), headers=headers)
        assert answer.status_code == 202
        assert answer.headers["Location"] == path(asked["job_id"])
        event = await observer.result(asked["job_id"])
        check_envelope(event, "completed", asked["job_id"])
        row = (await client.get(answer.headers["Location"])).json()
    assert (row["job_id"], row["state"]) == (asked["job_id"], "completed")


async def test_a_caller_that_waits_gets_the_event_that_goes_to_nats(service, observer):
    asked = job(ECHO, "wait for me")
    async with http(service) as client:
        answer = await client.post("/", json=asked, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == STRUCTURED
    assert answer.json() == await observer.result(asked["job_id"])


async def test_checkpoints_are_under_the_jobs_id(service, observer):
    job_id = await observer.publish(job(plan(turn("write_todos"), {"text": "done"})))
    await observer.result(job_id)
    statement = "SELECT DISTINCT thread_id, metadata->>'run_id' FROM checkpoints WHERE thread_id = %s"
    assert rows(service.env, statement, job_id) == [(job_id, job_id)]


async def test_live_events_come_over_pub_sub_in_order_and_end(observer):
    scripts = {"look": script("look")}
    asked = job(plan(turn("look", text="I look."), {"text": "Seen."}, scripts=scripts))
    async with observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked)
        events = await channel.complete()
    assert {event["job_id"] for event in events} == {asked["job_id"]}
    assert {event["trace_id"] for event in events} == {"trace-1"}
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert all(event["ts"] and isinstance(event["data"], dict) for event in events)
    assert set(channel.kinds()) == {"on_state_update", "on_llm_stream", "on_tool_start", "on_tool_end", "end"}
    assert channel.kinds().index("on_tool_start") < channel.kinds().index("on_tool_end")
    words = "".join(event["data"]["content"] for event in events if event["event_type"] == "on_llm_stream")
    assert words == "I look.Seen."
    last = [event["data"] for event in events if event["event_type"] == "on_state_update"][-1]
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert {"files", "todos"} <= last.keys()


async def test_a_late_subscriber_finds_every_event_in_the_log(observer):
    asked = job(ECHO)
    async with observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked)
        events = await channel.complete()

    async def kept():
        return len(await observer.redis.xrange(f"langgraph:stream:{asked['job_id']}:log")) >= len(events)

    await until(kept)
    log = await observer.redis.xrange(f"langgraph:stream:{asked['job_id']}:log")
    assert [json.loads(next(iter(entry.values()))) for _, entry in log] == events
    assert await observer.redis.ttl(f"langgraph:stream:{asked['job_id']}:log") > 0


async def test_server_sent_events_are_the_same_events(service, observer):
    job_id = await observer.publish(job(ECHO))
    await observer.result(job_id)
    async with http(service) as client, client.stream("GET", path(job_id, "/events")) as answer:
        lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
    kinds = [json.loads(line.removeprefix("data: "))["event_type"] for line in lines]
    assert "on_llm_stream" in kinds
    assert kinds[-1] == "end"


WRONG = {
    "a provider that is none": (agent({"provider": "nobody", "model": "x"}), "nodes[0].config.model.provider"),
    "no nodes": ({"name": "x", "nodes": []}, "nodes"),
    "a tool that is nowhere": (
        agent({"provider": "scripted", "model": "echo"}, tools=["ghost"]),
        "nodes[0].config.tools[0]",
    ),
    "a script that does not compile": (
        agent({"provider": "scripted", "model": "echo"}, {"bad": "def ("}),
        "tool_definitions[0].runtime.script",
    ),
}


@pytest.mark.parametrize(("definition", "place"), WRONG.values(), ids=WRONG)
async def test_a_definition_that_cannot_be_built_fails_once_with_its_path(observer, definition, place):
    asked = job(definition)
    async with observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked, token="wrong")
        await channel.complete()
    event = await observer.result(asked["job_id"])
    check_envelope(event, "failed", asked["job_id"])
    error = event["data"]["error"]
    assert error["message"].startswith(place + ":"), error
    assert (error["type"], error["retryable"], error["attempts"]) == ("invalid_definition", False, 1)
    letter = next(found for found in await observer.letters() if json.loads(found.data) == asked)
    assert letter.subject == f"{observer.prefix}.dead.wrong"
    assert letter.headers["Agent-Executor-Reason"].startswith(place)


async def test_a_job_id_may_be_anything_readable(service, observer):
    job_id = f"Größe/ 100% *.> {unique()} 🚀"
    asked = job(ECHO, job_id=job_id)
    async with observer.channel(job_id) as channel:
        await observer.publish(asked)
        await channel.complete()
    check_envelope(await observer.result(job_id), "completed", job_id)
    async with http(service) as client:
        assert (await client.get(path(job_id))).json()["state"] == "completed"


async def over_nats_header(observer, service, asked):
    await observer.publish(enveloped(asked), Content_Type=STRUCTURED, traceparent=PARENT, tracestate="a=1")


async def over_extension(observer, service, asked):
    await observer.publish(enveloped(asked, traceparent=PARENT, tracestate="a=1"), Content_Type=STRUCTURED)


async def over_http_header(observer, service, asked):
    async with http(service, traceparent=PARENT, tracestate="a=1") as client:
        assert (await client.post("/", json=asked)).status_code == 202


@pytest.mark.parametrize("send", [over_nats_header, over_extension, over_http_header])
async def test_the_result_continues_the_callers_trace(service, observer, send):
    asked = job(ECHO)
    await send(observer, service, asked)
    message = await observer.message(asked["job_id"])
    event = json.loads(message.data)
    assert event["traceparent"].split("-")[1] == TRACE
    assert message.headers["traceparent"] == event["traceparent"]
    assert event["tracestate"] == "a=1"


async def test_a_job_is_counted_logged_and_timed(service, observer):
    before = metrics(service)
    job_id = await observer.publish(job(ECHO))
    await observer.result(job_id)
    await observer.settled()
    wanted = ("jobs_total{completed}", "job_duration_seconds_count", "nats_messages_processed_total")
    await until(lambda: all(metrics(service)[name] > before.get(name, 0) for name in wanted))
    assert metrics(service)["nats_messages_failed_total"] == before["nats_messages_failed_total"]
    assert {line["trace_id"] for line in service.lines() if line.get("job_id") == job_id} == {"trace-1"}


async def test_a_running_job_is_cancelled_once(service, observer):
    asked = job(plan(turn(text="Slowly. ", delay_ms=60_000)))
    async with observer.channel(asked["job_id"]) as channel, http(service) as client:
        await observer.publish(asked)
        await until(lambda: service.has(asked["job_id"]))
        assert (await client.delete(path(asked["job_id"]))).status_code in (200, 202)
        await channel.complete()
    check_envelope(await observer.result(asked["job_id"]), "cancelled", asked["job_id"])


async def test_the_service_is_ready_healthy_and_documented(service):
    checks = service.get("/ready").json()["checks"]
    assert checks == {"postgresql": "ok", "dragonfly": "ok", "nats": "ok"}
    assert service.get("/health").status_code == 200
    assert service.get("/docs").status_code == 200
