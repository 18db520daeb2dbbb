"""How an attempt starts its job's graph: what LangGraph is given, and from where the job goes on.

A job that is new needs no answer from the database to be started: its run is begun while the claim is on its way, as
far as LangGraph comes without running a node. Nothing of it is stored or told before the claim has come back and said
that the job is as it was presumed to be.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_executor.core import answers, limits, state, streaming
from agent_executor.core.builder import Builder
from agent_executor.core.context import JobContext
from agent_executor.core.telling import Emit
from agent_executor.models.jobs import Claimed
from agent_executor.services.fence import FENCE, Fence
from agent_executor.settings import Settings

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import RunControl

    Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass
class Launch:
    """The runs of one attempt at a job, one after the other."""

    settings: Settings
    builder: Builder
    job: Claimed
    emit: Emit
    _control: "RunControl | None" = None
    _begun: streaming.Run | None = None
    _draining: bool = False
    _waited_at: str = field(default="", repr=False)

    @functools.cached_property
    def fence(self) -> Fence:
        """What all runs of this attempt may assume about the job."""
        return Fence(self.job.epoch, empty=not self.job.has_checkpoint)

    async def begin(self, graph: "Graph") -> None:
        """Begin a new job's run before its claim is known; then `run` it or `forget` it."""
        self.fence.presumed = True
        config = self._config(graph)
        self._begun = streaming.Run(graph, state.accept(self.job.input), config, **self._more())
        await self._begun.begin()

    async def forget(self) -> None:
        """Leave nothing of a run that was begun and is not to be."""
        begun, self._begun = self._begun, None
        if begun:
            await begun.close()
            with self.fence.taken():
                pass

    def drain(self) -> None:
        """Stop at the next superstep, or do not start."""
        self._draining = True
        if self._control:
            self._control.request_drain()

    async def run(self) -> streaming.Outcome:
        """Run the graph from where the job stands, which is ours; raises what the nodes raise."""
        self.fence.presumed = False
        if self._begun and not self._draining:
            begun, self._begun = self._begun, None
            return await begun.outcome()
        await self.fence.sent()
        self.fence.forget_ahead()  # an earlier run's
        graph = await self.builder.build(self.job.definition)
        if self._draining:
            return streaming.Drained()
        config = self._config(graph)
        given = state.accept(self.job.input) if self.fence.empty else await self._answer(graph, config)
        return await streaming.run(graph, given, config, **self._more())

    def _config(self, graph: "Graph") -> dict[str, Any]:
        # The last superstep leaves with the job's end, unless it may be a pause.
        self.fence.triggers = None if graph.interrupt_after_nodes else graph.trigger_to_nodes
        self.fence.shown = _shown(graph)
        return {
            "configurable": {"thread_id": self.job.job_id, FENCE: self.fence},
            "metadata": {"run_id": self.job.job_id},
            "recursion_limit": self.settings.job_recursion_limit,
        }

    def _more(self) -> dict[str, Any]:
        self._control = streaming.control()
        if self._draining:
            self._control.request_drain()
        context = JobContext(self.job.job_id, limits.of(self.settings))
        return {"context": context, "emit": self.emit, "control": self._control, "stored": self.fence.stored}

    async def _answer(self, graph: "Graph", config: Mapping[str, Any]) -> Any:
        """The input that goes on from the last checkpoint: an answer where the graph still waits for it, or nothing."""
        if self.job.resume is None:
            return None
        found = await graph.checkpointer.aget_tuple(config)  # type: ignore[union-attr,arg-type]  # it is our saver
        if found is None:
            return None
        here = found.checkpoint["id"]
        self._waited_at = self._waited_at or here
        # Given a second time further on, it would answer the next question too.
        if here != self._waited_at:
            return None
        return streaming.resume(answers.given(self.job.resume["value"], self.job.interrupt or ()))


def _shown(graph: "Graph") -> frozenset[str]:
    """The channels of the output that change by being written and no other way, so that LangGraph tells of it."""
    from langgraph.channels import BinaryOperatorAggregate, DeltaChannel, LastValue  # noqa: PLC0415  # slow

    names = graph.stream_channels_asis
    written = (BinaryOperatorAggregate, DeltaChannel, LastValue)
    return frozenset(
        name for name in ([names] if isinstance(names, str) else names) if isinstance(graph.channels[name], written)
    )
