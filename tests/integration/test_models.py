"""Real model clients against a stub that speaks as their servers do, and every way in which a model fails."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from tests.support.llm_stub import Reply, beside
from tests.support.observer import agent, http, job, path, rows, unique, until

pytestmark = [pytest.mark.xdist_group("integration-models"), pytest.mark.slow]

PROVIDERS = ("openai", "anthropic")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
GOOD = Reply("All is well.")
TEN_MEGABYTES = "m" * 10_000_000


@pytest.fixture(scope="module")
def stub():
    with beside() as made:
        yield made


@pytest.fixture(scope="module")
def changes(stub):
    return {
        "OPENAI_BASE_URL": stub.openai,
        "ANTHROPIC_BASE_URL": stub.anthropic,
        "OPENAI_API_KEY": "sk-test-openai",
        "ANTHROPIC_API_KEY": "sk-test-anthropic",
        "MODEL_TIMEOUT_SECONDS": "1.5",
        "JOB_RETRY_DELAY_SECONDS": "0.2",
        "JOB_MAX_ATTEMPTS": "2",
        "MAX_CONCURRENT_JOBS": "30",
    }


def asked_of(provider, stub, *replies):
    """A job for a model that gives these replies."""
    model = unique("model")
    stub.models[model] = list(replies)
    return model, job(agent({"provider": provider, "model": model}))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_job_with_a_real_client_does_all_that_a_job_does(service, observer, stub, provider):
    todo = {"todos": [{"content": "Answer.", "status": "completed"}]}
    model, asked = asked_of(provider, stub, Reply("I plan.", (("write_todos", todo),)), Reply("The answer is 42."))
    async with observer.channel(asked["job_id"]) as channel:
        await observer.publish(asked, traceparent=PARENT)
        events = await channel.complete()
    event = await observer.result(asked["job_id"])
    assert event["type"].endswith("completed"), event["data"]
    result = event["data"]["result"]
    assert result["output"] == "The answer is 42."
    assert [message["role"] for message in result["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert event["traceparent"].split("-")[1] == TRACE
    told = [one["data"] for one in events if one["event_type"] == "on_llm_stream"]
    assert "".join(one["content"] for one in told) == "I plan.The answer is 42."
    assert {one["model"] for one in told} == {model}
    assert channel.tools() == ["write_todos"]
    assert channel.kinds()[-1] == "end"
    statement = "SELECT DISTINCT thread_id FROM checkpoints WHERE thread_id = %s"
    assert rows(service.env, statement, asked["job_id"]) == [(asked["job_id"],)]
    requests = [request for request in stub.requests if request.body["model"] == model]
    assert len(requests) == 2
    assert {request.headers.get("traceparent", "").split("-")[1] for request in requests} == {TRACE}
    key = requests[0].headers.get("x-api-key") or requests[0].headers["authorization"].removeprefix("Bearer ")
    assert key == f"sk-test-{provider}"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_job_over_http_reaches_the_same_model(service, observer, stub, provider):
    _, asked = asked_of(provider, stub, GOOD)
    async with http(service) as client:
        answer = await client.post("/", json=asked, headers={"Prefer": "wait=30"})
    assert answer.json()["data"]["result"]["output"] == GOOD.text


@dataclass(frozen=True)
class Passing:
    """What passes once, and how often the model is asked then."""

    replies: tuple[Reply, ...]
    output: str = GOOD.text
    requests: int = 2


PASSING = {
    "429 with Retry-After": Passing((Reply(status=429, headers={"Retry-After": "1"}), GOOD)),
    "429 without": Passing((Reply(status=429), GOOD)),
    "500": Passing((Reply(status=500), GOOD)),
    "502": Passing((Reply(status=502), GOOD)),
    "503 with Retry-After": Passing((Reply(status=503, headers={"Retry-After": "1"}), GOOD)),
    "529": Passing((Reply(status=529), GOOD)),
    "timeout": Passing((Reply(fault="timeout"), GOOD)),
    "stall": Passing((Reply("One two three four five six seven", fault="stall"), GOOD)),
    "cut stream": Passing((Reply("One two three four five six seven", fault="cut"), GOOD)),
    "disconnect": Passing((Reply("One two three four five six seven", fault="disconnect"), GOOD)),
    "malformed chunk": Passing((Reply("One two three four five six seven", fault="malformed"), GOOD)),
    "empty choices": Passing((Reply(fault="empty"), GOOD)),
    "unknown tool": Passing((Reply("", (("no_such_tool", {}),)), GOOD)),
    "arguments that are not JSON": Passing((Reply("", (("write_todos", '{"todos": ['),)), GOOD)),
    "NUL and surrogates": Passing((Reply("a\0b\ud83dc"),), "", 1),
}
LASTING = {
    "wrong key": (Reply(status=401), "model_unauthorized", False, 1),
    "no such model": (Reply(status=404), "model_not_found", False, 1),
    "refused": (Reply(status=400), "model_rejected", False, 1),
    "HTML": (Reply(fault="html"), "model_unavailable", True, 6),
    "500": (Reply(status=500), "model_unavailable", True, 6),
    "429": (Reply(status=429), "rate_limited", True, 6),
    "timeout": (Reply(fault="timeout"), "model_timeout", True, 6),
    "stall": (Reply("One two three four five six seven", fault="stall"), "model_timeout", True, 6),
    "cut stream": (Reply("One two three four five six seven", fault="cut"), "model_unavailable", True, 6),
    "disconnect": (Reply("One two three four five six seven", fault="disconnect"), "model_unavailable", True, 6),
    "malformed chunk": (Reply("One two three four five six seven", fault="malformed"), "model_unavailable", True, 6),
    "empty choices": (Reply(fault="empty"), "model_unavailable", True, 6),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_passes_is_tried_again_and_the_job_completes(observer, stub, provider):
    jobs = {name: asked_of(provider, stub, *case.replies) for name, case in PASSING.items()}
    await asyncio.gather(*(observer.publish(asked) for _, asked in jobs.values()))
    seen, wanted = {}, {}
    for name, (model, asked) in jobs.items():
        event = await observer.result(asked["job_id"], seconds=60)
        case = PASSING[name]
        output = event["data"].get("result", event["data"]).get("output", event["data"])
        requests = [request for request in stub.requests if request.body["model"] == model]
        seen[name] = (output if case.output else output.replace("\ufffd", "")[-1:], len(requests))
        wanted[name] = (case.output or "c", case.requests)
        if "Retry-After" in (case.replies[0].headers or {}):
            assert requests[1].at - requests[0].at >= 1, name
    assert seen == wanted
    assert len(await observer.results()) == len({event["id"] for event in await observer.results()})


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_lasts_is_one_failed_event_that_says_what_it_was(observer, stub, provider):
    jobs = {name: asked_of(provider, stub, reply) for name, (reply, *_) in LASTING.items()}
    await asyncio.gather(*(observer.publish(asked) for _, asked in jobs.values()))
    seen = {}
    for name, (model, asked) in jobs.items():
        event = await observer.result(asked["job_id"], seconds=60)
        assert event["type"].endswith("failed"), (name, event["data"])
        error = event["data"]["error"]
        requests = [request for request in stub.requests if request.body["model"] == model]
        seen[name] = (error["type"], error["retryable"], len(requests))
    assert seen == {name: tuple(wanted) for name, (_, *wanted) in LASTING.items()}
    await observer.settled()
    assert [len(await observer.results(asked["job_id"])) for _, asked in jobs.values()] == [1] * len(jobs)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_of_ten_megabytes_goes_out_as_a_reference(service, observer, stub, provider):
    _, asked = asked_of(provider, stub, Reply(TEN_MEGABYTES))
    await observer.publish(asked)
    event = await observer.result(asked["job_id"], seconds=90)
    assert event["type"].endswith("completed"), event
    assert event["dataref"] == path(asked["job_id"], "/result")
    assert "data" not in event
    async with http(service) as client:
        kept = (await client.get(event["dataref"])).json()
        assert kept["result"]["output"] == TEN_MEGABYTES
    await until(service.is_ready, what="ready")
    assert json.loads((await observer.message(asked["job_id"])).data) == event
