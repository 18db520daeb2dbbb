"""What can only be said of a definition's tools when its MCP servers have told theirs.

What `interrupt_on` names is there to be stopped: the name of a tool, or of a server, which stands for all its tools.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent_executor.errors import shown
from agent_executor.models.definition import config_path
from agent_executor.models.parts import BUILT_IN, Definition, Node

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

Tools = Mapping[str, Sequence["BaseTool"]]
"""What each tool name of a definition stands for."""


def faults(definition: Definition, raw: Mapping[str, Any], tools: Tools) -> Iterator[str]:
    """What is wrong, each with its path."""
    for i, node in enumerate(definition.nodes):
        where = config_path(raw, i)
        for name in sorted(node.config.interrupt_on.keys() - BUILT_IN - _stoppable(definition, node, tools)):
            right = "a tool or a tool server of it would be right"
            yield f"{where}.interrupt_on: {shown(name)} is no tool that this agent has, and {right}"


def _stoppable(definition: Definition, node: Node, tools: Tools) -> set[str]:
    """What a node's `interrupt_on` can stop: the orchestrator's is also that of specialists without one."""
    under = [one for one in definition.specialists if not one.config.interrupt_on]
    named = {name for one in (node, *(under if node is definition.orchestrator else ())) for name in one.config.tools}
    return {word for name in named for tool in tools.get(name, ()) for word in (name, tool.name)}
