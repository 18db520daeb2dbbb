"""The attempts that run in this process now, by their jobs' ids."""

import contextlib
from collections.abc import Iterator

from agent_executor.core.attempt import Attempt


class Running:
    """Belongs to one executor."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
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
