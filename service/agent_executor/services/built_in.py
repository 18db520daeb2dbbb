"""The tools that agents have beside a definition's scripts, when the settings allow hosts; imported only then."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from agent_executor.models.parts import Mcp
from agent_executor.settings import Settings

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def http_request(settings: Settings) -> "BaseTool | None":
    """The tool `http_request`, or None without `HTTP_TOOL_ALLOWED_HOSTS`."""
    if not settings.http_tool_allowed_hosts:
        return None
    from agent_executor.services import http_tool  # noqa: PLC0415  # imports LangChain

    return http_tool.create(settings.http_tool_allowed_hosts)


def mcp_tools(settings: Settings) -> "Callable[[Mcp, str], Awaitable[Sequence[BaseTool]]] | None":
    """What asks an MCP server for its tools, or None without `MCP_ALLOWED_HOSTS`."""
    if not settings.mcp_allowed_hosts:
        return None

    async def tools(server: Mcp, path: str) -> "Sequence[BaseTool]":
        from agent_executor.services import mcp  # noqa: PLC0415  # imports the MCP client, over a second of CPU

        return await mcp.tools_of(settings.mcp_allowed_hosts, server, path)

    return tools
