"""A definition's tools as the graph calls them: shells, whose work is done in the job's tool worker.

Invariant: nothing here runs or imports what a definition brings. A shell is shared by all jobs of a definition and
reaches the worker of the job at hand through the run's context. Imports LangChain, so it is imported late.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from langchain.tools import ToolRuntime
from langchain_core.messages import AnyMessage, RemoveMessage, ToolMessage, convert_to_messages
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.types import Command

from agent_executor.core import state
from agent_executor.core.context import JobContext, ToolRunner
from agent_executor.errors import PermanentError
from agent_executor.services.json import clean
from agent_executor.services.tools.specs import Content, Outcome, ToolSpec

DONE = "done"
"""What the model reads of a tool that only updated the state."""
UNUSABLE = (
    PermanentError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RecursionError
)  # fmt: skip
"""What is raised by making state of what a script wrote."""


class ScriptTool(StructuredTool):
    """A shell that takes arguments of any name: the base class keeps `config` and `run_manager` for itself."""

    async def _arun(self, /, **arguments: Any) -> Any:  # type: ignore[override]  # a script's names are its own
        return await cast("Callable[..., Awaitable[Any]]", self.coroutine)(**arguments)


def scripted(name: str, script: str, spec: ToolSpec, runner: ToolRunner, description: str | None = None) -> BaseTool:
    """The tool of a script, under the definition's name for it."""

    # Not `runtime`: a script may have an argument of that name, and the libraries would put theirs in its place.
    async def call(
        agent_executor_runtime: ToolRuntime[JobContext, Any], **arguments: Any
    ) -> ToolMessage | Command[Any]:
        run = agent_executor_runtime
        call_id = cast("str", run.tool_call_id)
        seen = state.for_script(run.state, spec.state_fields)
        answer = await runner.call(script, arguments, job_id=run.context.job_id, tool_call_id=call_id, state=seen)
        return reply(answer, name, call_id)

    return ScriptTool.from_function(
        coroutine=call,
        name=name,
        description=description or spec.description or name,
        args_schema=dict(spec.args_schema),
        infer_schema=False,
        return_direct=spec.return_direct,
    )


def reply(answer: Outcome, name: str, call_id: str) -> ToolMessage | Command[Any]:
    """A worker's answer as LangGraph wants it: an update always has the ToolMessage that answers the call."""
    if isinstance(answer, Content):
        return ToolMessage(clean(answer.content), name=name, tool_call_id=call_id, status=answer.status)
    try:
        update = {field: value for field, value in answer.update.items() if field not in state.OWN}
        if "files" in update:
            update["files"] = state.stored_files(update["files"] or {})
        messages = _messages(update.get("messages") or ())
        state.refuse_overwriting(update)
    except UNUSABLE as error:
        text = f"Error: the tool's update of the state cannot be used: {str(error)[:200]}"
        return ToolMessage(text, name=name, tool_call_id=call_id, status="error")
    if not any(isinstance(message, ToolMessage) and message.tool_call_id == call_id for message in messages):
        messages.append(ToolMessage(DONE, name=name, tool_call_id=call_id))
    return Command(update={**update, "messages": messages})


def _messages(given: Sequence[Any] | Mapping[str, Any]) -> list[AnyMessage]:
    single = isinstance(given, Mapping | str) or hasattr(given, "content")
    listed: list[Any] = [given] if single else list(given)
    messages = state.readable(convert_to_messages(listed))
    # Only here: a dict, a pair or a serialised object becomes one too.
    if any(isinstance(message, RemoveMessage) for message in messages):
        raise ValueError("it may add messages to the conversation, not remove them")
    return cast("list[AnyMessage]", messages)
