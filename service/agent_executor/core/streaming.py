"""One run of a graph, told as live events: LangGraph's stream in, contract section 5's events out.

Invariants: event data is plain JSON; state events show the whole graph's state, never a sub-agent's; `end` is not sent
here but by the executor, which knows how the job ended.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_executor.core import state
from agent_executor.core.context import JobContext
from agent_executor.core.telling import Emit, Telling
from agent_executor.errors import PermanentError

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import RunControl


@dataclass(frozen=True, slots=True)
class Finished:
    """The graph came to its end; `values` is its last state, for `state.result`."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The graph waits for a human; `payload` is a list of `{id, value}`, as JSON."""

    payload: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Drained:
    """The graph stopped at a superstep because it was asked to; running it again with input None goes on there."""


Outcome = Finished | Interrupted | Drained
Stored = Callable[[], Awaitable[None]]
"""Waits until the superstep before is stored; raises what has kept it from that."""


async def _is_stored() -> None:
    """For a saver that stores each superstep before LangGraph goes on."""


def control() -> "RunControl":
    """A fresh handle whose `request_drain()` stops one run at its next superstep, inside sub-agents too."""
    from langgraph.runtime import RunControl  # noqa: PLC0415  # slow, and only for a job

    return RunControl()


def resume(value: Any) -> Any:  # LangGraph's Command, whatever a human answered
    """The input that answers an interrupt with `value`; several at once with a map from their ids to the answers."""
    from langgraph.types import Command  # noqa: PLC0415

    return Command(resume=value)


async def run(
    graph: "CompiledStateGraph[Any, Any, Any, Any]",
    given: Any,  # `state.accept(payload)`, None to go on from the checkpoint, or `resume(value)`
    config: Mapping[str, Any],
    *,
    context: JobContext,
    emit: Emit,
    control: "RunControl | None" = None,
    stored: Stored = _is_stored,
) -> Outcome:
    """Run until the end, an interrupt or a drain; raises what the nodes raise.

    `config` is LangGraph's, with `recursion_limit` as the limit of the whole job: on resume the supersteps that the
    checkpoint has behind it count. Too many are `PermanentError("limit_exceeded")`.
    """
    most = config.get("recursion_limit")
    config = config if isinstance(given, Mapping) else await _remaining(graph, config)
    made = Run(graph, given, config, context=context, emit=emit, control=control, stored=stored, most=most)
    return await made.outcome()


class Run:
    """One run of a graph; what comes before its first node can be done ahead of it (`begin`)."""

    def __init__(
        self,
        graph: "CompiledStateGraph[Any, Any, Any, Any]",
        given: Any,
        config: Mapping[str, Any],
        *,
        context: JobContext,
        emit: Emit,
        control: "RunControl | None" = None,
        stored: Stored = _is_stored,
        most: int | None = None,
    ) -> None:
        """As for `run`, but `config` has the supersteps that are left, and `most` is what the job was allowed."""
        self._most = most or config.get("recursion_limit")
        self._told = Telling(emit)
        self._stored = stored
        self._ahead: list[Any] = []
        self._parts = graph.astream(  # type: ignore[call-overload]  # its config is a TypedDict
            given,
            {**config, "callbacks": self._told.handlers()},
            context=context,
            stream_mode=["values"],
            durability="sync" if graph.checkpointer else None,
            control=control,
            version="v2",
        )

    async def begin(self) -> None:
        """Come as far as LangGraph does without running a node: nothing is told yet, and `outcome` goes on."""
        self._ahead = [await anext(self._parts)]

    async def close(self) -> None:
        """Leave it at that."""
        self._told.over = True
        await self._parts.aclose()

    async def outcome(self) -> Outcome:
        """Run until the end, an interrupt or a drain; raises what the nodes raise.

        LangGraph goes on, to the next node, when it is asked for its next part. So a superstep may be on its way to the
        database while it is made ready for the next one, and is stored, and only then told, before that is asked for.
        """
        try:
            return await self._followed()
        finally:
            await self.close()

    async def _followed(self) -> Outcome:
        from langgraph.errors import GraphDrained, GraphRecursionError  # noqa: PLC0415

        last: Mapping[str, Any] = {}
        waiting: dict[str, Any] = {}
        try:
            async for part in self._all():
                # Parallel sub-agents wait one by one, each in a part of its own at the end.
                # Then comes what the others of that superstep wrote, which is not stored before it is complete.
                waiting |= {one.id: one.value for one in part["interrupts"]}
                last = part["data"]
                snapshot = None if waiting else self._told.snapshot(last)
                await self._stored()
                if snapshot is not None:
                    self._told.tell_state(snapshot)
        except GraphDrained:
            return Drained()
        except GraphRecursionError as error:
            why = f"recursion: the job needs more than {self._most} supersteps"
            raise PermanentError("limit_exceeded", why) from error
        if waiting:
            return Interrupted([{"id": id_, "value": state.plain(value)} for id_, value in waiting.items()])
        return Finished(last)

    async def _all(self) -> AsyncIterator[Any]:
        for part in self._ahead:
            yield part
        async for part in self._parts:
            if self._told.fault:
                raise self._told.fault
            yield part


async def _remaining(graph: "CompiledStateGraph[Any, Any, Any, Any]", config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the supersteps that are left."""
    limit, saver = config.get("recursion_limit"), graph.checkpointer
    if limit is None or saver is None or isinstance(saver, bool):
        return dict(config)
    saved = await saver.aget_tuple(config)  # type: ignore[arg-type]
    done = max(saved.metadata.get("step", 0), 0) if saved else 0
    if done >= limit:
        raise PermanentError("limit_exceeded", f"recursion: the job needs more than {limit} supersteps")
    return {**config, "recursion_limit": limit - done}
