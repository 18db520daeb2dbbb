"""What the state of a job weighs in memory, over all its agents, so that no job takes the pod with it.

Invariants: what would be over the most is refused before it is made, where its size can be told, and else before it is
put into the state; a value that has not changed is weighed once.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from agent_executor.errors import PermanentError

LINE = 64
"""Bytes of each line beside its text: to clients and scripts a file is a list of lines."""

_ATOMS = frozenset({int, float, bool, type(None), bytes})
_SEQUENCES = frozenset({list, tuple, set, frozenset})


def weight(value: Any, most: int) -> int:
    """Bytes of a value and all that is in it, about; counts no further than a little over `most`."""
    total, todo = 0, [value]
    while todo and total <= most:
        one = todo.pop()
        total += sys.getsizeof(one)
        kind = type(one)
        if kind is str:
            total += LINE * one.count("\n")
        elif kind is dict:
            todo += one
            todo += one.values()
        elif kind in _SEQUENCES:
            todo += one
        elif kind not in _ATOMS:
            todo.append(getattr(one, "__dict__", None))
    return total


@dataclass(slots=True, eq=False)  # two that hold the same are two
class Share:
    """What one agent holds beyond what it was given, which others hold too; `given` is None until it is known."""

    given: int | None = None
    bytes: int = 0
    known: dict[Any, tuple[Any, int]] = field(default_factory=dict)


_share: ContextVar[Share | None] = ContextVar("_share", default=None)


class Held:
    """What the agents of one run of a job hold."""

    def __init__(self) -> None:
        self._main = Share(given=0)
        self._delegated: list[Share] = []

    @contextmanager
    def delegated(self) -> Iterator[None]:
        """A sub-agent at work; what it hands back is its caller's to `add`."""
        share = Share()
        self._delegated.append(share)
        before = _share.set(share)
        try:
            yield
        finally:
            _share.reset(before)
            self._delegated.remove(share)

    def settle(self, values: Mapping[str, Any], most: int) -> None:
        """An agent's state as it is now, in place of what was added; raises `PermanentError("limit_exceeded")`."""
        share = _share.get() or self._main
        known, total = {}, 0
        for key, value in _parts(values):
            found = share.known.get(key)
            if found is None or found[0] is not value:  # kept beside its weight, so no other can have its identity
                found = (value, weight(value, most))
            known[key] = found
            total += found[1]
        share.known = known
        if share.given is None:
            share.given = total
        share.bytes = max(total - share.given, 0)
        self._check(most)

    def add(self, size: int, most: int) -> None:
        """What an agent's state is about to grow by; raises `PermanentError("limit_exceeded")`."""
        share = _share.get() or self._main
        share.bytes += size
        self._check(most)

    def _check(self, most: int) -> None:
        if self._main.bytes + sum(share.bytes for share in self._delegated) > most:
            raise PermanentError("limit_exceeded", f"state: the job needs more than {most} bytes")


def _parts(values: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What changes one by one."""
    for name, value in values.items():
        if name == "messages" and value:
            yield from ((id(message), message) for message in value)
        elif name == "files" and value:
            yield from value.items()
        else:
            yield name, value
