"""What a running graph knows about its job: the run's context, handed to LangGraph as `context=`.

Compiled graphs are shared by every job of a definition, so nothing of a job may live in them: tools and middleware
reach the job through this, and only through this. The module imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_executor.core.limits import Limits, Usage


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a tool script defines, as the sandbox found it.

    `parameters` is the JSON Schema of what the model may say; injected arguments are not in it. `wants_state` is true
    if the script reads the graph's state (`InjectedState`, `ToolRuntime`), which then has to be sent along.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    wants_state: bool = False


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a call of a tool script came to: text or content blocks, or an update of the state (`Command(update=…)`).

    In `update`, messages are dicts (`role`/`content`, or LangChain's `type`/`data`) and files hold lists of lines.
    `failed` marks a text that tells the model what went wrong.
    """

    content: str | list[Any] = ""
    update: Mapping[str, Any] | None = None
    failed: bool = False


class ToolDescriber(Protocol):
    """Whoever can find out, outside this process, what a tool script defines."""

    async def describe(self, script: str) -> ToolSpec:
        """The script's one `@tool`; raises `PermanentError` if there is not exactly one."""
        ...


class ToolCaller(Protocol):
    """The tool worker of one job."""

    async def call(
        self, script: str, arguments: Mapping[str, Any], *, state: Mapping[str, Any] | None, tool_call_id: str
    ) -> ToolAnswer:
        """Runs the script's tool; whatever the script does wrong comes back as a failed answer."""
        ...


@dataclass(frozen=True, slots=True)
class JobContext:
    """One run of one job. `usage` counts over all its agents, and is restored from the state on resume."""

    job_id: str
    limits: Limits
    tools: ToolCaller
    usage: Usage = field(default_factory=Usage)
