"""What a line of the log may say of a job and of its failure: never what came with the job, unless that is asked for.

An error's message goes to the job's own publisher, so it may quote: a line of a tool's script, a tool server's words, a
value of the definition. A log is read by others. Of such a message it gets the place, and only if that is made of our
own words.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from agent_executor.errors import JobError
from agent_executor.settings import Settings

OWN_WORDS = frozenset(
    {
        "attempts_exhausted",
        "connection_failed",
        "dragonfly_unavailable",
        "internal_error",
        "invalid_answer",
        "limit_exceeded",
        "model_not_found",
        "model_quota_exhausted",
        "model_rejected",
        "model_timeout",
        "model_unauthorized",
        "model_unavailable",
        "nats_unavailable",
        "out_of_memory",
        "postgres_unavailable",
        "rate_limited",
        "state_not_storable",
        "timeout",
        "tool_worker",
        "unknown_job",
    }
)
"""Types whose messages quote nothing of the job's."""

_NAMES = (
    "agent_definition|config|dependencies|description|edges|files|from|id|input_payload|item_type|mcp|messages|model|"
    "model_name|name|nodes|provider|reducer|runtime|script|source|state_schema|system_prompt|target|to|"
    "tool_definitions|tools|type|version"
)
_STEP = rf"(?:{_NAMES})(?!\w)(?:\[\d+\])?"
_PLACE = re.compile(rf"{_STEP}(?:\.{_STEP})*")


@contextmanager
def about(job_id: str, trace_id: str | None, traceparent: str | None = None) -> Iterator[None]:
    """Put the job on every line of this task, and of those that it starts; a trace that is not known hides none.

    By `traceparent` the lines that are written outside of the job's span join its trace.
    """
    names = {"job_id": job_id, "trace_id": trace_id}
    if traceparent:
        names["otel_trace_id"], names["otel_span_id"] = traceparent.split("-")[1:3]
    with structlog.contextvars.bound_contextvars(**{name: value for name, value in names.items() if value}):
        yield


def words(error: JobError, settings: Settings) -> dict[str, str]:
    """The fields of a line that tell a failure."""
    told = {"error": error.type}
    if settings.log_content or error.type in OWN_WORDS:
        return {**told, "message": error.message}
    place = _PLACE.match(error.message)
    return {**told, "place": place[0]} if place else told
