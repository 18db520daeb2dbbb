"""Tools of MCP servers that a definition names and the platform allows.

A call opens a session of its own, so nothing of one job is left in another's. What a tool says went wrong is text for
the model; a server that does not answer is a TemporaryError of the job, one that refuses us a PermanentError. Imports
LangChain's MCP client, so it is imported late.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, cast

import httpx
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.interceptors import MCPToolCallRequest, MCPToolCallResult
from langchain_mcp_adapters.sessions import Connection
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp.shared.exceptions import McpError
from mcp.types import CONNECTION_CLOSED, CallToolResult, TextContent

from agent_executor.errors import JobError, PermanentError, TemporaryError, shown
from agent_executor.models.parts import Mcp
from agent_executor.services import schemas, web

LIST_SECONDS = 15.0
CALL_SECONDS = 120.0
CONNECT_SECONDS = 10.0
# What the client raises: its own, its transport's, the protocol's (pydantic's are ValueErrors), and groups of them.
TROUBLE = (TimeoutError, OSError, httpx.HTTPError, McpError, web.Refused, ValueError, RuntimeError, ExceptionGroup)


async def tools_of(
    hosts: Sequence[str], server: Mcp, path: str, *, lookup: web.Lookup = web.lookup
) -> Sequence[BaseTool]:
    """The tools of a server that stands at `path` in the definition, among these allowed hosts.

    Raises:
        PermanentError: `invalid_definition` or `mcp_refused`: it may not be asked, refuses us, or lacks a tool.
        TemporaryError: `mcp_unavailable`: it does not answer.
    """
    try:
        web.check(httpx.URL(server.url), hosts)
        async with asyncio.timeout(LIST_SECONDS):
            connection = _connection(server, hosts, lookup)
            found = await load_mcp_tools(None, connection=connection, tool_interceptors=[_judged])
    except (*TROUBLE, httpx.InvalidURL) as error:
        raise _classified(error, f"{path}.url") from error
    chosen = found if server.tools is None else _chosen(found, server.tools, path)
    budget = schemas.Budget()
    for tool in chosen:
        _make_plain(tool, path, budget)
    return chosen


def _chosen(found: Sequence[BaseTool], names: Sequence[str], path: str) -> list[BaseTool]:
    by_name = {tool.name: tool for tool in found}
    for i, name in enumerate(names):
        if name not in by_name:
            offered = ", ".join(sorted(by_name))[:200] or "none"
            message = f"{path}.tools[{i}]: {shown(name)} is not a tool of this server, which has {offered}"
            raise PermanentError("invalid_definition", message)
    return [by_name[name] for name in names]


def _make_plain(tool: BaseTool, path: str, budget: schemas.Budget) -> None:
    try:
        tool.args_schema = schemas.plain(cast("dict[str, Any]", tool.args_schema))
        budget.take(tool.args_schema, tool.description)  # of one server here: it may offer thousands
    except schemas.Unusable as error:
        message = f"{path}.url: the JSON schema of the tool {shown(tool.name)} cannot be used: {error}"
        raise PermanentError("invalid_definition", message) from None


def _connection(server: Mcp, hosts: Sequence[str], lookup: web.Lookup) -> Connection:
    def client(
        headers: dict[str, str] | None = None, timeout: httpx.Timeout | None = None, auth: httpx.Auth | None = None
    ) -> httpx.AsyncClient:
        # Named by the platform, so it may be in the cluster; no redirect leads away, and no environment sets a proxy.
        transport = web.CheckedTransport(hosts, web.is_a_host, lookup=lookup)
        return httpx.AsyncClient(transport=transport, headers=headers, timeout=timeout, auth=auth, trust_env=False)

    settings: dict[str, Any] = {
        "transport": server.transport,
        "url": server.url,
        "timeout": CONNECT_SECONDS,
        "sse_read_timeout": CALL_SECONDS,
        "httpx_client_factory": client,
    }
    return cast("Connection", settings)


async def _judged(
    request: MCPToolCallRequest, handler: Callable[[MCPToolCallRequest], Awaitable[MCPToolCallResult]]
) -> MCPToolCallResult:
    """Around every call of a tool: its time, and what becomes of its failures."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await handler(request)
    except TROUBLE as error:
        cause = next(_leaves(error))
        if (
            isinstance(cause, McpError) and cause.error.code != CONNECTION_CLOSED
        ):  # the server's own answer to this call
            text = f"The tool failed: {cause.error.message[:2000]}"
            return CallToolResult(content=[TextContent(type="text", text=text)], isError=True)
        raise _classified(error, f"MCP tool {shown(request.name)}") from error


def _classified(error: BaseException, where: str) -> JobError:
    """The job's error for a failure of the client: temporary where another try may do."""
    cause = next(_leaves(error))
    match cause:
        case web.Refused() | httpx.InvalidURL():
            return PermanentError("invalid_definition", f"{where}: {cause}")
        case httpx.HTTPStatusError(response=response) if response.status_code not in {408, 425, 429} and (
            response.status_code < 500
        ):
            return PermanentError("mcp_refused", f"{where}: the MCP server answered with status {response.status_code}")
        case McpError() if cause.error.code != CONNECTION_CLOSED:
            return PermanentError("mcp_refused", f"{where}: the MCP server refused: {cause.error.message[:200]}")
    return TemporaryError("mcp_unavailable", f"{where}: the MCP server does not answer ({type(cause).__name__})")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
