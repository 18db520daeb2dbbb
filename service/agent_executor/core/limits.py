"""What a job may use: model calls, tool calls and tokens, over all its agents and all its attempts.

The counts live twice: in memory, shared by the sub-agents that run at the same time, and in the graph's state under
`CHANNEL`, so that a resumed job goes on counting where the checkpoint left it.
"""

import asyncio
import sys
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

from agent_executor.errors import PermanentError
from agent_executor.settings import Settings

T = TypeVar("T")
CHANNEL = "job_usage"
"""The state field of the counts; never shown to clients."""
WORDS = {"model_calls": "model calls", "tool_calls": "tool calls", "tokens": "tokens"}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one job may use."""

    model_calls: int
    tool_calls: int
    tokens: int
    state_bytes: int = sys.maxsize


@dataclass(slots=True)
class Usage:
    """What one job has used."""

    model_calls: int = 0
    tool_calls: int = 0
    tokens: int = 0

    def restore(self, saved: Mapping[str, int] | None) -> None:
        """Never count below what the state remembers."""
        for name, value in (saved or {}).items():
            setattr(self, name, max(getattr(self, name), value))

    def add(self, spent: "Usage") -> None:
        """Count what was spent."""
        for name, value in asdict(spent).items():
            setattr(self, name, getattr(self, name) + value)

    def check(self, limits: Limits) -> None:
        """Raise `PermanentError("limit_exceeded")` that names the limit which this usage is over."""
        for name, words in WORDS.items():
            used, most = getattr(self, name), getattr(limits, name)
            if used > most:
                raise PermanentError("limit_exceeded", f"{words}: the job needs {used}, and its limit is {most}")


def of(settings: Settings) -> Limits:
    """The limits that the platform set."""
    calls = settings.job_max_model_calls, settings.job_max_tool_calls
    return Limits(*calls, settings.job_max_tokens, settings.job_max_state_bytes)


async def within(left: float, most: float, work: Awaitable[T]) -> T:
    """Work for the `left` seconds of the `most` that a job may take, over all its attempts; or `limit_exceeded`."""
    try:
        async with asyncio.timeout(max(left, 0.0)) as clock:
            return await work
    except TimeoutError:
        if clock.expired():
            raise PermanentError("limit_exceeded", f"wall clock: the job needs more than {most:g} s") from None
        raise


def merge(left: Mapping[str, int] | None, right: Mapping[str, int] | None) -> dict[str, int]:
    """Reducer of the state field: counts add up."""
    left, right = left or {}, right or {}
    return {name: left.get(name, 0) + right.get(name, 0) for name in WORDS}
