"""The tools of MCP servers take no other tool's place, and wait for a person where `interrupt_on` says so."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool

from agent_executor.core import streaming
from agent_executor.core.builder import Builder
from agent_executor.errors import PermanentError
from agent_executor.models.parts import Mcp
from tests.support import graphs
from tests.support.graphs import Bench

SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}}
PAY = graphs.calls(graphs.call("pay", amount=1))
DONE = {"text": "Done."}


class Servers(Bench):
    """A bench with MCP servers, by the first word of their hosts' names; remembers which of their tools were called."""

    def __init__(self, **offered: Sequence[str]) -> None:
        super().__init__()
        self.called: list[str] = []

        async def mcp(server: Mcp, path: str) -> list[BaseTool]:
            return [self._tool(name) for name in server.tools or offered[server.url.split("/")[2].split(".")[0]]]

        self.builder = Builder(self.settings, lambda: self.saver, self.tools, mcp=mcp)

    def _tool(self, name: str) -> BaseTool:
        async def run(runtime: Annotated[object | None, InjectedToolArg()] = None, **_: Any) -> str:  # as the client's
            self.called.append(name)
            return f"{name} of a server"

        return StructuredTool.from_function(
            coroutine=run, name=name, description=name, args_schema=SCHEMA, infer_schema=False
        )


def agent(
    servers: Mapping[str, Any],
    *turns: Mapping[str, Any],
    specialists: Sequence[Mapping[str, Any]] = (),
    scripts: Sequence[str] = (),
    **config: Any,
) -> dict[str, Any]:
    given = {"tools": [*scripts, *servers], **config}
    definition = graphs.agent(graphs.plan(*turns, DONE), *specialists, **given)
    definition["tool_definitions"] = [{"name": name, "runtime": {"script": name}} for name in scripts] + [
        {"name": name, "mcp": {"url": f"http://{name}.example.com/mcp", **more}} for name, more in servers.items()
    ]
    return definition


GATES = {
    "the server's name": ({"bank": True}, ["pay", "refund"]),
    "a tool's name": ({"pay": True}, ["pay"]),
    "the server's name, save one": ({"refund": False, "bank": True}, ["pay"]),
    "one, whatever the server's name says": ({"pay": {"allowed_decisions": ["reject"]}, "bank": False}, ["pay"]),
}


@pytest.mark.parametrize(("gates", "stopped"), GATES.values(), ids=GATES)
async def test_a_call_waits_that_is_named_by(gates: dict[str, Any], stopped: list[str]) -> None:
    for name in ("pay", "refund"):
        bench = Servers(bank=["pay", "refund"])
        turn = graphs.calls(graphs.call(name, amount=1))
        outcome = await bench.run(agent({"bank": {}}, turn, interrupt_on=gates))

        kind = streaming.Interrupted if name in stopped else streaming.Finished
        assert (type(outcome), bench.called) == (kind, [] if name in stopped else [name])


async def test_a_specialist_waits_for_the_orchestrators_sake() -> None:
    bench = Servers(bank=["pay"])
    specialist = {"id": "clerk", "model": graphs.plan(PAY, DONE), "tools": ["bank"]}
    turn = graphs.calls(graphs.call("task", description="Pay.", subagent_type="clerk"))
    definition = agent({"bank": {}}, turn, specialists=[specialist], tools=[], interrupt_on={"bank": True})

    assert (type(await bench.run(definition)), bench.called) == (streaming.Interrupted, [])


async def test_the_start_of_a_call_is_told_with_what_the_model_gave() -> None:
    bench = Servers(bank=["pay"])
    await bench.run(agent({"bank": {}}, PAY))

    assert [told["input"] for told in bench.seen("on_tool_start")] == [{"amount": 1}]


CLERK = {"id": "clerk", "tools": [], "interrupt_on": {"bank": True}}


def twice(**more: Any) -> dict[str, Any]:
    return agent({"bank": {}, "shop": {}}, **more)


NAMES = {"bank": ["pay"], "shop": ["pay", "buy"], "files": ["write_file"], "team": ["task"], "none": []}
WITHOUT = "has the name of a built-in tool, and `tools` without it would be right"
ONE = "as 'bank' has; one would be right"
HAVE = "is no tool that this agent has, and a tool or a tool server of it would be right"
REFUSED = {
    "a gate that is no tool": (
        agent({"bank": {}}, interrupt_on={"pya": True}),
        f"nodes[0].config.interrupt_on: 'pya' {HAVE}",
    ),
    "a gate of a server without tools": (
        agent({"none": {}}, interrupt_on={"none": True}),
        f"nodes[0].config.interrupt_on: 'none' {HAVE}",
    ),
    "a gate of a tool that was left out": (
        agent({"shop": {"tools": ["buy"]}}, interrupt_on={"pay": True}),
        f"nodes[0].config.interrupt_on: 'pay' {HAVE}",
    ),
    "a gate of a tool that another agent has": (
        agent({"bank": {}}, specialists=[CLERK]),
        f"nodes[1].config.interrupt_on: 'bank' {HAVE}",
    ),
    "a tool in the place of a file tool": (
        agent({"files": {}}),
        f"tool_definitions[0].mcp: its tool 'write_file' {WITHOUT}",
    ),
    "a tool in the place of sub-agents": (
        agent({"team": {"tools": ["task"]}}),
        f"tool_definitions[0].mcp: its tool 'task' {WITHOUT}",
    ),
    "a tool in the place of a script": (
        agent({"bank": {}}, scripts=["pay"]),
        "nodes[0].config.tools[1]: 'bank' has a tool 'pay', as 'pay' has; one would be right",
    ),
    "a tool in the place of another server's": (
        twice(),
        f"nodes[0].config.tools[1]: 'shop' has a tool 'pay', {ONE}",
    ),
}


@pytest.mark.parametrize(("definition", "why"), REFUSED.values(), ids=REFUSED)
async def test_refused_is(definition: dict[str, Any], why: str) -> None:
    with pytest.raises(PermanentError) as refused:
        await Servers(**NAMES).builder.build(definition)

    assert (refused.value.type, refused.value.message) == ("invalid_definition", why)


ALLOWED = {
    "a file tool that the author has named": agent({"files": {"tools": ["write_file"]}}),
    "the same name at two agents": twice(tools=["bank"], specialists=[{"id": "buyer", "tools": ["shop"]}]),
    "a server that two agents have, and one twice": twice(
        tools=["bank", "bank"], specialists=[{"id": "clerk", "tools": ["bank"]}]
    ),
    "a gate of a built-in tool": agent({"bank": {}}, interrupt_on={"write_file": True}),
    "a gate of what a specialist has, with gates of its own": agent(
        {"bank": {}}, tools=[], specialists=[{**CLERK, "tools": ["bank"]}], interrupt_on={"pay": True}
    ),
    "a gate of a specialist's script": agent(
        {"bank": {}},
        scripts=["look"],
        tools=["bank"],
        specialists=[{"id": "seer", "tools": ["look"]}],
        interrupt_on={"look": True},
    ),
}


@pytest.mark.parametrize("definition", ALLOWED.values(), ids=ALLOWED)
async def test_allowed_is(definition: dict[str, Any]) -> None:
    await Servers(**NAMES).builder.build(definition)
