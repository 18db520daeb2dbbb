"""A span is named by what the definition and the service know, never by what a model wrote."""

from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_executor.telemetry.agents import Watch
from agent_executor.telemetry.metrics import NAME_LENGTH, Metrics
from agent_executor.telemetry.traces import Traces
from tests.support import graphs
from tests.support.graphs import Bench

CANARY = "canary-4f1d"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(spans: InMemorySpanExporter) -> Traces:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Traces(provider.get_tracer("here"))


def task(name: str) -> dict[str, Any]:
    return graphs.call("task", description="Look.", subagent_type=name)


async def test_spans_are_named_by_known_tools_and_known_sub_agents_only(
    spans: InMemorySpanExporter, traces: Traces
) -> None:
    table = Bench()
    table.builder._watch = lambda agent, model: Watch(
        Metrics(), traces, agent=agent, provider=model.provider, model=model.model
    )
    turns = [graphs.calls(one) for one in (graphs.call(CANARY), task(CANARY), task("scout"), task("general-purpose"))]
    scout = {"id": "scout", "model": graphs.ECHO}
    await table.result(graphs.agent(graphs.plan(*turns, {"text": "Done."}), scout))
    found = spans.get_finished_spans()
    assert CANARY not in "".join(span.to_json() for span in found)
    assert {span.name for span in found} == {
        "chat plan",
        "chat echo",
        "execute_tool unknown",
        "execute_tool task",
        "invoke_agent scout",
        "invoke_agent general-purpose",
    }


async def test_what_a_model_or_its_server_makes_up_is_bounded(spans: InMemorySpanExporter, traces: Traces) -> None:
    watch = Watch(Metrics(), traces, agent="a" * 999, provider="openai", model="m" * 999)
    call: Any = {"name": "n" * 999, "args": {}, "id": "i" * 999, "type": "tool_call"}

    async def answer(_: ToolCallRequest) -> ToolMessage:
        return ToolMessage("", tool_call_id=call["id"])

    await watch.awrap_tool_call(ToolCallRequest(tool_call=call, tool=None, state={}, runtime=None), answer)  # type: ignore[arg-type]
    (span,) = spans.get_finished_spans()
    assert span.attributes
    assert max(len(str(value)) for value in span.attributes.values()) <= NAME_LENGTH
    assert span.name == "execute_tool unknown"
