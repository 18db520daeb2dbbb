"""The attempts that run in this process now, by their jobs' ids, and whether their leases are kept."""

import contextlib
import time
from collections.abc import Iterator

from agent_executor.core.attempt import Attempt

LEASES = 3  # without a renewal, after which a job is left to whoever can claim it


class Running:
    """Belongs to one executor."""

    def __init__(self, lease_seconds: float) -> None:
        self._attempts: dict[str, Attempt] = {}
        self._patience = LEASES * lease_seconds
        self._draining = False

    def __len__(self) -> int:
        """Jobs that run now."""
        return len(self._attempts)

    @contextlib.contextmanager
    def run(self, attempt: Attempt) -> Iterator[None]:
        """The block is the attempt's."""
        job_id = attempt.job.job_id
        self._attempts[job_id] = attempt
        if self._draining:
            attempt.drain()
        try:
            yield
        finally:
            if self._attempts.get(job_id) is attempt:
                del self._attempts[job_id]

    def get(self, job_id: str) -> Attempt | None:
        """The attempt at a job."""
        return self._attempts.get(job_id)

    def keeps(self, job_id: str, begun: float) -> bool:
        """Whether a message that is in hand since `begun` (monotonic) is to stay there: its job is held, or may be."""
        attempt = self.get(job_id)
        return time.monotonic() - (attempt.held_at if attempt else begun) < self._patience

    @property
    def behind(self) -> bool:
        """Whether a job runs here whose lease could not be renewed for so long."""
        return not all(self.keeps(job_id, 0.0) for job_id in self._attempts)

    @property
    def draining(self) -> bool:
        """Whether no more is begun."""
        return self._draining

    def drain(self) -> None:
        """Let every job reach its next superstep and hand it over."""
        self._draining = True
        for attempt in self._attempts.values():
            attempt.drain()

    def abandon(self) -> None:
        """Hand over every job as it stands at its last checkpoint."""
        for attempt in self._attempts.values():
            attempt.stop("drained")
