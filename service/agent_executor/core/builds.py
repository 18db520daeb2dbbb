"""The graphs that were built last, and the builds under way, by the hash of the definition.

Invariants: the graphs are bounded; two jobs of one definition build once; a build that failed leaves nothing behind, as
its error holds everything that was read until then.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]


class Builds:
    """Builds what it is asked for, and keeps the last ones used."""

    def __init__(self, most: int) -> None:
        """`most` graphs are kept."""
        self._most = most
        self._built: OrderedDict[str, Graph] = OrderedDict()
        self._building: dict[str, asyncio.Task[Graph]] = {}

    def built(self, key: str) -> "Graph | None":
        """The graph that was built before."""
        graph = self._built.get(key)
        if graph is not None:
            self._built.move_to_end(key)
        return graph

    async def get(self, key: str, build: "Callable[[], Coroutine[Any, Any, Graph]]") -> "Graph":
        """The graph of `key`, built by `build` if there is none; raises what that raises."""
        if (graph := self.built(key)) is not None:
            return graph
        if key not in self._building:
            task = self._building[key] = asyncio.create_task(build())
            task.add_done_callback(lambda done: self._end(key, done))
        # One job's end must not end the build that another waits for.
        return await asyncio.shield(self._building[key])

    def _end(self, key: str, done: "asyncio.Task[Graph]") -> None:
        del self._building[key]
        if done.cancelled() or done.exception():  # asked for, so told: perhaps nobody waits any more
            return
        self._built[key] = done.result()
        while len(self._built) > self._most:
            self._built.popitem(last=False)
