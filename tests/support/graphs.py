"""Graphs for tests: settings, definitions in one line, and a run with its events collected."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR

from agent_executor import settings
from agent_executor.core import limits, state, streaming
from agent_executor.core.builder import Builder
from agent_executor.core.context import JobContext
from agent_executor.core.limits import Limits
from agent_executor.services.tools.specs import Content, Outcome, ToolSpec, Waiting

ENV = {
    "NATS_URL": "nats://127.0.0.1:1",
    "POSTGRES_HOST": "127.0.0.1",
    "POSTGRES_DB": "none",
    "POSTGRES_USER": "none",
    "POSTGRES_PASSWORD": "none",
    "DRAGONFLY_HOST": "127.0.0.1",
    "ALLOW_SCRIPTED_MODEL": "true",
    "OPENAI_API_KEY": "sk-openai-canary",
    "ANTHROPIC_API_KEY": "sk-anthropic-canary",
    "MODEL_TIMEOUT_SECONDS": "0.7",
}


def configured(**env: str) -> settings.Settings:
    """Settings that point at nothing."""
    return settings.load({**ENV, **env})


def plan(*turns: Mapping[str, Any]) -> dict[str, Any]:
    """A scripted model."""
    return {"provider": "scripted", "model": "plan", "script": list(turns)}


def call(name: str, **args: Any) -> dict[str, Any]:
    """A tool call of a scripted turn."""
    return {"name": name, "args": args}


def calls(*made: Mapping[str, Any], text: str = "") -> dict[str, Any]:
    """A scripted turn that calls tools."""
    return {"text": text, "tool_calls": list(made)}


ECHO = {"provider": "scripted", "model": "echo"}


def agent(
    model: Mapping[str, Any],
    *specialists: Mapping[str, Any],
    scripts: Mapping[str, str] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """A definition with one orchestrator; `scripts` are its tools, which it and every specialist may use."""
    named = {"tools": list(scripts)} if scripts else {}
    return {
        "name": "test",
        "tool_definitions": [{"name": name, "runtime": {"script": text}} for name, text in (scripts or {}).items()],
        "nodes": [
            {"id": "boss", "type": "Orchestrator", "config": {"model": model, **named, **config}},
            *({"id": one["id"], "type": "Specialist", "config": {**named, **one}} for one in specialists),
        ],
    }


@dataclass
class FakeTools:
    """A tool worker whose answers are given; remembers what it was asked."""

    answers: dict[str, Outcome] = field(default_factory=dict)
    wants: frozenset[str] | None = frozenset()
    described: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def describe(self, script: str, *, where: str, waiting: Waiting = nullcontext) -> ToolSpec:
        self.described.append(where)
        schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
        return ToolSpec("tool", "A tool.", schema, self.wants)

    async def call(
        self, script: str, args: Mapping[str, Any], *, job_id: str, tool_call_id: str, state: Mapping[str, Any]
    ) -> Outcome:
        self.asked.append({"script": script, "args": args, "job": job_id, "call": tool_call_id, "state": state})
        return self.answers.get(script, Content("done"))


class Memory(InMemorySaver):
    """Like the service's own, it keeps nothing of what a step wrote that failed."""

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        failed = any(channel == ERROR for channel, _ in writes)
        kept = [write for write in writes if write[0] in WRITES_IDX_MAP] if failed else writes
        await super().aput_writes(config, kept, task_id, task_path)


@dataclass
class Bench:
    """A builder with its saver, and runs on it."""

    env: dict[str, str] = field(default_factory=dict)
    tools: Any = field(default_factory=FakeTools)
    most: Limits | None = None
    recursion: int = 200
    saver: InMemorySaver = field(default_factory=Memory)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    context: JobContext | None = None

    def __post_init__(self) -> None:
        self.settings = configured(**self.env)
        self.builder = Builder(self.settings, lambda: self.saver, self.tools)

    async def run(
        self, definition: Mapping[str, Any], given: Any = "Hello there", *, job: str = "job-1", **more: Any
    ) -> Any:
        """The outcome of one run; `given` is a user message, a payload, or None to go on."""
        graph = await self.builder.build(definition)
        if isinstance(given, str):
            given = {"messages": [{"role": "user", "content": given}]}
        payload = state.accept(given) if isinstance(given, dict) else given
        self.context = JobContext(job, self.most or limits.of(self.settings))
        return await streaming.run(
            graph,
            payload,
            {"configurable": {"thread_id": job}, "recursion_limit": self.recursion},
            context=self.context,
            emit=lambda kind, data: self.events.append((kind, data)),
            **more,
        )

    async def result(self, definition: Mapping[str, Any], given: Any = "Hello there", **more: Any) -> dict[str, Any]:
        """The result of a run that comes to its end."""
        outcome = await self.run(definition, given, **more)
        assert isinstance(outcome, streaming.Finished), outcome
        return state.result(outcome.values)

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """The data of the events of one type."""
        return [data for type_, data in self.events if type_ == kind]
