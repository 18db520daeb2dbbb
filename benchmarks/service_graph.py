"""The graph that all three run: three nodes that do next to nothing, one after the other."""

import asyncio
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph

NODES = ("a", "b", "c")
CONNECTIONS = 20  # of each contestant to PostgreSQL, at most
MESSAGES = [{"role": "user", "content": "hello"}]


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    steps: int


def no_op(saver: BaseCheckpointSaver[Any], *, hold: float = 0.0) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph; its second node takes `hold` seconds, so that a job can be found running."""

    async def step(state: State) -> State:
        return {"steps": state.get("steps", 0) + 1}

    async def held(state: State) -> State:
        await asyncio.sleep(hold)
        return await step(state)

    graph = StateGraph(State)
    for before, node in zip((START, *NODES), NODES, strict=False):
        graph.add_node(node, held if hold and node == "b" else step)
        graph.add_edge(before, node)
    graph.add_edge(NODES[-1], END)
    return graph.compile(checkpointer=saver)
