"""What can only be said of a definition's tools when its MCP servers have told theirs.

A tool of a server takes no other's place, and what `interrupt_on` names is there to be stopped: the name of a tool, or
of a server, which stands for all its tools.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent_executor.errors import PermanentError, shown
from agent_executor.models.definition import config_path
from agent_executor.models.parts import BUILT_IN, FILE_TOOLS, Definition, Node
from agent_executor.services import schemas

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

Tools = Mapping[str, Sequence["BaseTool"]]
"""What each tool name of a definition stands for."""


def faults(definition: Definition, raw: Mapping[str, Any], tools: Tools) -> Iterator[str]:
    """What is wrong, each with its path."""
    for i, one in enumerate(definition.tool_definitions):
        # A file tool may be replaced where the author has written its name, as by a script.
        taken = BUILT_IN if one.mcp and one.mcp.tools is None else BUILT_IN - FILE_TOOLS
        for name in sorted(taken & {tool.name for tool in tools[one.name]}):
            right = "`tools` without it would be right"
            yield f"tool_definitions[{i}].mcp: its tool {shown(name)} has the name of a built-in tool, and {right}"
    for i, node in enumerate(definition.nodes):
        where = config_path(raw, i)
        yield from _doubled(node, f"{where}.tools", tools)
        for name in sorted(node.config.interrupt_on.keys() - BUILT_IN - _stoppable(definition, node, tools)):
            right = "a tool or a tool server of it would be right"
            yield f"{where}.interrupt_on: {shown(name)} is no tool that this agent has, and {right}"


def afford(tools: Sequence["BaseTool"], budget: schemas.Budget, path: str) -> None:
    """Take from the definition's budget what these tools cost; `PermanentError` with the path if that is too much."""
    for tool in tools:
        try:
            budget.take(tool.args_schema, tool.description)
        except schemas.Unusable as error:
            raise PermanentError("invalid_definition", f"{path}: {error}, and fewer would be right") from None


def _doubled(node: Node, path: str, tools: Tools) -> Iterator[str]:
    owners: dict[str, str] = {}
    for j, name in enumerate(node.config.tools):
        for tool in tools.get(name, ()):
            if owners.setdefault(tool.name, name) != name:
                other = shown(owners[tool.name])
                yield f"{path}[{j}]: {shown(name)} has a tool {shown(tool.name)}, as {other} has; one would be right"


def _stoppable(definition: Definition, node: Node, tools: Tools) -> set[str]:
    """What a node's `interrupt_on` can stop: what the orchestrator's says holds for its specialists too."""
    under = definition.specialists if node is definition.orchestrator else ()
    named = {name for one in (node, *under) for name in one.config.tools}
    return {word for name in named for tool in tools.get(name, ()) for word in (name, tool.name)}
