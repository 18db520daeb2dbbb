"""Canaries in every secret and in the content: none leaves by a log, an event, a result, a metric or an error."""

import asyncio
import json

import pytest

from tests.support.llm_stub import Reply, beside
from tests.support.observer import (
    agent,
    http,
    job,
    metrics,
    path,
    rows,
    start,
    unique,
    until,
)

pytestmark = [pytest.mark.xdist_group("integration-secrets"), pytest.mark.slow]

SECRETS = {
    "OPENAI_API_KEY": "canary-openai-5d2f",
    "ANTHROPIC_API_KEY": "canary-anthropic-91ce",
    "AGENT_EXECUTOR_API_TOKEN": "canary-token-7a3b",
    "DRAGONFLY_PASSWORD": "canary-dragonfly-c04d",
}
PROMPT, ANSWER, ARGUMENT = "canary-prompt-1f1f", "canary-answer-2e2e", "canary-argument-3d3d"
CONTENT = (PROMPT, ANSWER, ARGUMENT)
NAUGHTY = '''import os
from langchain_core.tools import tool

@tool
def naughty(q: str) -> str:
    """Look around, and fail with what was found and asked."""
    raise ValueError(f"{q} {dict(os.environ)}")
'''


@pytest.fixture(scope="module")
def stub():
    with beside() as made:
        yield made


@pytest.fixture(scope="module")
def changes(stub):
    own = {name: value for name, value in SECRETS.items() if name != "DRAGONFLY_PASSWORD"}  # the servers have none
    limits = {"MODEL_TIMEOUT_SECONDS": "1", "JOB_MAX_ATTEMPTS": "1", "LOG_LEVEL": "debug", "MAX_CONCURRENT_JOBS": "20"}
    return {**own, **limits, "OPENAI_BASE_URL": stub.openai, "ANTHROPIC_BASE_URL": stub.anthropic}


def asked_of(provider, stub, *replies, **more):
    model = unique("model")
    stub.models[model] = list(replies)
    definition = agent({"provider": provider, "model": model}, {"naughty": NAUGHTY}, system_prompt=PROMPT, **more)
    return job(definition, PROMPT)


def runs(stub):
    """Jobs that succeed, and jobs that fail in every way in which somebody quotes what he was given."""
    calls = Reply(ANSWER, (("naughty", {"q": ARGUMENT}),))
    wrong = Reply("", (("naughty", {"wrong": ARGUMENT}), ("no_such_tool", {"q": ARGUMENT})))
    faults = [Reply(status=status) for status in (400, 401, 404, 429, 500)]
    faults += [Reply(ANSWER + " more and more words", fault=fault) for fault in ("cut", "malformed", "html", "timeout")]
    for provider in ("openai", "anthropic"):
        yield asked_of(provider, stub, calls, Reply(ANSWER))
        yield asked_of(provider, stub, wrong, Reply(ANSWER))
        yield from (asked_of(provider, stub, fault) for fault in faults)
    yield asked_of("openai", stub, Reply(ANSWER)) | {"job_id": unique("job"), "input_payload": {"messages": PROMPT}}
    yield job(agent({"provider": "openai", "model": "x", "api_key": PROMPT}, {"bad": "raise ValueError('broken')"}))


def secrets(service):
    return [*(value for name, value in SECRETS.items() if name in service.env), service.env["POSTGRES_PASSWORD"]]


async def test_no_secret_and_no_content_leaves_where_it_should_not(service, observer, stub):
    jobs = list(runs(stub))
    async with http(service, Authorization=f"Bearer {SECRETS['AGENT_EXECUTOR_API_TOKEN']}") as client:
        for asked in jobs:
            await observer.publish(asked)
        await observer.publish(f'{{"job_id": "{PROMPT}'.encode())
        pages = [
            (await client.post("/", content=f'{{"{PROMPT}": '.encode(), headers={"Content-Type": "application/json"}))
        ]
        events = [await observer.result(asked["job_id"], seconds=60) for asked in jobs]
        assert {event["type"].rpartition(".")[2] for event in events} == {"completed", "failed"}
        await observer.settled()
        pages += [await client.get(at) for at in ("/metrics", "/ready", "/health", "/openapi.json", "/jobs")]
        pages += [await client.get(path(asked["job_id"])) for asked in jobs]
        pages.append(await client.get("/", headers={"Authorization": f"Bearer {SECRETS['AGENT_EXECUTOR_API_TOKEN']}x"}))
        pages.append(await client.get("/jobs?limit=x&cursor=y"))
    live = [await observer.redis.xrange(f"langgraph:stream:{asked['job_id']}:log") for asked in jobs]
    places = {
        "logs": service.text(),
        "pages": "\n".join(page.text + str(page.headers) for page in pages),
        "results": "\n".join(json.dumps(event) for event in await observer.results()),
        "letters": "\n".join(f"{letter.data!r} {letter.headers}" for letter in await observer.letters()),
        "events": str(live),
        "database": str(await asyncio.to_thread(rows, service.env, "SELECT job_id, error, result FROM jobs")),
    }
    assert places["logs"].count("job: taken") >= len(jobs) - 1
    assert all(word in places["results"] for word in CONTENT)  # it was there to be told
    assert [(name, secret) for name, text in places.items() for secret in secrets(service) if secret in text] == []
    # Content belongs to its job's own events and result; nothing else may hold it.
    errors = "\n".join(json.dumps(event["data"]["error"]) for event in events if event["type"].endswith("failed"))
    quiet = {"logs": places["logs"], "pages": places["pages"], "errors": errors}
    assert [(name, word) for name, text in quiet.items() for word in CONTENT if word in text] == []
    assert metrics(service)["jobs_total{failed}"] >= 18


async def test_a_service_that_cannot_reach_anything_tells_no_secret(service, tmp_path):
    away = {
        **service.env,
        **SECRETS,
        "NATS_URL": "nats://user:canary-nats-88aa@127.0.0.1:1",
        "POSTGRES_PORT": "1",
        "POSTGRES_PASSWORD": "canary-postgres-66bb",
        "DRAGONFLY_PORT": "1",
    }
    nowhere = start(away, tmp_path)
    try:
        said = await until(lambda: (answer := nowhere.get("/ready")) and answer.status_code == 503 and answer)
        await until(lambda: len(nowhere.lines()) > 2)
        nowhere.terminate()
        assert await nowhere.ended() == 0
    finally:
        if nowhere.process.poll() is None:
            nowhere.kill()
    text = nowhere.text() + said.text
    assert "canary" not in text
