"""A definition as a compiled deepagents graph.

The orchestrator is the deep agent, the specialists its sub-agents behind the `task` tool. Imports LangChain and
deepagents (over a second of CPU), so it is imported late: `builder.warm`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired, TypedDict, cast, get_args, get_type_hints

import langsmith
from deepagents import SubAgent, create_deep_agent
from deepagents.graph import DeepAgentState
from deepagents.middleware.subagents import GENERAL_PURPOSE_SUBAGENT
from langchain.agents.middleware import AgentMiddleware, InterruptOnConfig, TodoListMiddleware
from langchain_core.messages import BaseMessage, RemoveMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.graph.state import CompiledStateGraph

from agent_executor.core import providers
from agent_executor.core.context import JobContext
from agent_executor.core.middleware import Governor
from agent_executor.core.summaries import Summaries
from agent_executor.models.parts import STANDARD_FIELDS, Decision, Definition, Model, Node, StateField
from agent_executor.settings import Settings

TYPES: Mapping[str, Any] = {
    "list": list, "dict": dict, "str": str, "int": int, "float": float, "bool": bool, "any": Any,
}  # fmt: skip

EVERY_DECISION: tuple[Decision, ...] = get_args(Decision)
WAITS = "This call waits for a decision."

Watch = Callable[[str, Model], Any]
"""Makes the middleware that looks on at one agent's calls, from the agent's name and its model; it holds nothing of any
job, and is told in `sub_agents` whom the agent can call."""

langsmith.configure(enabled=False)  # whatever the environment says: prompts go to the model and to nobody else


def compile_graph(
    definition: Definition,
    settings: Settings,
    saver: BaseCheckpointSaver[Any] | None,
    tools: Mapping[str, Sequence[BaseTool]],
    watch: Watch | None = None,
) -> CompiledStateGraph[Any, JobContext, Any, Any]:
    """The graph of `definition`; `tools` holds what each of its tool names stands for, `watch` who looks on."""
    fields = declared(definition)
    additive = frozenset(name for name, field in fields.items() if field.reducer)
    main = definition.orchestrator
    general = GENERAL_PURPOSE_SUBAGENT["name"]
    sub_agents = frozenset({general, *(node.name for node in definition.specialists)})

    def toolbox(node: Node) -> list[BaseTool]:
        return [tool for name in dict.fromkeys(node.config.tools) for tool in tools.get(name, ())]

    def model(node: Node) -> Model:
        found = node.config.model or main.config.model
        assert isinstance(found, Model)  # noqa: S101  # `definition.parse` saw to it
        return found

    def speaking(node: Node) -> dict[str, Any]:
        """A node's model, and what stands around each of its calls, those for summaries too."""
        client = providers.create(model(node), settings)
        watched = [watch(node.name, model(node))] if watch else []
        for one in watched:
            one.sub_agents = sub_agents
        around: list[AgentMiddleware[Any, Any]] = [Governor(additive, toolbox(node)), *watched]
        return {"model": client, "middleware": [TodoListMiddleware(), Summaries(client, around), *around]}

    specialists = [
        {
            "name": node.name,
            "description": node.config.description or f"The {node.name} specialist.",
            "system_prompt": node.config.system_prompt or "",
            "tools": toolbox(node),
            "interrupt_on": {**(pauses(main, tools) or {}), **(pauses(node, tools) or {})},
            **speaking(node),
        }
        for node in definition.specialists
    ]
    if general not in {one["name"] for one in specialists}:
        # deepagents adds it anyway, but without our middleware: its calls would be neither limited nor checked.
        specialists.insert(0, {**GENERAL_PURPOSE_SUBAGENT, "tools": toolbox(main), **speaking(main)})
    return create_deep_agent(
        **speaking(main),
        tools=toolbox(main),
        system_prompt=main.config.system_prompt,
        subagents=cast("list[SubAgent]", specialists),
        state_schema=schema(fields),
        context_schema=JobContext,
        checkpointer=saver,
        name=main.name,
        interrupt_on=pauses(main, tools),
    )


def pauses(node: Node, tools: Mapping[str, Sequence[BaseTool]]) -> dict[str, bool | InterruptOnConfig] | None:
    """The tools of a node whose calls wait for a human, as LangChain's middleware wants them."""
    waiting: dict[str, bool | InterruptOnConfig] = {}
    named = node.config.interrupt_on
    of_servers = {tool.name: on for name, on in named.items() for tool in tools.get(name, ())}
    for name, on in {**of_servers, **named}.items():  # what is said of a tool goes before what is said of its server
        allowed = EVERY_DECISION if on is True else on.allowed_decisions if on else None
        # A description of our own: the middleware's would show the arguments as Python's repr.
        waiting[name] = InterruptOnConfig(allowed_decisions=list(allowed), description=WAITS) if allowed else False
    return waiting or None


def declared(definition: Definition) -> dict[str, StateField]:
    """The state fields that the definition adds."""
    return {
        name: field
        for node in definition.nodes
        for name, field in node.config.state_schema.items()
        if name not in STANDARD_FIELDS
    }


def schema(fields: Mapping[str, StateField]) -> type[Any]:
    """A typed state with `fields`; every field has a reducer, as sub-agents may write it in the same step."""
    own = {name: NotRequired[Annotated[TYPES[field.type], _reducer(field)]] for name, field in fields.items()}
    base = get_type_hints(DeepAgentState, include_extras=True)
    return TypedDict("JobState", {**base, **own}) if own else DeepAgentState  # type: ignore[operator]  # made at run time


def _reducer(field: StateField) -> Callable[[Any, Any], Any]:
    return append if field.reducer == "add_messages" else last


def last(_: object, right: Any) -> Any:
    """Reducer: the last value stands."""
    return right


def append(left: Any, right: Any) -> list[Any]:
    """Reducer of `add_messages` fields: messages as LangGraph adds them, anything else at the end of the list."""
    old, new = _listed(left), _listed(right)
    if new and all(isinstance(item, BaseMessage) for item in old + new):
        return list(add_messages(old, _without_strays(old, new)))
    return old + new


def _without_strays(old: list[Any], new: list[Any]) -> list[Any]:
    """New messages but for removals of what is not there, by which LangGraph would fail the job."""
    known = {message.id for message in old} | {REMOVE_ALL_MESSAGES}
    kept = []
    for message in new:
        if not isinstance(message, RemoveMessage) or message.id in known:
            kept.append(message)
            known.add(message.id)
    return kept


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
