"""What a running graph knows about its job: the run's context, handed to LangGraph as `context=`.

Compiled graphs are shared by every job of a definition, so nothing of a job may live in them: tools and middleware
reach the job through this, and only through this. The module imports nothing heavy.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_executor.core.limits import Limits, Usage
from agent_executor.core.weight import Held
from agent_executor.services.tools.specs import Outcome, ToolSpec, Waiting


@dataclass(frozen=True, slots=True)
class JobContext:
    """One run of one job. `usage` counts over all its agents, and is restored from the state on resume."""

    job_id: str
    limits: Limits
    usage: Usage = field(default_factory=Usage)
    held: Held = field(default_factory=Held)


class ToolRunner(Protocol):
    """Whoever runs tool scripts outside this process (`services.tools`)."""

    async def describe(self, script: str, *, where: str, waiting: Waiting = nullcontext) -> ToolSpec:
        """The script's one `@tool`; raises `PermanentError` at the path `where` if it has not exactly one.

        Within `waiting()` it only waits for a worker.
        """
        ...

    async def call(
        self, script: str, args: Mapping[str, Any], *, job_id: str, tool_call_id: str, state: Mapping[str, Any]
    ) -> Outcome:
        """Runs the script's tool; whatever the script does wrong comes back as content with status `error`."""
        ...
