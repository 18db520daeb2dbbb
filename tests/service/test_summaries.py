"""A conversation that grows too long is summarised by the model: that call is one of the job's like any other."""

from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_executor.core.classify import classify
from agent_executor.core.limits import Limits
from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.telemetry import exporting
from tests.support import graphs, llm_stub
from tests.support.api import serving
from tests.support.graphs import Bench
from tests.support.llm_stub import Reply, Stub
from tests.support.runtime import job

UNKNOWN = {"provider": "openai", "model": "of-nobody"}  # its window is not known, so 170 000 tokens are too long
TRACE = "0af7651916cd43dd8448eb211c80319c"
LS = ("ls", {"path": "/"})
LONG = "word " * 20_000  # 25 000 tokens
SUMMARY = "The story so far."


def bench(stub: Stub, most: Limits | None = None) -> Bench:
    return Bench(env={"OPENAI_BASE_URL": stub.openai}, most=most)


def talk(tokens: int) -> dict[str, Any]:
    """A payload of about so many tokens in messages of 5 000."""
    said = [{"role": "assistant" if i % 2 else "user", "content": "word " * 4000} for i in range(tokens // 5000)]
    return {"messages": [*said, {"role": "user", "content": "And now?"}]}


def summaries(stub: Stub) -> list[int]:
    """Which requests asked for a summary: those without tools."""
    return [i for i, request in enumerate(stub.requests) if not request.body.get("tools")]


async def test_a_summary_counts_as_a_model_call_and_its_tokens_count_too() -> None:
    async with llm_stub.serve(Reply(SUMMARY), Reply("Fine.")) as stub:
        table = bench(stub)
        outcome = await table.run(graphs.agent(UNKNOWN), talk(200_000))
    assert summaries(stub) == [0]
    assert outcome.values["job_usage"] == {"model_calls": 2, "tool_calls": 0, "tokens": 36}
    assert table.context is not None
    assert (table.context.usage.model_calls, table.context.usage.tokens) == (2, 36)
    assert SUMMARY in str(stub.requests[1].body["messages"])
    assert "".join(chunk["content"] for chunk in table.seen("on_llm_stream")) == "Fine.", "a summary is nobody's words"


async def test_a_summary_stops_at_the_limit_of_the_job() -> None:
    async with llm_stub.serve(Reply(SUMMARY), Reply("Fine.")) as stub:
        with pytest.raises(PermanentError, match="model calls: the job needs 2, and its limit is 1"):
            await bench(stub, Limits(1, 100, 10**6)).run(graphs.agent(UNKNOWN), talk(200_000))
        assert len(stub.requests) == 1
        with pytest.raises(PermanentError, match="tokens: the job needs 18, and its limit is 17"):
            await bench(stub, Limits(9, 100, 17)).run(graphs.agent(UNKNOWN), talk(200_000))
        assert len(stub.requests) == 2


async def test_a_summary_is_not_asked_for_where_the_state_remembers_that_the_limit_is_reached() -> None:
    async with llm_stub.serve(Reply(LONG, calls=(LS,)), Reply(status=500), Reply(SUMMARY)) as stub:
        table = bench(stub)
        with pytest.raises(Exception, match="500"):
            await table.run(graphs.agent(UNKNOWN), talk(160_000))
        assert summaries(stub) == [1]
        table.most = Limits(1, 100, 10**6)
        with pytest.raises(PermanentError, match="model calls: the job needs 2, and its limit is 1"):
            await table.run(graphs.agent(UNKNOWN), None)
        assert len(stub.requests) == 2


async def test_summaries_of_a_sub_agent_count_once() -> None:
    task = ("task", {"description": "Look.", "subagent_type": "scout"})
    async with llm_stub.serve() as stub:
        stub.models["boss-1"] = [Reply(calls=(task,)), Reply("Done.")]
        stub.models["scout-1"] = [*[Reply(LONG, calls=(LS,))] * 7, Reply(SUMMARY), Reply("Found.")]
        table = bench(stub)
        scout = {"id": "scout", "model": {"provider": "openai", "model": "scout-1"}}
        outcome = await table.run(graphs.agent({"provider": "openai", "model": "boss-1"}, scout))
    assert len(summaries(stub)) == 1
    assert outcome.values["job_usage"] == {"model_calls": 11, "tool_calls": 8, "tokens": 11 * 18}


TROUBLE: dict[str, tuple[Reply, str]] = {
    "cut": (Reply("one two three four five six seven eight nine ten", fault="cut"), "model_unavailable"),
    "malformed": (Reply("one two three four five six seven eight nine ten", fault="malformed"), "model_unavailable"),
    "429": (Reply(status=429, headers={"Retry-After": "7"}), "rate_limited"),
}


@pytest.mark.parametrize(("reply", "type_"), TROUBLE.values(), ids=TROUBLE.keys())
async def test_a_summary_that_is_not_whole_is_no_summary_and_trying_again_is_the_jobs_business(
    reply: Reply, type_: str
) -> None:
    async with llm_stub.serve(reply, Reply(SUMMARY), Reply("Fine.")) as stub:
        table = bench(stub)
        with pytest.raises(Exception) as raised:  # noqa: PT011  # whatever the client raises; `classify` is what counts
            await table.run(graphs.agent(UNKNOWN), talk(200_000))
        error = classify(raised.value)
        assert isinstance(error, TemporaryError)
        assert (error.type, len(stub.requests)) == (type_, 1)
        assert (await table.result(graphs.agent(UNKNOWN), None))["output"] == "Fine."


async def test_a_call_that_fails_after_its_summary_is_made_again() -> None:
    async with llm_stub.serve(Reply(SUMMARY), Reply(status=500), Reply(SUMMARY), Reply("Fine.")) as stub:
        table = bench(stub)
        with pytest.raises(Exception, match="500"):
            await table.run(graphs.agent(UNKNOWN), talk(200_000))
        result = await table.result(graphs.agent(UNKNOWN), None)
    assert (result["output"], len(stub.requests)) == ("Fine.", 4)
    (path,) = result["files"]
    assert path.startswith("/conversation_history/")
    assert path in str(stub.requests[3].body["messages"])


async def test_what_no_checkpoint_can_hold_is_cleaned_out_of_a_summary() -> None:
    async with llm_stub.serve(Reply("a\0b\ud800c"), Reply("Fine.")) as stub:
        await bench(stub).run(graphs.agent(UNKNOWN), talk(200_000))
    assert "a\ufffdb\ufffdc" in str(stub.requests[1].body["messages"])


async def test_a_summary_has_a_span_and_carries_the_callers_trace(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = InMemorySpanExporter()
    monkeypatch.setattr(exporting, "OTLPSpanExporter", lambda: spans)
    async with llm_stub.serve(Reply(SUMMARY), Reply("Fine.")) as stub:
        given = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.openai, "OTEL_TRACES_EXPORTER": "otlp"}
        async with serving(env, HTTP_MAX_BODY_BYTES="2000000", **given) as api:
            asked = job(graphs.agent(UNKNOWN)) | {"input_payload": talk(180_000)}
            await api.http.post("/", json=asked, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
            assert await api.ended(asked["job_id"]) == "completed"
            assert await api.metric("tokens_total", model="of-nobody", direction="output") == 14
    chats = [span for span in spans.get_finished_spans() if span.name == "chat of-nobody"]
    assert [span.attributes and span.attributes["gen_ai.usage.input_tokens"] for span in chats] == [11, 11]
    assert [request.headers["traceparent"].split("-")[1:3] for request in stub.requests] == [
        [TRACE, f"{span.context.span_id:016x}"] for span in chats if span.context
    ]
