"""What people answer to a job that waits: checked before the job hears of it, and given to it by the questions' names.

Always by name: a graph that goes on may have come to its next question before anybody notes that, and an answer without
a name would answer that one, unread.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent_executor.core.classify import attempted
from agent_executor.errors import PermanentError
from agent_executor.services.jobs import Jobs

_NAME = re.compile("[0-9a-f]{32}")  # of a question: LangGraph's hash of where it was asked

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
        answers = given(answer, question.interrupt or ())
        if not answers:
            return False
        await attempted(jobs.resume(job_id, resume_id, {"value": answers}, ordinal=question.interrupts))
        question = await attempted(jobs.question(job_id, resume_id))
    return question is not None and question.resume_id == resume_id


def given(answer: Any, asked: Asked) -> dict[str, Any]:
    """The answers by the questions that they are for; none if all that they answer is answered already.

    Args:
        answer: what one question was answered, or a map from the questions' ids to the answers.
        asked: what the job waits for.

    Raises:
        PermanentError: `invalid_answer`, with the place in the event and what would be right there.
    """
    values = {one["id"]: one["value"] for one in asked}
    if isinstance(answer, Mapping) and answer and all(_NAME.fullmatch(name) for name in answer):
        named = {name: value for name, value in answer.items() if name in values}
        for name, value in named.items():
            _check(value, values[name], f"data.resume[{name}]")
        return named
    if len(values) != 1:
        raise _refusal("data.resume", f"a map from the ids of the {len(values)} questions to their answers")
    ((name, value),) = values.items()
    _check(answer, value, "data.resume")
    return {name: answer}


def _check(answer: Any, question: Any, where: str) -> None:
    """Calls that wait for approval want a decision each (`HITLResponse` of langchain's human_in_the_loop)."""
    if not isinstance(question, Mapping) or not isinstance(question.get("review_configs"), Sequence):
        return
    reviews = question["review_configs"]
    decisions = answer.get("decisions") if isinstance(answer, Mapping) else None
    if not isinstance(decisions, list) or len(decisions) != len(reviews):
        raise _refusal(f"{where}.decisions", f"a list of decisions, {len(reviews)} in number, one for each call")
    for i, (decision, review) in enumerate(zip(decisions, reviews, strict=True)):
        _check_decision(decision, review["allowed_decisions"], f"{where}.decisions[{i}]")


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
