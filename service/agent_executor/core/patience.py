"""How long something may take, when part of that is waiting for its turn behind others."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Patience:
    """So many seconds for work of its own, and as many for waiting: one clock stands while the other runs.

    The work is done within `limit`, at the end of which `waits` says whose time was over.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds  # of the clock that stands
        self.limit = asyncio.timeout(seconds)
        self.waits = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this lasts, it is the time for waiting that runs."""
        self._turn(waits=True)
        try:
            yield
        finally:
            self._turn(waits=False)

    def _turn(self, *, waits: bool) -> None:
        if self.limit.expired():
            return
        now, ends = asyncio.get_running_loop().time(), self.limit.when()
        assert ends is not None  # noqa: S101  # it was given at the beginning
        self._left, left = ends - now, self._left
        self.limit.reschedule(now + left)
        self.waits = waits
