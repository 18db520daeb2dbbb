"""Spans and token counts of one agent: `chat`, `execute_tool` and, for sub-agents, `invoke_agent`.

Names and attributes: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/. Stands around the calls of
a compiled graph, which all jobs of a definition share, so it holds nothing of any job. Invariant: a span is named by
what the definition and the service know, never by what a model wrote. Imports LangChain, so it is imported late.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command
from opentelemetry.trace import SpanKind

from agent_executor.services.json import clean
from agent_executor.telemetry import traces
from agent_executor.telemetry.metrics import NAME_LENGTH, Metrics
from agent_executor.telemetry.traces import Traces

TAKES_HEADERS = ("openai", "anthropic")  # whose clients take `extra_headers` with a call; ollama's has a hook for them
SUB_AGENT_TOOL = "task"
UNKNOWN = "unknown"  # the tool of a call that there is no tool for


class Watch(AgentMiddleware[Any, Any]):
    """Watches the model and tool calls of one agent; `sub_agents` are the names of those that it can call."""

    sub_agents: frozenset[str] = frozenset()

    def __init__(self, measured: Metrics, traced: Traces, *, agent: str, provider: str, model: str) -> None:
        super().__init__()
        self._metrics = measured
        self._traces = traced
        self._agent = agent[:NAME_LENGTH]
        self._provider = provider
        self._model = model[:NAME_LENGTH]

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """One model call: a span that the provider's own spans can hang on, and its tokens."""
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": self._model,
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": request.runtime.context.job_id,
        }
        with self._traces.span(f"chat {self._model}", attributes, kind=SpanKind.CLIENT) as span:
            if self._traces.content:
                span.set_attribute(
                    "gen_ai.input.messages", _text([message.model_dump() for message in request.messages])
                )
            if (headers := traces.headers()) and self._provider in TAKES_HEADERS:
                request = request.override(model_settings={**request.model_settings, "extra_headers": headers})
            response = await handler(request)
            for answer in response.result:
                if isinstance(answer, AIMessage):
                    self._note(answer)
            return response

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """One tool call; the one that starts a sub-agent has that agent's span inside."""
        call = request.tool_call
        name = request.tool.name[:NAME_LENGTH] if request.tool else UNKNOWN
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": str(clean(call["id"]))[:NAME_LENGTH],
            "gen_ai.agent.name": self._agent,
        }
        with ExitStack() as spans:
            span = spans.enter_context(self._traces.span(f"execute_tool {name}", attributes))
            if self._traces.content:
                span.set_attribute("gen_ai.tool.call.arguments", _text(call["args"]))
            sub_agent = call["args"].get("subagent_type") if name == SUB_AGENT_TOOL else None
            if isinstance(sub_agent, str) and sub_agent in self.sub_agents:
                spans.enter_context(invoked(self._traces, sub_agent[:NAME_LENGTH]))
            answer = await handler(request)
            if isinstance(answer, ToolMessage) and answer.status == "error":
                span.set_attribute("error.type", "tool_error")
            return answer

    def _note(self, answer: AIMessage) -> None:
        usage = answer.usage_metadata
        sent, received = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
        self._metrics.count_tokens(self._model, sent=sent, received=received)
        said = answer.response_metadata
        reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
        attributes: dict[str, str | int | tuple[str, ...]] = {
            "gen_ai.usage.input_tokens": sent,
            "gen_ai.usage.output_tokens": received,
            "gen_ai.response.model": str(said.get("model_name") or said.get("model") or self._model)[:NAME_LENGTH],
        }
        if reason:
            attributes["gen_ai.response.finish_reasons"] = (str(reason)[:NAME_LENGTH],)
        if self._traces.content:
            attributes["gen_ai.output.messages"] = _text(answer.model_dump())
        traces.annotate(**attributes)


def invoked(traced: Traces, agent: str, job_id: str | None = None) -> Any:
    """The span `invoke_agent` around one agent's work."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
    if job_id:
        attributes["gen_ai.conversation.id"] = job_id
    return traced.span(f"invoke_agent {agent}", attributes)


def _text(value: Any) -> str:
    return json.dumps(clean(value), default=str)
