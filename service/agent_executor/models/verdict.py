"""What becomes of the message that brought an event, once the event is seen to its end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from agent_executor.errors import PermanentError

Bury = Callable[[PermanentError], Awaitable[None]]
"""Keeps the message as a dead letter; raises TemporaryError if that could not be done."""


@dataclass(frozen=True)
class Verdict:
    """How to settle the message: done with (ack), again in `seconds`, never again (term), or not ours to settle."""

    settle: Literal["ack", "again", "term", "leave"]
    seconds: float = 0.0
    failed: bool = False


ACK = Verdict("ack")
FAILED = Verdict("ack", failed=True)
BURIED = Verdict("term", failed=True)
LEAVE = Verdict("leave")
