"""One run of a graph, told as live events: LangGraph's stream in, contract section 5's events out.

Invariants: event data is plain JSON; state events show the whole graph's state, never a sub-agent's; `end` is not sent
here but by the executor, which knows how the job ended.

Words and tools are told by LangGraph's own handlers for its modes "messages" and "tools", but at once instead of
through its stream: with these modes, or with the streams of subgraphs, it runs a task that waits beside every step.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_executor.core import state
from agent_executor.core.context import JobContext
from agent_executor.errors import PermanentError
from agent_executor.services.json import clean

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langgraph.checkpoint.base import CheckpointTuple
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import RunControl

Emit = Callable[[str, dict[str, Any]], None]
"""Takes an event type and its data; must not block (the events of a job are best effort)."""


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


def control() -> "RunControl":
    """A fresh handle whose `request_drain()` stops one run at its next superstep, inside sub-agents too."""
    from langgraph.runtime import RunControl  # noqa: PLC0415  # slow, and only for a job

    return RunControl()


def resume(value: Any) -> Any:  # LangGraph's Command, whatever a human answered
    """The input that answers an interrupt with `value`; several at once with a map from their ids to the answers."""
    from langgraph.types import Command  # noqa: PLC0415

    return Command(resume=value)


def answer(value: Any, found: "CheckpointTuple") -> Any:
    """The input that answers what waits at a checkpoint; several questions take a map from their ids to the answers.

    Always by the question's id: a sub-agent that goes on from a checkpoint of its own, after a crash or a drain, may
    have come to its next question, and an answer without a name would answer that.
    """
    from langgraph.checkpoint.serde.types import INTERRUPT  # noqa: PLC0415

    writes = found.pending_writes or ()
    waiting = [one.id for _, channel, asked in writes if channel == INTERRUPT for one in asked]
    named = isinstance(value, Mapping) and value and value.keys() <= set(waiting)
    return resume({waiting[0]: value} if len(waiting) == 1 and not named else value)


async def run(
    graph: "CompiledStateGraph[Any, Any, Any, Any]",
    given: Any,  # `state.accept(payload)`, None to go on from the checkpoint, or `resume(value)`
    config: Mapping[str, Any],
    *,
    context: JobContext,
    emit: Emit,
    control: "RunControl | None" = None,
) -> Outcome:
    """Run until the end, an interrupt or a drain; raises what the nodes raise.

    `config` is LangGraph's, with `recursion_limit` as the limit of the whole job: on resume the supersteps that the
    checkpoint has behind it count. Too many are `PermanentError("limit_exceeded")`.
    """
    from langgraph.errors import GraphDrained, GraphRecursionError  # noqa: PLC0415

    limit = config.get("recursion_limit")
    config = dict(config) if isinstance(given, Mapping) else await _remaining(graph, config)
    told = _Telling(emit)
    last: Mapping[str, Any] = {}
    waiting: dict[str, Any] = {}
    try:
        parts = graph.astream(  # type: ignore[call-overload]  # its config is a TypedDict
            given,
            {**config, "callbacks": [*config.get("callbacks", ()), *told.handlers()]},
            context=context,
            stream_mode=["values"],
            durability="sync" if graph.checkpointer else None,
            control=control,
            version="v2",
        )
        async for part in parts:
            # Parallel sub-agents wait one by one, each in a part of its own at the end.
            waiting = waiting | {one.id: one.value for one in part["interrupts"]} if part["interrupts"] else {}
            last = part["data"]
            if not part["interrupts"]:
                told.tell_state(last)
    except GraphDrained:
        return Drained()
    except GraphRecursionError as error:
        raise PermanentError("limit_exceeded", f"recursion: the job needs more than {limit} supersteps") from error
    finally:
        told.over = True
    if waiting:
        return Interrupted([{"id": id_, "value": state.plain(value)} for id_, value in waiting.items()])
    return Finished(last)


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


class _Telling:
    """The events of one run; remembers which agent speaks in which namespace, and what tools are running."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._agents: dict[tuple[str, ...], str | None] = {}
        self._tools: dict[tuple[tuple[str, ...], str], str] = {}
        self._seen: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self.over = False  # what is still running in a thread then is not heard any more

    def handlers(self) -> list["BaseCallbackHandler"]:
        """What LangGraph and the models call, of sub-agents too."""
        from agent_executor.core.handlers import Tools, Words  # noqa: PLC0415  # imports LangGraph

        return [Words(self._hear, subgraphs=True), Tools(self._hear, subgraphs=True)]

    def tell_state(self, values: Mapping[str, Any]) -> None:
        self._emit("on_state_update", state.snapshot(values, self._seen))

    def _hear(self, chunk: tuple[tuple[str, ...], str, Any]) -> None:
        if threading.get_ident() == self._thread:
            self._tell(*chunk)
        else:  # a model or a tool that only knows how to block
            self._loop.call_soon_threadsafe(self._tell, *chunk)

    def _tell(self, ns: tuple[str, ...], mode: str, payload: Any) -> None:
        if self.over:
            return
        if mode == "messages":
            self._tell_words(ns, *payload)
        else:
            self._tell_tool(ns, payload)

    def _tell_words(self, ns: tuple[str, ...], chunk: Any, metadata: Mapping[str, Any]) -> None:
        # Summaries that a middleware makes for itself are nobody's words.
        if chunk.type not in ("AIMessageChunk", "ai") or metadata.get("lc_source"):
            return
        agent = self._agents[ns] = metadata.get("lc_agent_name")
        calls = getattr(chunk, "tool_call_chunks", None) or getattr(chunk, "tool_calls", [])
        if chunk.text or calls:
            data = {
                "content": clean(chunk.text),
                "tool_call_chunks": [
                    {"id": c.get("id"), "index": c.get("index"), "name": clean(c["name"]), "args": clean(c["args"])}
                    for c in calls
                ],
                "agent": agent,
                "node": metadata.get("langgraph_node"),
                "model": metadata.get("ls_model_name"),
            }
            self._emit("on_llm_stream", data)

    def _tell_tool(self, ns: tuple[str, ...], event: Mapping[str, Any]) -> None:
        call_id = event["tool_call_id"]
        running = (ns, call_id)  # two sub-agents may give the same id
        data: dict[str, Any] = {
            "tool_call_id": call_id,
            "name": self._tools.get(running),
            "agent": self._agents.get(ns),
        }
        match event["event"]:
            case "tool-started":
                data["name"] = self._tools[running] = event["tool_name"]
                given = event.get("input") or {}
                self._emit("on_tool_start", data | {"input": {k: clean(v) for k, v in given.items() if k != "runtime"}})
            case "tool-finished":
                self._emit("on_tool_end", data | _answer(event["output"], call_id))
                self._tools.pop(running, None)
            case "tool-error":
                self._emit("on_tool_end", data | {"output": clean(event["message"])[:500], "status": "error"})
                self._tools.pop(running, None)


def _answer(output: Any, call_id: str) -> dict[str, Any]:
    """What a tool came to: the content of the message that answers its call."""
    update = getattr(output, "update", None)
    messages = (update.get("messages") or ()) if isinstance(update, Mapping) else (output,)
    for message in messages:
        if getattr(message, "tool_call_id", None) == call_id:
            return {"output": clean(message.content), "status": message.status}
    return {"output": state.plain(output) if isinstance(output, str | list | dict) else "", "status": "success"}
