"""What the runtime tells whoever measures it: counts, seconds, one span per job. Telemetry implements it.

The runtime depends on this protocol only, so that it runs, and is tested, without metrics or traces.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

from agent_executor.models.jobs import Claimed

Count = Literal[
    "processed",  # a message of ours was settled for good: acknowledged or terminated
    "failed",  # … and what it asked for did not work out
    "redeliveries",  # a message came for the second time or later
    "resumes",  # a job went on from a checkpoint
    "drains",  # a job was handed over because this pod stops
    "lost_leases",  # another worker took a job that ran here
    "dead_letters",  # a message was kept as one that can never run
    "retries",  # a job was given back for another attempt
]
Measure = Literal["queue_wait", "first_event"]  # publish to delivery; taking a job to its first live event


@dataclass(frozen=True)
class Span:
    """One job's span: what its result carries as `traceparent`."""

    traceparent: str | None = None


class Observer(Protocol):
    """Takes note; never raises, never blocks."""

    def count(self, name: Count) -> None:
        """One more of these."""
        ...

    def measure(self, name: Measure, seconds: float) -> None:
        """One more of these."""
        ...

    def finished(self, status: str, seconds: float) -> None:
        """A job ended as completed, failed, cancelled or interrupted, after so many seconds of all its attempts."""
        ...

    def span(self, job: Claimed) -> AbstractContextManager[Span]:
        """Around one attempt; continues the trace that the job came with."""
        ...


class Unobserved:
    """Nobody looks."""

    def count(self, name: Count) -> None:
        """Nothing."""

    def measure(self, name: Measure, seconds: float) -> None:
        """Nothing."""

    def finished(self, status: str, seconds: float) -> None:
        """Nothing."""

    def span(self, job: Claimed) -> AbstractContextManager[Span]:
        """The caller's own trace, unchanged."""
        return nullcontext(Span(job.traceparent))
