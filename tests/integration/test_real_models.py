"""The seed's rows against the real APIs, for whoever has a key in the environment or in `.env`."""

import os
from pathlib import Path

import pytest

from tests.support.observer import agent, job, rows, running, tenant, watching

DOTENV = Path(__file__).parents[2] / ".env"
MODELS = {
    "OPENAI_API_KEY": {"provider": "openai", "model": "gpt-4.1-mini"},
    "ANTHROPIC_API_KEY": {"provider": "anthropic", "model": "claude-haiku-4-5"},
}
ASK = "Write the single line `hello` to the file /hello.txt, then answer with the one word `done`."


def key(variable):
    """The key, from the environment before `.env`; the test is skipped without one."""
    lines = DOTENV.read_text().splitlines() if DOTENV.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    value = os.environ.get(variable) or found.get(variable, "").strip("\"' ")
    if not value:
        pytest.skip(f"{variable} is not set")
    return value


@pytest.mark.slow
@pytest.mark.parametrize("variable", MODELS)
async def test_a_real_model_does_a_whole_job(variable, request, tmp_path):
    given = {variable: key(variable), "MODEL_TIMEOUT_SECONDS": "60"}
    servers, template = map(request.getfixturevalue, ("servers", "migrated_template"))
    with tenant(servers, template) as env, running(env, tmp_path, **given) as (service,):
        asked = job(agent(MODELS[variable]), ASK)
        async with watching(env) as observer, observer.channel(asked["job_id"]) as channel:
            await observer.publish(asked)
            await channel.complete(90)
            event = await observer.result(asked["job_id"])
        assert event["type"].endswith("completed"), event["data"]
        assert event["data"]["result"]["files"]["/hello.txt"]["content"][0] == "hello"
        assert "done" in event["data"]["result"]["output"].lower()
        assert {"on_llm_stream", "on_tool_start", "on_tool_end", "on_state_update", "end"} <= set(channel.kinds())
        statement = "SELECT DISTINCT thread_id FROM checkpoints"
        assert rows(env, statement) == [(asked["job_id"],)]
        assert given[variable] not in service.text()
