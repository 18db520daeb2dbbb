"""One trace from the caller through the job into model calls and onto the result, with nothing of content in it."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agent_executor.telemetry import exporting, traces
from tests.support import llm_stub
from tests.support.api import ECHO, serving
from tests.support.llm_stub import Reply
from tests.support.runtime import caller, job

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "vendor=value"
CANARY = "canary-4f1d"
STRUCTURED = "application/cloudevents+json"
REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "traces.md").read_text("utf-8")
PAGE = {
    span: set(re.findall(r"`([\w.]+)`", attributes))
    for span, attributes in re.findall(r"\| `(\w+) [\w.]+` \| [^|]+ \| (.+) \|", REFERENCE)
}


def team(provider: str = "scripted") -> dict[str, Any]:
    """A lead that calls a tool and then a sub-agent."""

    def model(*turns: Mapping[str, Any]) -> dict[str, Any]:
        return {"provider": "scripted", "model": "plan", "script": list(turns)}

    todo = {"name": "write_todos", "args": {"todos": [{"content": CANARY, "status": "pending"}]}}
    ask = {"name": "task", "args": {"description": CANARY, "subagent_type": "helper"}}
    lead = model({"text": CANARY, "tool_calls": [todo]}, {"text": CANARY, "tool_calls": [ask]}, {"text": CANARY})
    return {
        "name": "team",
        "nodes": [
            {"id": "l", "type": "Orchestrator", "config": {"name": "lead", "system_prompt": CANARY, "model": lead}},
            {
                "id": "h",
                "type": "Specialist",
                "config": {
                    "name": "helper",
                    "description": "d",
                    "system_prompt": CANARY,
                    "model": model({"text": "ok"}),
                },
            },
        ],
        "edges": [{"source": "l", "target": "h", "type": "orchestrator"}],
    }


def calling(provider: str, model: str) -> dict[str, Any]:
    definition = json.loads(json.dumps(ECHO))
    definition["nodes"][0]["config"]["model"] = {"provider": provider, "model": model}
    return dict(definition)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(exporting, "OTLPSpanExporter", lambda: exporter)
    return exporter


def tree(found: tuple[ReadableSpan, ...]) -> dict[str, list[str]]:
    """Each span's name to its children's, in the order of their starts."""
    names = {span.context.span_id: span.name for span in found if span.context}
    children: dict[str, list[str]] = {}
    for span in sorted(found, key=lambda each: each.start_time or 0):
        parent = names.get(span.parent.span_id, "caller") if span.parent else "nobody"
        children.setdefault(parent, []).append(span.name)
    return children


@pytest.mark.parametrize("earlier", [0, 1], ids=["the first of its definition", "one that is begun ahead of its claim"])
async def test_a_job_is_one_tree_of_spans_in_the_callers_trace(
    env: dict[str, str], spans: InMemorySpanExporter, earlier: int
) -> None:
    async with serving(env, OTEL_TRACES_EXPORTER="otlp") as api:
        for parent in [PARENT.replace(TRACE, "1" * 32)] * earlier + [PARENT]:
            given = job(team())
            await api.http.post("/", json=given, headers={"traceparent": parent, "tracestate": STATE})
            assert await api.ended(given["job_id"]) == "completed"
    by_trace: dict[str, list[ReadableSpan]] = {}
    for span in spans.get_finished_spans():
        by_trace.setdefault(f"{span.context.trace_id:032x}", []).append(span)
    assert by_trace.keys() == {TRACE, *["1" * 32] * earlier}
    found = tuple(by_trace[TRACE])
    assert tree(found) == {
        "caller": ["process agent.execute"],
        "process agent.execute": ["invoke_agent team"],
        "invoke_agent team": [
            "chat plan",
            "execute_tool write_todos",
            "chat plan",
            "execute_tool task",
            "chat plan",
        ],
        "execute_tool task": ["invoke_agent helper"],
        "invoke_agent helper": ["chat plan"],
    }
    by_name = {span.name: span for span in found}
    process, chat, tool = (by_name[n] for n in ("process agent.execute", "chat plan", "execute_tool write_todos"))
    assert process.kind is SpanKind.CONSUMER
    assert process.attributes
    assert process.attributes["messaging.system"] == "nats"
    assert chat.kind is SpanKind.CLIENT
    assert chat.attributes
    assert {
        n: chat.attributes[n] for n in ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
    } == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "plan",
    }
    assert tool.attributes
    assert tool.attributes["gen_ai.tool.name"] == "write_todos"
    assert {one.attributes["gen_ai.response.finish_reasons"] for one in found if one.name == "chat plan"} == {
        ("tool_calls",),
        ("stop",),
    }  # a list by the conventions
    named = {one.name: {*one.attributes} for one in found if one.attributes}
    assert named["invoke_agent helper"] < named.pop("invoke_agent team") == PAGE["invoke_agent"]
    assert all(PAGE[name.split()[0]] == named[name] for name in named.keys() - {"invoke_agent helper"})
    assert all(span.status.status_code is not StatusCode.ERROR for span in found)


@pytest.mark.parametrize("content", ["false", "true"])
async def test_content_is_in_spans_only_where_it_is_asked_for(
    env: dict[str, str], spans: InMemorySpanExporter, content: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(env, OTEL_TRACES_EXPORTER="otlp", LOG_CONTENT=content) as api:
        given = job(team(), CANARY)
        await api.http.post("/", json=given)
        assert await api.ended(given["job_id"]) == "completed"
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "chat plan" in told
    assert (CANARY in told) is (content == "true")
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("exporter", ["otlp", "none"])
@pytest.mark.parametrize("way", ["http", "extension", "nats"])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
async def test_the_callers_trace_reaches_the_model_and_the_result(
    env: dict[str, str], spans: InMemorySpanExporter, exporter: str, way: str, provider: str
) -> None:
    async with llm_stub.serve(Reply("fine")) as stub, caller(env) as outside:
        given = {
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": stub.openai,
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": stub.anthropic,
            "OLLAMA_BASE_URL": stub.url,
            "OTEL_TRACES_EXPORTER": exporter,
        }
        async with serving(env, **given) as api:
            data = job(calling(provider, "claude-x" if provider == "anthropic" else "gpt-x"))
            trace = {"traceparent": PARENT, "tracestate": STATE}
            event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": data}
            match way:
                case "http":
                    await api.http.post("/", json=data, headers=trace)
                case "extension":
                    body = json.dumps({**event, **trace}).encode()
                    await api.http.post("/", content=body, headers={"Content-Type": STRUCTURED})
                case "nats":
                    await outside.send(data, trace)
            told = await outside.told(data["job_id"], "completed")
        assert told["traceparent"].split("-")[1] == TRACE
        assert [request.headers["traceparent"].split("-")[1] for request in stub.requests] == [TRACE]
        if exporter == "otlp":
            chat = next(span for span in spans.get_finished_spans() if span.name.startswith("chat"))
            assert chat.attributes
            assert chat.attributes["gen_ai.usage.input_tokens"] == 11
            assert chat.context
            assert stub.requests[0].headers["traceparent"].split("-")[2] == f"{chat.context.span_id:016x}"


async def test_a_call_that_fails_marks_its_span_with_the_kind_of_error_alone(
    env: dict[str, str], spans: InMemorySpanExporter
) -> None:
    async with llm_stub.serve(Reply(status=401)) as stub:
        given = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.openai, "OTEL_TRACES_EXPORTER": "otlp"}
        async with serving(env, **given) as api:
            data = job(calling("openai", "gpt-x"))
            await api.http.post("/", json=data)
            assert await api.ended(data["job_id"]) == "failed"
    failed = [span for span in spans.get_finished_spans() if span.name == "chat gpt-x"]
    assert failed
    assert failed[0].status.status_code is StatusCode.ERROR
    assert failed[0].attributes
    assert failed[0].attributes["error.type"]
    assert "The stub says no" not in failed[0].to_json()


async def test_a_collector_that_is_away_costs_no_job(env: dict[str, str]) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with serving(env, **away) as api:
        assert await api.ended(await api.submit(ECHO)) == "completed"


ENDS = """
import os, time
from agent_executor import settings
from agent_executor.telemetry import traces

made = traces.configure(settings.load(os.environ))
with made.span("one", {}):
    pass
began = time.monotonic()
made.close()
print(time.monotonic() - began, flush=True)
"""


def test_a_collector_that_never_answers_is_not_waited_for(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with subprocess.Popen([sys.executable, "-c", ENDS], env=given, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert float(process.stdout.readline()) < traces.FLUSH_MILLIS / 1000 + 1
            assert process.wait(3) == 0
