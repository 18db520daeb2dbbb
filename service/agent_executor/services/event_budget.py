"""How much of a job's live events is kept: so many, and so many bytes of them, as each may show the whole state."""

from collections import deque


class Kept:
    """The last messages of one attempt, as many as its job's log may hold."""

    def __init__(self, length: int, most: int) -> None:
        self._length, self._most = length, most
        self._sizes: deque[int] = deque()
        self._bytes, self._full = 0, False

    def add(self, size: int) -> int:
        """One more message; how many the log may hold with it, those of earlier attempts too while there is room."""
        self._sizes.append(size)
        self._bytes += size
        while len(self._sizes) > 1 and (self._bytes > self._most or len(self._sizes) > self._length):
            self._bytes -= self._sizes.popleft()
            self._full = True
        return len(self._sizes) if self._full else self._length
