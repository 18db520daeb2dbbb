"""The real clients of OpenAI and Anthropic against a server that fails in every way."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agent_executor.core import providers
from agent_executor.core.classify import classify
from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models.definition import parse
from tests.support import graphs, llm_stub
from tests.support.graphs import Bench
from tests.support.llm_stub import Reply, Stub

TEXT = "one two three four five six seven eight nine ten eleven twelve thirteen"
BOTH = pytest.mark.parametrize("provider", ["openai", "anthropic"])
ALL = pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])


def bench(stub: Stub) -> Bench:
    return Bench(
        env={"OPENAI_BASE_URL": stub.openai, "ANTHROPIC_BASE_URL": stub.anthropic, "OLLAMA_BASE_URL": stub.url}
    )


def model(provider: str) -> dict[str, Any]:
    return {"provider": provider, "model": "stub-1", "temperature": 0.5, "max_tokens": 900}


@BOTH
async def test_an_answer_streams_word_by_word_and_is_counted(provider: str) -> None:
    async with llm_stub.serve(Reply(TEXT)) as stub:
        table = bench(stub)
        result = await table.result(graphs.agent(model(provider), system_prompt="Be brief."))
    assert result["output"] == TEXT
    assert result["messages"][-1]["content"] == TEXT
    words = table.seen("on_llm_stream")
    assert "".join(chunk["content"] for chunk in words) == TEXT
    assert len(words) > 2
    assert {(chunk["agent"], chunk["model"]) for chunk in words} == {("boss", "stub-1")}
    assert table.context is not None
    assert table.context.usage.tokens > 0


@BOTH
async def test_requests_stream_with_the_key_and_the_sampling_of_the_definition(provider: str) -> None:
    async with llm_stub.serve(Reply("Fine.")) as stub:
        await bench(stub).result(graphs.agent(model(provider)))
    (request,) = stub.requests
    key = request.headers.get("x-api-key") or request.headers["authorization"]
    assert key.endswith(f"sk-{provider}-canary")
    assert (request.body["stream"], request.body["temperature"]) == (True, 0.5)
    assert 900 in (request.body.get("max_tokens"), request.body.get("max_completion_tokens"))


async def test_openai_is_spoken_to_over_chat_completions_by_sub_agents_too() -> None:
    task = ("task", {"description": "Look.", "subagent_type": "scout"})
    async with llm_stub.serve(Reply(calls=(task,)), Reply("Found."), Reply("Done.")) as stub:
        definition = graphs.agent(model("openai"), {"id": "scout", "model": model("openai")})
        result = await bench(stub).result(definition)
    assert result["output"] == "Done."
    assert [request.path for request in stub.requests] == ["/v1/chat/completions"] * 3


@BOTH
async def test_tool_calls_come_whole(provider: str) -> None:
    write = ("write_file", {"file_path": "/a.txt", "content": "x\ny"})
    async with llm_stub.serve(Reply("Writing.", calls=(write,)), Reply("Written.")) as stub:
        result = await bench(stub).result(graphs.agent(model(provider)))
    assert result["files"]["/a.txt"]["content"] == ["x", "y"]
    assert result["messages"][1]["content"] == "Writing."
    assert result["messages"][1]["tool_calls"][0]["args"] == {"file_path": "/a.txt", "content": "x\ny"}


async def test_names_with_spaces_do_not_reach_openai() -> None:
    task = ("task", {"description": "Look.", "subagent_type": "The Scout"})
    async with llm_stub.serve(Reply(calls=(task,)), Reply("Found."), Reply("Done.")) as stub:
        scout = {"id": "scout", "name": "The Scout", "model": model("openai")}
        table = bench(stub)
        result = await table.result(graphs.agent(model("openai"), scout, name="The Boss / Lead"))
    assert [message.get("name") for message in stub.requests[2].body["messages"]][2:] == ["The_Boss_Lead", None]
    assert result["messages"][2]["content"] == "Found."
    assert {chunk["agent"] for chunk in table.seen("on_llm_stream")} == {"The Boss / Lead", "The Scout"}


@BOTH
async def test_a_tool_that_does_not_exist_is_told_to_the_model(provider: str) -> None:
    async with llm_stub.serve(Reply(calls=(("nope", {}),)), Reply("Sorry.")) as stub:
        result = await bench(stub).result(graphs.agent(model(provider)))
    assert (result["messages"][2]["status"], result["output"]) == ("error", "Sorry.")
    assert "nope is not a valid tool" in result["messages"][2]["content"]


@BOTH
async def test_nul_and_surrogates_are_cleaned_and_not_sent_back(provider: str) -> None:
    bad = ("write_file", {"file_path": "/n\0.txt", "content": "x\ud800y"})
    async with llm_stub.serve(Reply("a\0b\ud800c", calls=(bad,)), Reply("Fine.")) as stub:
        table = bench(stub)
        result = await table.result(graphs.agent(model(provider)))
    assert result["messages"][1]["content"] == "a\ufffdb\ufffdc"
    assert result["files"]["/n\ufffd.txt"]["content"] == ["x\ufffdy"]
    assert "\0" not in str(result)
    json.dumps(result, ensure_ascii=False).encode()
    json.dumps(table.events, ensure_ascii=False).encode()


@BOTH
async def test_ten_megabytes_are_an_answer(provider: str) -> None:
    async with llm_stub.serve(Reply("x" * 10_000_000)) as stub:
        result = await bench(stub).result(graphs.agent(model(provider)))
    assert len(result["output"]) == 10_000_000


TEMPORARY: dict[str, tuple[Reply, str]] = {
    "429": (Reply(status=429, headers={"Retry-After": "7"}), "rate_limited"),
    "500": (Reply(status=500), "model_unavailable"),
    "503": (Reply(status=503), "model_unavailable"),
    "529": (Reply(status=529), "model_unavailable"),
    "no answer": (Reply(TEXT, fault="timeout"), "model_timeout"),
    "stream stalls": (Reply(TEXT, fault="stall"), "model_timeout"),
    "stream cut": (Reply(TEXT, fault="cut"), "model_unavailable"),
    "stream disconnected": (Reply(TEXT, fault="disconnect"), "model_unavailable"),
    "chunk malformed": (Reply(TEXT, fault="malformed"), "model_unavailable"),
    "html": (Reply(TEXT, fault="html"), "model_unavailable"),
    "no choices": (Reply(TEXT, fault="empty"), "model_unavailable"),
    "arguments that are not JSON": (Reply(calls=(("ls", "no JSON at all"),)), "model_unavailable"),
}
FINAL: dict[str, tuple[Reply, str]] = {
    "wrong key": (Reply(status=401), "model_unauthorized"),
    "bad request": (Reply(status=400), "model_rejected"),
    "no such model": (Reply(status=404), "model_not_found"),
}


@ALL
@pytest.mark.parametrize(("reply", "type_"), TEMPORARY.values(), ids=TEMPORARY.keys())
async def test_trouble_is_temporary_and_the_job_goes_on_from_its_checkpoint(
    provider: str, reply: Reply, type_: str
) -> None:
    async with llm_stub.serve(Reply("", calls=(("ls", {"path": "/"}),)), reply, Reply("Fine.")) as stub:
        table = bench(stub)
        definition = graphs.agent(model(provider))
        with pytest.raises(Exception) as raised:  # noqa: PT011  # whatever the client raises; `classify` is what counts
            await table.run(definition)
        error = classify(raised.value)
        assert isinstance(error, TemporaryError)
        assert (error.type, "canary" in str(error)) == (type_, False)
        # Ollama's client drops the headers of an error.
        assert error.retry_after == (7 if reply.status == 429 and provider != "ollama" else None)
        # The client itself tried once: retrying is the job's business.
        assert len(stub.requests) == 2
        result = await table.result(definition, None)
    assert result["output"] == "Fine."
    assert [message["role"] for message in result["messages"]] == ["user", "assistant", "tool", "assistant"]


@ALL
@pytest.mark.parametrize(("reply", "type_"), FINAL.values(), ids=FINAL.keys())
async def test_a_refusal_is_final(provider: str, reply: Reply, type_: str) -> None:
    async with llm_stub.serve(reply) as stub:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            await bench(stub).run(graphs.agent(model(provider)))
    error = classify(raised.value)
    assert isinstance(error, PermanentError)
    assert (error.type, len(stub.requests)) == (type_, 1)


@BOTH
async def test_an_answer_that_ends_at_its_token_limit_is_an_answer(provider: str) -> None:
    stop = "length" if provider == "openai" else "max_tokens"
    async with llm_stub.serve(Reply("Half a", stop=stop)) as stub:
        result = await bench(stub).result(graphs.agent(model(provider)))
    assert result["output"] == "Half a"


@BOTH
async def test_a_tool_call_cut_at_the_token_limit_is_not_made(provider: str) -> None:
    stop = "length" if provider == "openai" else "max_tokens"
    half = ("write_file", '{"file_path": "/a.txt", "content": "half of')
    async with llm_stub.serve(Reply(calls=(half,), stop=stop)) as stub:
        table = bench(stub)
        with pytest.raises(PermanentError, match="reached max_tokens in the middle of a tool call"):
            await table.run(graphs.agent(model(provider)))
    assert not table.seen("on_tool_start")


async def test_ollama_speaks_its_own_dialect() -> None:
    async with llm_stub.serve(Reply(TEXT)) as stub:
        table = Bench(env={"OLLAMA_BASE_URL": stub.url})
        result = await table.result(graphs.agent(model("ollama")))
        assert result["output"] == TEXT
        assert (stub.requests[0].path, stub.requests[0].body["options"]["num_predict"]) == ("/api/chat", 900)


def parsed(provider: str) -> Any:
    chosen = {"provider": provider, "model": "echo"}
    return parse({"nodes": [{"id": "a", "model": chosen}]}).orchestrator.config.model


REFUSED: list[tuple[str, str]] = [
    ("openai", "OPENAI_API_KEY"),
    ("anthropic", "ANTHROPIC_API_KEY"),
    ("ollama", "OLLAMA_BASE_URL"),
    ("scripted", "ALLOW_SCRIPTED_MODEL"),
]


@pytest.mark.parametrize(("provider", "variable"), REFUSED)
def test_a_provider_that_is_not_offered_says_what_it_needs(provider: str, variable: str) -> None:
    bare = graphs.configured(OPENAI_API_KEY="", ANTHROPIC_API_KEY="", ALLOW_SCRIPTED_MODEL="")
    with pytest.raises(PermanentError) as refused:
        providers.check(parsed(provider), bare, "nodes[0].config.model")
    assert refused.value.message == (
        f"nodes[0].config.model.provider: '{provider}' is not offered here, it needs {variable}"
    )


LIBRARIES: dict[str, Callable[[str], bool]] = {
    "openai": lambda name: name.startswith(("openai", "langchain_openai")),
    "anthropic": lambda name: name.startswith(("anthropic", "langchain_anthropic")),
}


@pytest.mark.parametrize("provider", LIBRARIES)
def test_a_provider_is_imported_only_when_asked_for(provider: str) -> None:
    import subprocess

    program = "import sys, agent_executor.core.graph; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "deepagents" in loaded
    assert not [name for name in loaded if LIBRARIES[provider](name)]
