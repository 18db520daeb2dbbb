"""The graphs that were built last, and the builds under way, by the hash of the definition.

Invariants: the graphs are bounded in number and weight; two jobs of one definition build once; a build ends with the
last job that waits for it, or it would keep a tool worker from all the others; one that failed leaves nothing behind,
as its error holds everything that was read until then.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Built:
    """A graph, about how many bytes it takes, and when it is out of date by the clock of `Builds`."""

    graph: "Graph"
    weight: int
    until: float = math.inf


Build = Callable[[], Coroutine[Any, Any, Built]]


@dataclass(slots=True, eq=False)
class _Build:
    """A build under way, and how many jobs wait for it."""

    task: "asyncio.Task[Graph]"
    waiting: int = 0


class Builds:
    """Builds what it is asked for, and keeps the last ones used."""

    def __init__(self, most: int, heaviest: int, clock: Callable[[], float] = time.monotonic) -> None:
        """So many graphs are kept, and of so many bytes, but the last one always."""
        self.clock = clock
        self._most = most
        self._heaviest = heaviest
        self._built: OrderedDict[str, Built] = OrderedDict()
        self._building: dict[str, _Build] = {}
        self._tasks: set[asyncio.Task[Graph]] = set()  # those that end unwaited for, too: the loop would forget them

    def built(self, key: str) -> "Graph | None":
        """The graph that was built before, if it is still up to date."""
        found = self._built.get(key)
        if found is None:
            return None
        if self.clock() >= found.until:
            del self._built[key]
            return None
        self._built.move_to_end(key)
        return found.graph

    async def get(self, key: str, build: Build) -> "Graph":
        """The graph of `key`, built by `build` if there is none; raises what that raises."""
        if (graph := self.built(key)) is not None:
            return graph
        if key not in self._building:
            self._building[key] = _Build(self._begun(key, build))
        one = self._building[key]
        one.waiting += 1
        try:
            # One job's end must not end the build that another waits for.
            return await asyncio.shield(one.task)
        finally:
            one.waiting -= 1
            if not one.waiting:
                one.task.cancel()  # no more than a word, if it is done
                if self._building.get(key) is one:
                    del self._building[key]
            del one  # or an error, whose traceback holds this frame, would hold itself until the next collection

    def _begun(self, key: str, build: Build) -> "asyncio.Task[Graph]":
        task = asyncio.create_task(self._run(key, build))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # told, if nobody waits any more
        return task

    async def _run(self, key: str, build: Build) -> "Graph":
        built = self._built[key] = await build()
        while len(self._built) > 1 and (len(self._built) > self._most or self._weight() > self._heaviest):
            self._built.popitem(last=False)
        return built.graph

    def _weight(self) -> int:
        return sum(one.weight for one in self._built.values())
