"""A definition's tools as the graph calls them: shells, whose work is done in the job's tool worker.

Invariant: nothing here runs or imports what a definition brings. A shell is shared by all jobs of a definition and
reaches the worker of the job at hand through the run's context. Imports LangChain, so it is imported late.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain.tools import ToolRuntime
from langchain_core.messages import AnyMessage, ToolMessage, convert_to_messages, messages_from_dict
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.types import Command

from agent_executor.core import state
from agent_executor.core.context import JobContext, ToolAnswer, ToolSpec
from agent_executor.errors import PermanentError

DONE = "done"
"""What the model reads of a tool that only updated the state."""


def scripted(name: str, script: str, spec: ToolSpec, description: str | None = None) -> BaseTool:
    """The tool of a script, under the definition's name for it."""

    async def call(runtime: ToolRuntime[JobContext, Any], **arguments: Any) -> ToolMessage | Command[Any]:
        job, call_id = runtime.context, cast("str", runtime.tool_call_id)
        seen = state.for_script(runtime.state) if spec.wants_state else None
        answer = await job.tools.call(script, arguments, state=seen, tool_call_id=call_id)
        return reply(answer, name, call_id)

    return StructuredTool.from_function(
        coroutine=call,
        name=name,
        description=description or spec.description or name,
        args_schema=dict(spec.parameters),
        infer_schema=False,
    )


def reply(answer: ToolAnswer, name: str, call_id: str) -> ToolMessage | Command[Any]:
    """A worker's answer as LangGraph wants it: an update always has the ToolMessage that answers the call."""
    status = "error" if answer.failed else "success"
    text = ToolMessage(answer.content, name=name, tool_call_id=call_id, status=status)
    if answer.update is None:
        return text
    try:
        update = dict(answer.update)
        if "files" in update:
            update["files"] = state.stored_files(update["files"])
        messages = _messages(update.get("messages") or ())
    except (PermanentError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        return _refused(name, call_id, str(error))
    if not any(isinstance(message, ToolMessage) and message.tool_call_id == call_id for message in messages):
        text.content = answer.content or DONE
        messages.append(text)
    return Command(update={**update, "messages": messages})


def _messages(given: Sequence[Any] | Mapping[str, Any]) -> list[AnyMessage]:
    messages: list[Any] = []
    for message in [given] if isinstance(given, Mapping | str) else given:
        saved = isinstance(message, Mapping) and isinstance(message.get("data"), Mapping)
        messages += messages_from_dict([cast("dict[str, Any]", message)]) if saved else convert_to_messages([message])
    return messages


def _refused(name: str, call_id: str, why: str) -> ToolMessage:
    text = f"Error: the tool's update of the state cannot be used: {why[:200]}"
    return ToolMessage(text, name=name, tool_call_id=call_id, status="error")
