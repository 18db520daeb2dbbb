"""A job as the job table knows it: what is asked of it, what it answers, and the events that leave with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from agent_executor.models.definition import digest

State = Literal["queued", "running", "interrupted", "completed", "failed", "cancelled"]
Outcome = Literal["completed", "failed", "cancelled"]


@dataclass(frozen=True)
class Event:
    """One message as it goes out; `id` is its `Nats-Msg-Id`, the same at every publication."""

    id: str
    job_id: str
    subject: str
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job as its event asks for it. Values must be such as PostgreSQL can hold (no NUL, no lone surrogates)."""

    job_id: str
    trace_id: str
    received: bytes  # the event as it came, byte for byte
    headers: Mapping[str, str]
    subject: str  # the NATS subject, or `http`
    definition: Mapping[str, Any]
    definition_hash: str
    input: Any
    traceparent: str | None = None
    tracestate: str | None = None

    def presumed(self) -> "Claimed":
        """What its claim answers if nobody has seen the job before."""
        return Claimed(
            job_id=self.job_id,
            trace_id=self.trace_id,
            epoch=1,
            failures=0,
            has_checkpoint=False,
            resume=None,
            resume_id=None,
            interrupts=0,
            interrupt=None,
            cancel_requested=False,
            seconds_spent=0.0,
            definition=dict(self.definition),
            definition_hash=self.definition_hash,
            input=self.input,
            received=self.received,
            headers=dict(self.headers),
            subject=self.subject,
            traceparent=self.traceparent,
            tracestate=self.tracestate,
        )


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """The job is ours until the lease runs out. Its definition and input are those of the first delivery."""

    job_id: str
    trace_id: str
    epoch: int
    failures: int  # counted so far, crashes too; the caller buries the job at JOB_MAX_ATTEMPTS
    has_checkpoint: bool  # resume with input None; else start with `input`
    resume: Any | None  # the answer to an interrupt, only while the graph still waits at it
    resume_id: str | None
    interrupts: int  # how often the job was interrupted before
    interrupt: list[dict[str, Any]] | None  # what it asked last, `{id, value}` each
    cancel_requested: bool
    seconds_spent: float  # wall clock of all attempts, without any waiting between them
    definition: dict[str, Any]
    definition_hash: str
    input: Any
    received: bytes
    headers: dict[str, str]
    subject: str
    traceparent: str | None
    tracestate: str | None

    def runs_like(self, other: "Claimed") -> bool:
        """Whether a run of one is a run of the other: how its event came does not matter, 1 in place of true does."""
        way = {name: getattr(self, name) for name in ("received", "headers", "subject", "traceparent", "tracestate")}
        return self == replace(other, **way) and digest(self.input) == digest(other.input)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a job waits for, or waited for last."""

    state: State
    interrupts: int  # which time this is, from 1; 0 for a job that has asked nothing yet
    interrupt: list[dict[str, Any]] | None
    resume_id: str | None  # of the event whose answer was taken last
    definition: dict[str, Any]
    known: bool  # whether the answer of the event that was asked about was taken, then or earlier


@dataclass(frozen=True)
class Busy:
    """Somebody else holds the lease for this many more seconds."""

    seconds_left: float


@dataclass(frozen=True)
class Finished:
    """Nothing to run: the job ended, or waits for a person. `event` is what was published then, to publish again."""

    state: Literal["completed", "failed", "cancelled", "interrupted"]
    event: Event | None


@dataclass(frozen=True)
class Lease:
    """What a renewal found."""

    ours: bool
    cancel_requested: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row as the API shows it."""

    job_id: str
    trace_id: str
    state: State
    failures: int
    cancel_requested: bool
    interrupts: int
    interrupt: Any | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    seconds_spent: float
