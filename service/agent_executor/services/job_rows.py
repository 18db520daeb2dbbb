"""Rows of the job table: what goes into a statement for a job, and what its answer says."""

import uuid
from typing import Any

from agent_executor.models.jobs import Busy, Claimed, Finished, NewJob
from agent_executor.services.database import jsonb
from agent_executor.services.outbox import event_of


def once(owner: str) -> str:
    """A name for one claim: however often it is made, and however late, it takes the job once."""
    return f"{owner}/{uuid.uuid4().hex[:8]}"


def columns(job: NewJob) -> dict[str, Any]:
    """The statement parameters that carry a new job."""
    return {
        "job_id": job.job_id,
        "trace_id": job.trace_id,
        "received": job.received,
        "headers": jsonb(dict(job.headers)),
        "subject": job.subject,
        "definition": jsonb(job.definition),
        "definition_hash": job.definition_hash,
        "input": jsonb(job.input),
        "traceparent": job.traceparent,
        "tracestate": job.tracestate,
    }


def claim_result(row: dict[str, Any]) -> Claimed | Busy | Finished | None:
    """What a claim came to; None if another claim was inserting the job meanwhile."""
    if row["epoch"] is not None:
        return claimed(row)
    if row["found"] is None:
        return None
    return Busy(row["seconds_left"]) if row["found"] in ("queued", "running") else finished(row)


def claimed(row: dict[str, Any]) -> Claimed:
    """The job of a row that a claim returned."""
    return Claimed(**{name: row[name] for name in Claimed.__dataclass_fields__})


def finished(row: dict[str, Any]) -> Finished:
    """How the job of a row ended, and the event that said so."""
    return Finished(row["found"], event_of(row) if row["event_id"] else None)
