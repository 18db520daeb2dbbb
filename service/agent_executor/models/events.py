"""What a caller asks for: run a job, resume one, cancel one.

A job id is the LangGraph `thread_id`, the result's `subject` and a database key, so it is checked here, once: anything
but control characters, surrogates and noncharacters, 512 characters at most, not blank (contract section 4). It is
never a subject token.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

MAX_JOB_ID = 512
# C0, DEL, C1; surrogates; U+FDD0..FDEF and the last two code points of every plane: what CloudEvents strings forbid.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)


def allowed(text: str) -> bool:
    """Whether CloudEvents lets this text be a string attribute, and so a job id be one."""
    return _FORBIDDEN.search(text) is None


def _present(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank, and would be right as a non-blank string")
    return text


def _name(text: str) -> str:
    if len(text) > MAX_JOB_ID:
        raise ValueError(f"has {len(text)} characters, and would be right with at most {MAX_JOB_ID}")
    if not allowed(text):
        raise ValueError("has a control character, a surrogate or a noncharacter, and would be right without")
    return text


Present = Annotated[str, Field(strict=True), AfterValidator(_present)]
Name = Annotated[Present, AfterValidator(_name)]


class JobRef(BaseModel):
    """Which job is meant: the data of a cancel event."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    job_id: Name
    trace_id: Present | None = None


class JobExecutionEvent(BaseModel):
    """The data of an execute event; unknown fields are ignored, as publishers add their own."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    trace_id: Present
    job_id: Name
    agent_definition: dict[str, Any]
    input_payload: dict[str, Any]


class JobResumeEvent(JobRef):
    """The data of a resume event: the answer to an interrupt."""

    resume: JsonValue = None


class JobCancelEvent(JobRef):
    """The data of a cancel event, with a reason for people."""

    reason: Annotated[str, Field(strict=True, max_length=1000)] | None = None
