"""What a run's checkpointer knows of the run's job, and what it keeps for it; travels in the run's config."""

import asyncio
import contextlib
from collections.abc import Container, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from agent_executor.errors import LeaseLost
from agent_executor.services.writer import Rows

FENCE = "__job_fence"  # key in `configurable`; LangGraph keeps names with __ out of the metadata


@dataclass
class Fence:
    """What a run may assume about its job: the epoch that it claimed, and whether there is anything to load.

    Also where the saver keeps two kinds of rows that nobody has to wait for. A run's first checkpoints: before any node
    has finished, losing them loses nothing, so they leave with what the first node wrote. And its last superstep, where
    `triggers` tells it: no node runs after it, so it leaves with the job's end.

    A superstep between is stored while LangGraph prepares the next, and no node of that runs before: whoever runs the
    graph is given its output when one of the channels `shown` has changed, before the next node, and awaits `stored`.
    """

    epoch: int
    empty: bool = False
    triggers: Container[str] | None = field(default=None, repr=False)  # the channels of the graph that start a node
    shown: frozenset[str] = field(default=frozenset(), repr=False)  # of the graph's output; none if nobody waits
    held: Rows = field(default_factory=Rows, repr=False)
    inputs: set[str] = field(default_factory=set, repr=False)  # checkpoints whose one task spreads the run's input
    presumed: bool = False  # the claim has not come back yet: all is held
    over: bool = False  # the last superstep is held
    sending: asyncio.Task[None] | None = field(default=None, repr=False)
    ahead: asyncio.Task[None] | None = field(default=None, repr=False)  # the last superstep, on its way
    flying: set[asyncio.Future[None]] = field(default_factory=set, repr=False)  # held checkpoints, on their way

    @contextlib.contextmanager
    def taken(self) -> Iterator[Rows]:
        """What is held, to be stored inside the block; held again if that fails."""
        held, self.held = self.held, Rows()
        try:
            yield held
        except BaseException:
            held.add(self.held)
            self.held = held
            raise

    @contextlib.contextmanager
    def under_way(self, held: Rows) -> Iterator[None]:
        """Held checkpoints are being stored inside the block: their descendants wait for it."""
        if not held.checkpoints:
            yield
            return
        flying = asyncio.get_running_loop().create_future()
        self.flying.add(flying)
        try:
            yield
        finally:
            self.flying.discard(flying)
            flying.set_result(None)

    async def sent(self) -> None:
        """Wait for checkpoints that are on their way, whoever took them along, however that ends."""
        tasks = {one for one in (self.sending, self.ahead) if one}
        if under_way := {one for one in tasks | self.flying if not one.done()}:
            await asyncio.wait(under_way)

    async def send_ahead(self, rows: Rows, storing: Coroutine[Any, Any, None]) -> None:
        """Return when a statement with these rows has left; `stored` waits for what becomes of it."""
        loop = asyncio.get_running_loop()
        left = rows.left = loop.create_future()

        def over(ahead: asyncio.Task[None]) -> None:
            if not left.done():
                left.set_result(None)
            if not ahead.cancelled():
                ahead.exception()  # a run that was ended meanwhile does not ask

        self.ahead = loop.create_task(storing)
        self.ahead.add_done_callback(over)
        await left

    async def stored(self) -> None:
        """Wait until what was sent ahead is stored; raises what has kept it from that."""
        if self.ahead:
            await self.ahead
            self.ahead = None

    def forget_ahead(self) -> None:
        """Go on from what is stored, whatever has become of what was sent ahead; raises if the job is not ours."""
        ahead, self.ahead = self.ahead, None
        if ahead and not ahead.cancelled() and isinstance(error := ahead.exception(), LeaseLost):
            raise error
