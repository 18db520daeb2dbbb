"""MCP servers: their tools are tools of the agent, and each way they fail has its class."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route
from typing_extensions import TypedDict

from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models.parts import Mcp
from agent_executor.services import built_in, mcp, schemas, web
from agent_executor.settings import Settings
from tests.service.test_schemas import bomb

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "tool_definitions[0].mcp"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def port() -> AsyncIterator[int]:
    """A server with MCP over both transports, and paths that fail in every way."""
    tools = FastMCP("tools", transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))

    @tools.tool()
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @tools.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("no such luck")

    class Point(TypedDict):
        x: int

    odd = FastMCP("odd", transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))

    @odd.tool()
    def draw(points: list[Point]) -> str:
        """Draw."""
        return str(points)

    @odd.tool()
    def grow() -> str:
        """Grow."""
        return ""

    registered = odd._tool_manager.get_tool("grow")
    assert registered is not None
    registered.parameters = bomb(18)

    async def refuses(request: Any) -> PlainTextResponse:
        return PlainTextResponse("no", status_code=int(request.path_params["status"]))

    async def away(request: Any) -> RedirectResponse:
        return RedirectResponse("http://elsewhere.test/mcp", status_code=307)

    streamable = tools.streamable_http_app()
    routes = [
        Route("/status/{status}", refuses, methods=["GET", "POST"]),
        Route("/away", away, methods=["GET", "POST"]),
        *streamable.routes,
        Mount("/odd", odd.sse_app()),
        Mount("/", tools.sse_app()),
    ]
    app = Starlette(routes=routes, lifespan=lambda _: tools.session_manager.run())
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    await task


async def here(host: str, port: int) -> list[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


async def ask(port: int, path: str, lookup: web.Lookup = here, **more: Any) -> Any:
    server = Mcp(url=f"http://tools.test:{port}{path}", **more)
    return await mcp.tools_of([f"tools.test:{port}"], server, PATH, lookup=lookup)


async def test_they_are_off_unless_the_settings_name_hosts() -> None:
    required = {"nats_url": "nats://n", "postgres_host": "h", "postgres_db": "d", "postgres_user": "u"}
    settings = Settings.model_validate({**required, "postgres_password": "p", "dragonfly_host": "h"})
    allowing = settings.model_copy(update={"mcp_allowed_hosts": ("a.test",), "http_tool_allowed_hosts": ("a.test",)})

    assert (built_in.mcp_tools(settings), built_in.http_request(settings)) == (None, None)
    assert built_in.mcp_tools(allowing) is not None
    assert getattr(built_in.http_request(allowing), "name", None) == "http_request"


@pytest.mark.parametrize(("path", "transport"), [("/mcp", "streamable_http"), ("/sse", "sse")])
async def test_the_tools_of_a_server(port: int, path: str, transport: Any) -> None:
    tools = {tool.name: tool for tool in await ask(port, path, transport=transport)}

    added = await tools["add"].ainvoke({"type": "tool_call", "id": "1", "name": "add", "args": {"a": 1, "b": 2}})
    failed = await tools["fail"].ainvoke({"type": "tool_call", "id": "2", "name": "fail", "args": {}})

    assert sorted(tools) == ["add", "fail"]
    assert (added.status, added.text) == ("success", "3")
    assert (failed.status, "no such luck" in failed.text) == ("error", True)


async def test_their_schemas_have_no_references(port: int) -> None:
    (tool,) = await ask(port, "/odd/sse", transport="sse", tools=("draw",))

    assert "$" not in str(tool.args_schema)
    assert tool.args["points"]["items"]["properties"]["x"]["type"] == "integer"


async def test_a_schema_that_means_a_huge_one(port: int) -> None:
    with pytest.raises(PermanentError) as caught:
        await ask(port, "/odd/sse", transport="sse")

    why = (
        "the JSON schema of the tool 'grow' cannot be used: with its references replaced it has more than 10000 values"
    )
    assert caught.value.message == f"{PATH}.url: {why}"


async def test_a_server_whose_tools_are_too_much_together(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "ALL_VALUES", 50)

    with pytest.raises(PermanentError) as caught:
        await ask(port, "/mcp")

    why = "cannot be used: with it the arguments of all tools have more than 50 values in their schemas"
    assert caught.value.message == f"{PATH}.url: the JSON schema of the tool 'fail' {why}"


async def test_only_the_tools_that_were_named(port: int) -> None:
    assert [tool.name for tool in await ask(port, "/mcp", tools=("add",))] == ["add"]


async def test_a_tool_that_the_server_has_not(port: int) -> None:
    with pytest.raises(PermanentError) as caught:
        await ask(port, "/mcp", tools=("add", "sub"))

    assert caught.value.message == f"{PATH}.tools[1]: 'sub' is not a tool of this server, which has add, fail"


async def elsewhere(host: str, port: int) -> list[str]:
    return ["169.254.169.254"]


FAILURES: dict[str, tuple[str, dict[str, Any], type[Exception], str]] = {
    "refuses": ("/status/403", {}, PermanentError, "mcp_refused"),
    "is not there": ("/status/404", {}, PermanentError, "mcp_refused"),
    "is overloaded": ("/status/503", {}, TemporaryError, "mcp_unavailable"),
    "asks for patience": ("/status/429", {}, TemporaryError, "mcp_unavailable"),
    "sends us away": ("/away", {}, PermanentError, ""),
    "is at an address of the cloud": ("/mcp", {"lookup": elsewhere}, PermanentError, "invalid_definition"),
}


@pytest.mark.parametrize(("path", "more", "kind", "type_"), FAILURES.values(), ids=FAILURES)
async def test_a_server_that(port: int, path: str, more: Any, kind: type[Exception], type_: str) -> None:
    with pytest.raises((PermanentError, TemporaryError)) as caught:
        await ask(port, path, **more)

    assert (type(caught.value), caught.value.message.startswith(f"{PATH}.url: ")) == (kind, True), caught.value
    assert caught.value.type.startswith(type_), caught.value


async def test_a_host_that_is_not_allowed(port: int) -> None:
    with pytest.raises(PermanentError, match="is not among the hosts that this platform allows") as caught:
        await mcp.tools_of(["other.test"], Mcp(url=f"http://tools.test:{port}/mcp"), PATH)

    assert caught.value.message.startswith(f"{PATH}.url: ")


async def test_a_server_that_nobody_runs() -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(TemporaryError, match="does not answer"):
            await ask(free.getsockname()[1], "/mcp")


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "LIST_SECONDS", 0.3)
    silent = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(silent), pytest.raises(TemporaryError, match="does not answer"):
        await ask(silent.getsockname()[1], "/mcp")


async def test_a_server_that_goes_during_a_call(port: int) -> None:
    alive = True

    async def lookup(host: str, number: int) -> list[str]:
        if not alive:
            raise OSError("gone")
        return ["127.0.0.1"]

    (tool,) = await ask(port, "/mcp", lookup=lookup, tools=("add",))
    alive = False

    with pytest.raises(TemporaryError, match="does not answer"):
        await tool.ainvoke({"type": "tool_call", "id": "1", "name": "add", "args": {"a": 1, "b": 2}})
