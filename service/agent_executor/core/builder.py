"""From an agent definition to a compiled graph, built once per definition and kept.

Invariants: what is kept holds nothing of a job (`builds`); what cannot be built is a `PermanentError` with the
definition's own path. Importing this module is cheap: `warm` pays for the libraries.
"""

import asyncio
import functools
import importlib
import importlib.metadata
import importlib.util
import math
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent_executor.core import providers, toolbox
from agent_executor.core.builds import Builds, Built
from agent_executor.core.context import ToolRunner
from agent_executor.core.patience import Patience
from agent_executor.errors import PermanentError, TemporaryError, shown
from agent_executor.models import definition as definitions
from agent_executor.models.parts import Definition, Mcp, ToolDefinition
from agent_executor.services import schemas
from agent_executor.settings import Settings

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from agent_executor.core.graph import Watch

McpTools = Callable[[Mcp, str], Awaitable[Sequence["BaseTool"]]]
"""Asks an MCP server for its tools; the second argument is the server's path in the definition, for errors."""
KEPT, KEPT_BYTES = 128, 128 << 20
"""Compiled graphs that stay in memory: 0.3 MB for one agent, 20 for fifty of them."""
MCP_SECONDS = 300.0
"""Until a tool server is asked for its tools again: its new release is seen within minutes, and not every job asks."""
SECONDS = 300.0
"""For all tools of a definition: each script may take a worker for 15 s to be described, and there may be 200. As long
again they may wait for workers that other jobs have."""


async def warm() -> None:
    """Import the agent libraries, in a thread: after readiness can be answered, before the first job."""
    await asyncio.to_thread(importlib.import_module, "agent_executor.core.graph")


class Builder:
    """Builds graphs and keeps the last ones used."""

    def __init__(
        self,
        settings: Settings,
        saver: "Callable[[], BaseCheckpointSaver[Any] | None]",
        tools: ToolRunner,
        *,
        http_request: "BaseTool | None" = None,
        mcp: McpTools | None = None,
        watch: "Watch | None" = None,
        kept: int = KEPT,
        kept_bytes: int = KEPT_BYTES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`saver` is asked on the event loop, for every graph: what it returns is imported by then, and not before."""
        self._settings = settings
        self._saver = saver
        self._runner = tools
        self._http_request = http_request
        self._mcp = mcp
        self._watch = watch
        self._builds = Builds(kept, kept_bytes, clock)
        self._seconds = seconds

    async def build(self, raw: Mapping[str, Any]) -> "CompiledStateGraph[Any, Any, Any, Any]":
        """The graph of a definition as it came; raises `PermanentError("invalid_definition")` with the paths."""
        return await self._builds.get(definitions.digest(raw), lambda: self._build(raw))

    def built(self, definition_hash: str) -> "CompiledStateGraph[Any, Any, Any, Any] | None":
        """The graph of a definition that was built before, by its hash."""
        return self._builds.built(definition_hash)

    async def _build(self, raw: Mapping[str, Any]) -> Built:
        definition = definitions.parse(raw)
        for i, node in enumerate(definition.nodes):
            if "http_request" in node.config.tools and self._http_request is None:
                raise PermanentError(
                    "invalid_definition",
                    f"{definitions.config_path(raw, i)}.tools: 'http_request' is not offered here, "
                    "it needs HTTP_TOOL_ALLOWED_HOSTS",
                )
            if node.config.model:
                providers.check(node.config.model, self._settings, f"{definitions.config_path(raw, i)}.model")
        await asyncio.to_thread(_check_dependencies, definition.tool_definitions)
        await warm()
        lasts = MCP_SECONDS if any(tool.mcp for tool in definition.tool_definitions) else math.inf
        until = self._builds.clock() + lasts
        tools = await self._toolbox(definition)
        for fault in toolbox.faults(definition, raw, tools):
            raise PermanentError("invalid_definition", fault)
        graph = await asyncio.to_thread(self._compile, definition, tools, self._saver())
        return Built(graph, await asyncio.to_thread(_weight, raw, definition, tools), until)

    async def _toolbox(self, definition: Definition) -> "dict[str, list[BaseTool]]":
        """What each tool name stands for."""
        tools = {"http_request": [self._http_request]} if self._http_request else {}
        path, budget, clock = "", schemas.Budget(), Patience(self._seconds)
        try:
            async with clock.limit:
                for i, tool in enumerate(definition.tool_definitions):
                    path = f"tool_definitions[{i}]"
                    tools[tool.name] = await self._tools(tool, path, clock)
                    toolbox.afford(tools[tool.name], budget, path)
        except TimeoutError:
            if not clock.limit.expired():
                raise
            if clock.waits:  # for calls of other jobs: another pod may have a place
                why = f"{path}: no worker was free to describe it, waiting {self._seconds:g} s for all tools"
                raise TemporaryError("tool_worker", why) from None
            raise PermanentError(
                "limit_exceeded", f"{path}: was not described yet when {self._seconds:g} s were over for all tools"
            ) from None
        return tools

    async def _tools(self, tool: ToolDefinition, path: str, clock: Patience) -> "list[BaseTool]":
        from agent_executor.core.tools import scripted  # noqa: PLC0415  # imports LangChain

        if tool.mcp is not None:
            if self._mcp is None:
                raise PermanentError(
                    "invalid_definition", f"{path}.mcp: is not offered here, it needs MCP_ALLOWED_HOSTS"
                )
            return list(await self._mcp(tool.mcp, f"{path}.mcp"))
        assert tool.runtime is not None  # noqa: S101  # `definition.parse` saw to it
        where = f"{path}.runtime.script"
        spec = await self._runner.describe(tool.runtime.script, where=where, waiting=clock.waiting)
        return [scripted(tool.name, tool.runtime.script, spec, self._runner, tool.description)]

    def _compile(
        self,
        definition: Definition,
        tools: "Mapping[str, Sequence[BaseTool]]",
        saver: "BaseCheckpointSaver[Any] | None",
    ) -> "CompiledStateGraph[Any, Any, Any, Any]":
        from agent_executor.core import graph  # noqa: PLC0415  # imports deepagents

        try:
            return graph.compile_graph(definition, self._settings, saver, tools, self._watch)
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, ImportError) as error:
            # What the libraries refuse they will refuse again: a failed job, never a retry loop.
            why = f"agent_definition: cannot be built: {type(error).__name__}: {str(error)[:200]}"
            raise PermanentError("invalid_definition", why) from error


def _weight(raw: Mapping[str, Any], definition: Definition, tools: "Mapping[str, Sequence[BaseTool]]") -> int:
    """About the bytes of a graph: what was measured for an agent, for each field and tool of it, and for the texts."""
    fields = {name for node in definition.nodes for name in node.config.state_schema}
    lent = sum(len(tools.get(name, ())) for node in definition.nodes for name in set(node.config.tools))
    described = sum(len(str(tool.args_schema)) for each in tools.values() for tool in each)
    own = 200_000 * len(definition.nodes) + 1_500 * (len(definition.nodes) * len(fields) + lent)
    return own + 10 * (len(definitions.text(raw)) + described)


def _check_dependencies(tools: Sequence[ToolDefinition]) -> None:
    """Nothing is installed at run time: what a script needs is in the image, or the definition cannot run."""
    for i, tool in enumerate(tools):
        for j, wanted in enumerate(tool.runtime.dependencies if tool.runtime else ()):
            name = re.split(r"[\s\[<>=!~;@]", wanted.strip(), maxsplit=1)[0]
            if not _installed(name):
                raise PermanentError(
                    "invalid_definition",
                    f"tool_definitions[{i}].runtime.dependencies[{j}]: {shown(wanted)} is not installed here, "
                    "and packages are not installed at run time",
                )


def _installed(name: str) -> bool:
    return _plain(name) in _packages() or _importable(name.partition(".")[0].replace("-", "_"))


@functools.cache  # to ask for one package takes a millisecond, and a definition may name thousands
def _packages() -> frozenset[str]:
    return frozenset(_plain(one.name) for one in importlib.metadata.distributions())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.lru_cache
def _importable(module: str) -> bool:
    if not module.isidentifier():
        return False
    try:
        return module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None
    except ValueError:  # what runs, and came from no file: `__main__`
        return False
