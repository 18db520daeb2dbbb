"""What stands around every model and tool call of every agent: limits, whole answers, exact updates from sub-agents.

Invariants: no model call starts over a limit, no tool call runs that would be over one, and no update is taken that is;
an answer without its stop reason never becomes a message; a sub-agent hands back only what it changed. Imports
LangChain, so it is imported late.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from agent_executor.core import edits, globs, limits
from agent_executor.core.context import JobContext
from agent_executor.core.limits import Usage
from agent_executor.core.weight import weight
from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.services.json import clean

STOP_REASONS = ("finish_reason", "stop_reason", "done_reason")  # OpenAI, Anthropic, Ollama
FORBIDDEN = re.compile(r"[\s<|\\/>]+")  # in the `name` of a message
TOO_LONG = {"length", "max_tokens"}
CHANGED = "hitl_edited_tool_calls"  # LangChain's field for the calls that a person has changed, by their ids
NONSENSE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What the clients raise on malformed chunks, HTML and empty answers (seen): nothing says that the server was wrong."""


class GovernedState(AgentState[Any]):
    """The counts travel with the state, into sub-agents and through a resume."""

    job_usage: NotRequired[Annotated[dict[str, int], limits.merge]]


class Governor(AgentMiddleware[GovernedState, JobContext]):
    """Stands around one agent; holds nothing of any job.

    `additive` names the state fields whose reducer appends; `brought` are the tools that the agent has from its
    definition, which may have the name of a file tool and are none.
    """

    state_schema = GovernedState

    def __init__(self, additive: frozenset[str] = frozenset(), brought: Sequence[BaseTool] = ()) -> None:
        super().__init__()
        self._additive = additive
        self._brought = brought

    async def awrap_model_call(
        self,
        request: ModelRequest[JobContext],
        handler: Callable[[ModelRequest[JobContext]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """One model call: allowed, whole, cleaned and counted."""
        job = request.runtime.context
        job.usage.restore(cast("GovernedState", request.state).get("job_usage"))
        job.usage.add(Usage(model_calls=1))
        job.usage.check(job.limits)
        job.held.settle(request.state, job.limits.state_bytes)
        try:
            response = await handler(request)
        except TimeoutError as error:  # a stall between two chunks
            raise TemporaryError("model_timeout", "the model fell silent in the middle of its answer") from error
        except NONSENSE as error:
            why = f"the model's answer made no sense: {type(error).__name__}"
            raise TemporaryError("model_unavailable", why) from error
        spent = Usage()
        for answer in response.result:
            if isinstance(answer, AIMessage):
                _check_whole(answer)
                _clean(answer)
                spent.tool_calls += len(answer.tool_calls)
                spent.tokens += answer.usage_metadata["total_tokens"] if answer.usage_metadata else 0
        job.usage.add(spent)
        job.usage.check(job.limits)
        job.held.add(weight(response.result, job.limits.state_bytes), job.limits.state_bytes)
        update = asdict(spent) | {"model_calls": 1}
        return ExtendedModelResponse(response, Command(update={limits.CHANNEL: update}))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """One tool call; what the `task` tool hands back is cut down to what the sub-agent changed."""
        job = cast("JobContext", request.runtime.context)
        # A person's change of a call is put in its place further inside, by LangChain.
        made = request.tool_call
        changed: Any = (request.state.get(CHANGED) or {}).get(made["id"], made)
        name, args, tool = cast("str", changed["name"]), changed["args"], request.tool
        if name != made["name"]:
            tool = next((one for one in request.runtime.tools if one.name == name), None)
            if tool is None:
                why = f"Error: a person has changed this call to one of {name}, which is no tool here."
                return ToolMessage(why, name=name, tool_call_id=made["id"], status="error")
        most = job.limits.state_bytes
        if not any(tool is one for one in self._brought):
            files = request.state.get("files") or {}
            if refused := globs.refusal(name, args, files):
                return ToolMessage(refused, name=name, tool_call_id=made["id"], status="error")
            job.held.add(edits.growth(name, args, files), most)
        with job.held.delegated() if name == "task" else nullcontext():
            answer = await handler(request)
        if name == "task" and isinstance(answer, Command) and isinstance(answer.update, dict):
            answer = replace(answer, update=changes(request.state, answer.update, self._additive))
        job.held.add(weight(answer.update if isinstance(answer, Command) else answer, most), most)
        return answer


def changes(before: Mapping[str, Any], after: Mapping[str, Any], additive: frozenset[str]) -> dict[str, Any]:
    """A sub-agent's last state as an update of the state it was given.

    deepagents hands back whole fields: counts and appended lists would count twice, and the unchanged copies of files
    in one of two parallel sub-agents would undo what the other wrote.
    """
    update = dict(after)
    if used := update.get(limits.CHANNEL):
        given = before.get(limits.CHANNEL) or {}
        update[limits.CHANNEL] = {name: count - given.get(name, 0) for name, count in used.items()}
    if (files := update.get("files")) is not None:
        given = before.get("files") or {}
        gone = {path: None for path in given if path not in files}
        update["files"] = gone | {path: file for path, file in files.items() if given.get(path) != file}
    for name in additive & update.keys():
        given = before.get(name) or []
        if update[name][: len(given)] == given:
            update[name] = update[name][len(given) :]
    return update


def _check_whole(answer: AIMessage) -> None:
    # A stream cut in the middle raises nothing in the OpenAI and Anthropic clients (seen).
    reasons = {answer.response_metadata.get(key) for key in STOP_REASONS} - {None, ""}
    if not reasons:
        raise TemporaryError("model_unavailable", "the model's answer was cut off: it has no stop reason")
    if answer.tool_calls and reasons & TOO_LONG:  # LangChain closes what is open, and half a file would be written
        raise PermanentError("model_rejected", "the model's answer reached max_tokens in the middle of a tool call")
    # Kept, it would end the job as if nothing had been asked for, or make the next request one that is refused.
    if answer.invalid_tool_calls:
        raise TemporaryError("model_unavailable", "the model called a tool with arguments that are not JSON")


def _clean(answer: AIMessage) -> None:
    """What models say and the checkpoint or the next request cannot take: NUL, lone surrogates, NaN, huge integers."""
    answer.content = clean(answer.content)
    for call in answer.tool_calls:
        call["name"], call["args"] = clean(call["name"]), clean(call["args"])
        call["id"] = call["id"] or f"call_{uuid.uuid4().hex}"  # some compatible servers send none
    if answer.name:  # LangChain puts the agent's name here, and OpenAI refuses a request whose names have spaces
        answer.name = FORBIDDEN.sub("_", answer.name)[:64]
