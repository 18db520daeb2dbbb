"""What people answer to a job that waits: checked before the job hears of it, and given to it by the questions' names.

Always by name: a graph that goes on may have come to its next question before anybody notes that, and an answer without
a name would answer that one, unread.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent_executor.core.classify import attempted
from agent_executor.errors import PermanentError
from agent_executor.models.definition import parse
from agent_executor.models.parts import FILE_TOOLS, Definition
from agent_executor.services.jobs import Jobs

_NAME = re.compile("[0-9a-f]{32}")  # of a question: LangGraph's hash of where it was asked

EVERYBODYS = FILE_TOOLS - {"execute"} | {"write_todos"}
"""Tools of every agent."""
Asked = Sequence[Mapping[str, Any]]
"""The questions of an interrupt as its event tells them: `{id, value}`, as JSON."""


async def taken(jobs: Jobs, job_id: str, resume_id: str, answer: Any) -> bool | None:
    """Whether a job goes on with an event's answer, now or since an earlier delivery; None if the job is not known.

    Raises `PermanentError("invalid_answer")`, and then the job waits on.
    """
    question = await attempted(jobs.question(job_id, resume_id))
    if question is None:
        return None
    if question.state == "interrupted" and not question.known:
        answers = given(answer, question.interrupt or (), question.definition)
        if not answers:
            return False
        await attempted(jobs.resume(job_id, resume_id, {"value": answers}, ordinal=question.interrupts))
        question = await attempted(jobs.question(job_id, resume_id))
    return question is not None and question.resume_id == resume_id


def given(answer: Any, asked: Asked, definition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answers by the questions that they are for; none if all that they answer is answered already.

    Args:
        answer: what one question was answered, or a map from the questions' ids to the answers.
        asked: what the job waits for.
        definition: the job's, as it came, to tell the tools that a call may be changed to; None if that was seen to.

    Raises:
        PermanentError: `invalid_answer`, with the place in the event and what would be right there.
    """
    values = {one["id"]: one["value"] for one in asked}
    if isinstance(answer, Mapping) and answer and all(_NAME.fullmatch(name) for name in answer):
        named = {name: value for name, value in answer.items() if name in values}
        for name, value in named.items():
            _check(value, values[name], f"data.resume[{name}]", definition)
        return named
    if len(values) != 1:
        raise _refusal("data.resume", f"a map from the ids of the {len(values)} questions to their answers")
    ((name, value),) = values.items()
    _check(answer, value, "data.resume", definition)
    return {name: answer}


def _check(answer: Any, question: Any, where: str, definition: Mapping[str, Any] | None) -> None:
    """Calls that wait for approval want a decision each (`HITLResponse` of langchain's human_in_the_loop)."""
    if not isinstance(question, Mapping) or not isinstance(question.get("review_configs"), Sequence):
        return
    reviews = question["review_configs"]
    decisions = answer.get("decisions") if isinstance(answer, Mapping) else None
    if not isinstance(decisions, list) or len(decisions) != len(reviews):
        raise _refusal(f"{where}.decisions", f"a list of decisions, {len(reviews)} in number, one for each call")
    for i, (decision, review) in enumerate(zip(decisions, reviews, strict=True)):
        _check_decision(decision, review["allowed_decisions"], f"{where}.decisions[{i}]")
        if decision["type"] == "edit" and definition is not None:
            name, edited = review["action_name"], decision["edited_action"]["name"]
            tools = {name} if edited == name else _tools(parse(definition), name)
            if tools is not None and edited not in tools:
                raise _refusal(f"{where}.decisions[{i}].edited_action.name", "a tool of the agent that asks")


def _tools(definition: Definition, asked: str) -> frozenset[str] | None:
    """What a call of `asked` may be changed to, whichever agent made it; None where tool servers say what there is."""
    servers = {tool.name for tool in definition.tool_definitions if tool.mcp}
    able = [
        frozenset(node.config.tools)
        for node in definition.nodes
        if asked in EVERYBODYS or {asked, *servers} & {*node.config.tools}
    ]
    if any(servers & tools for tools in able):
        return None
    return EVERYBODYS | (frozenset.intersection(*able) if able else frozenset())


def _check_decision(decision: Any, allowed: Sequence[str], where: str) -> None:
    kind = decision.get("type") if isinstance(decision, Mapping) else None
    if kind not in allowed:
        raise _refusal(f"{where}.type", f"one of {', '.join(allowed)}")
    if kind == "edit":
        edited = decision.get("edited_action")
        named = isinstance(edited, Mapping) and isinstance(edited.get("name"), str)
        if not named or not isinstance(edited.get("args"), Mapping):
            raise _refusal(f"{where}.edited_action", "{name, args}")
    message = decision.get("message")
    if not isinstance(message, str) and (kind == "respond" or message is not None):
        raise _refusal(f"{where}.message", "a text")


def _refusal(where: str, right: str) -> PermanentError:
    return PermanentError("invalid_answer", f"{where}: answers nothing, and would be right as {right}")
