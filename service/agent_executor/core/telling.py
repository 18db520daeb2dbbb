"""What a run tells while it works: contract section 5's events, from the state, the models and the tools.

Words and tools are heard by LangGraph's own handlers for its modes "messages" and "tools", at once instead of through
its stream: with these modes, or with the streams of subgraphs, it runs a task that waits beside every step.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent_executor.core import state
from agent_executor.services.json import clean

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

JSON = (str, int, float, list, dict, type(None))
Emit = Callable[[str, dict[str, Any]], None]
"""Takes an event type and its data; must not block (the events of a job are best effort)."""


class Telling:
    """The events of one run; remembers which agent speaks in which namespace, and what tools are running.

    Belongs to the event loop in which it is made.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._agents: dict[tuple[str, ...], str | None] = {}
        self._tools: dict[tuple[tuple[str, ...], str], str] = {}
        self._seen: state.Seen = {}
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self.over = False  # what is still running in a thread then is not heard any more
        self.fault: Exception | None = None  # of what was heard; for whoever runs the graph, not for whoever spoke

    def handlers(self) -> list["BaseCallbackHandler"]:
        """What LangGraph and the models call, of sub-agents too."""
        from agent_executor.core.handlers import Tools, Words  # noqa: PLC0415  # imports LangGraph

        return [Words(self._hear, subgraphs=True), Tools(self._hear, subgraphs=True)]

    def snapshot(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The state of the whole graph as it is now, for `tell_state`."""
        return state.snapshot(values, self._seen)

    def tell_state(self, snapshot: dict[str, Any]) -> None:
        """Tell it, once it is stored."""
        self._emit("on_state_update", snapshot)

    def _hear(self, chunk: tuple[tuple[str, ...], str, Any]) -> None:
        if threading.get_ident() == self._thread:
            self._tell(*chunk)
        else:  # a model or a tool that only knows how to block
            self._loop.call_soon_threadsafe(self._tell, *chunk)

    def _tell(self, ns: tuple[str, ...], mode: str, payload: Any) -> None:
        if self.over or self.fault:
            return
        try:
            if mode == "messages":
                self._tell_words(ns, *payload)
            else:
                self._tell_tool(ns, payload)
        except Exception as error:  # noqa: BLE001  # langchain would log it, and take it for the model's
            self.fault = error

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
                # What the model gave is JSON; what is not, the libraries have put beside it.
                told = {k: clean(v) for k, v in given.items() if isinstance(v, JSON)}
                self._emit("on_tool_start", data | {"input": told})
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
