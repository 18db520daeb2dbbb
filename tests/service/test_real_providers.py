"""The same graphs against the real APIs, for whoever has a key in the environment or in `.env`."""

import os
from pathlib import Path

import pytest

from tests.support import graphs
from tests.support.graphs import Bench

DOTENV = Path(__file__).parents[2] / ".env"
MODELS = {"OPENAI_API_KEY": "openai:gpt-4.1-mini", "ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5"}


def key(variable: str) -> str:
    """The key, from the environment before `.env`; the test is skipped without one."""
    lines = DOTENV.read_text().splitlines() if DOTENV.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    value = os.environ.get(variable) or found.get(variable, "").strip("\"' ")
    if not value:
        pytest.skip(f"{variable} is not set")
    return value


@pytest.mark.slow
@pytest.mark.parametrize("variable", MODELS)
async def test_a_real_model_streams_calls_a_tool_and_ends(variable: str) -> None:
    table = Bench(env={variable: key(variable), "MODEL_TIMEOUT_SECONDS": "60"})
    definition = graphs.agent(MODELS[variable], system_prompt="Do exactly what you are asked, in one step.")
    result = await table.result(definition, "Write the single line `hello` to the file /hello.txt, then answer `done`.")
    assert result["files"]["/hello.txt"]["content"][0] == "hello"
    assert "done" in result["output"].lower()
    assert table.seen("on_llm_stream")
    assert table.context is not None
    assert table.context.usage.tokens > 0
