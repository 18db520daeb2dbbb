"""From a definition to a graph: built once, kept, bounded; what cannot be built says where.

Tool scripts run in real workers.
"""

import asyncio
import gc
import os
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_executor.core.builder import MCP_SECONDS, Builder, _check_dependencies
from agent_executor.core.tools import scripted
from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models import bounds
from agent_executor.models.definition import digest, parse
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
from tests.support import graphs, llm_stub
from tests.support.graphs import Bench, FakeTools
from tests.support.llm_stub import Reply


def builder(tools: Any = None, *, kept: int = 8, **env: str) -> Builder:
    return Builder(graphs.configured(**env), lambda: None, tools or FakeTools(), kept=kept)


async def test_a_definition_is_built_once_whatever_the_order_of_its_keys() -> None:
    tools = FakeTools()
    one = builder(tools)
    definition = graphs.agent(graphs.ECHO, scripts={"look": "x"})
    turned = dict(reversed(definition.items()))
    first, second, third = await asyncio.gather(one.build(definition), one.build(definition), one.build(turned))
    assert first is second is third
    assert tools.described == ["tool_definitions[0].runtime.script"]


async def test_a_graph_that_is_used_without_asking_for_it_to_be_built_is_kept() -> None:
    one = builder(kept=2)
    often, seldom, new = (graphs.agent(graphs.plan({"text": text})) for text in ("often", "seldom", "new"))
    assert one.built(digest(often)) is None
    graph = await one.build(often)
    await one.build(seldom)
    assert one.built(digest(often)) is graph
    await one.build(new)
    assert one.built(digest(often)) is graph
    assert one.built(digest(seldom)) is None


async def test_only_the_last_definitions_are_kept() -> None:
    one = builder(kept=2)
    definitions = [graphs.agent(graphs.ECHO, system_prompt=f"{i}") for i in range(3)]
    built = [await one.build(definition) for definition in definitions]
    assert await one.build(definitions[2]) is built[2]
    assert await one.build(definitions[1]) is built[1]
    assert await one.build(definitions[0]) is not built[0]


async def test_large_graphs_take_the_place_of_many_small_ones() -> None:
    one = Builder(graphs.configured(), lambda: None, FakeTools(), kept_bytes=3_000_000)
    small = [graphs.agent(graphs.ECHO, system_prompt=f"{i}") for i in range(3)]
    built = [await one.build(definition) for definition in small]
    assert [one.built(digest(definition)) for definition in small] == built
    wide = graphs.agent(graphs.ECHO, *({"id": f"s{i}"} for i in range(12)))
    graph = await one.build(wide)
    assert [one.built(digest(definition)) for definition in small] == [None, None, built[2]]
    assert one.built(digest(wide)) is graph
    for heavy in (
        graphs.agent(graphs.ECHO, system_prompt="x" * 300_000),
        graphs.agent(graphs.ECHO, *({"id": f"s{i}"} for i in range(15))),
    ):
        graph = await one.build(heavy)  # alone above the bound, and kept until there is another
        assert one.built(digest(heavy)) is graph
        assert one.built(digest(small[2])) is None


LARGE: dict[str, tuple[dict[str, Any], float]] = {
    "one agent": (graphs.agent(graphs.ECHO), 0.2),
    "ten agents": (graphs.agent(graphs.ECHO, *({"id": f"s{i}"} for i in range(9))), 2),
    "fields": (graphs.agent(graphs.ECHO, {"id": "s"}, state_schema={f"f{i}": "any" for i in range(100)}), 0.7),
    "tools": (graphs.agent(graphs.ECHO, {"id": "s"}, scripts={f"t{i}": "x" for i in range(100)}), 0.7),
    "a text": (graphs.agent(graphs.ECHO, system_prompt="x" * 100_000), 1.2),
}


@pytest.mark.parametrize(("definition", "megabytes"), LARGE.values(), ids=LARGE.keys())
async def test_a_graph_weighs_about_what_it_takes(definition: dict[str, Any], megabytes: float) -> None:
    built = await builder()._build(definition)
    assert built.weight / 1e6 == pytest.approx(megabytes, rel=0.35)


async def test_a_tool_server_is_asked_again_after_some_minutes() -> None:
    now, asked = 1000.0, 0

    async def ask(*_: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        return []

    one = Builder(graphs.configured(), lambda: None, FakeTools(), mcp=ask, clock=lambda: now)
    served = graphs.agent(graphs.ECHO, tools=["shop"])
    served["tool_definitions"] = [{"name": "shop", "mcp": {"url": "https://mcp.example.com"}}]
    own = graphs.agent(graphs.ECHO, scripts={"look": "x"})
    graph, other = await one.build(served), await one.build(own)
    now += MCP_SECONDS - 1
    assert (one.built(digest(served)), await one.build(served), asked) == (graph, graph, 1)
    now += 1
    assert one.built(digest(served)) is None
    again = await one.build(served)
    assert (again is graph, one.built(digest(served)) is again, asked) == (False, True, 2)
    now += 30 * MCP_SECONDS
    assert await one.build(own) is other


async def test_a_failed_build_is_tried_again() -> None:
    class Moody(FakeTools):
        async def describe(self, script: str, *, where: str, **_: Any) -> Any:
            if not self.described:
                self.described.append(where)
                raise PermanentError("invalid_definition", f"{where}: not today")
            return await super().describe(script, where=where)

    one, definition = builder(Moody()), graphs.agent(graphs.ECHO, scripts={"look": "x"})
    with pytest.raises(PermanentError, match="not today"):
        await one.build(definition)
    await one.build(definition)


async def test_a_refused_definition_leaves_nothing_behind() -> None:
    class Own(dict[str, Any]):
        """A definition whose end can be seen."""

    gc.disable()  # what waits for a collection waits long: a list of a million entries is one object to it
    try:
        for faulty in (graphs.agent({"provider": "acme"}), graphs.agent(graphs.ECHO, tools=["http_request"])):
            one, definition = builder(), Own(faulty)
            seen = weakref.ref(definition)
            with pytest.raises(PermanentError):
                await one.build(definition)
            del definition
            await asyncio.sleep(0)  # the turn of the loop that told it holds it
            assert seen() is None
    finally:
        gc.enable()


async def test_one_cancelled_job_does_not_end_the_build_of_another() -> None:
    one, definition = builder(), graphs.agent(graphs.ECHO)
    impatient = asyncio.create_task(one.build(definition))
    patient = asyncio.create_task(one.build(definition))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is await one.build(definition)


class Endless(FakeTools):
    """A tool worker that never describes `stuck`; knows whether it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def describe(self, script: str, *, where: str, **_: Any) -> Any:
        spec = await super().describe(script, where=where)
        if script == "stuck":
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()
        return spec


async def test_a_build_ends_with_the_last_job_that_waits_for_it() -> None:
    tools = Endless()
    one, definition = builder(tools), graphs.agent(graphs.ECHO, scripts={"look": "stuck", "more": "x"})
    first, second = (asyncio.create_task(one.build(definition)) for _ in range(2))
    async with asyncio.timeout(10):
        await tools.begun.wait()
        first.cancel()
        await asyncio.wait([first])
        assert not tools.ended.is_set()
        second.cancel()
        await tools.ended.wait()
    assert tools.described == ["tool_definitions[0].runtime.script"]


async def test_a_job_that_comes_when_a_build_is_given_up_has_one_of_its_own() -> None:
    tools = Endless()
    one, definition = builder(tools), graphs.agent(graphs.ECHO, scripts={"look": "stuck"})
    gone = asyncio.create_task(one.build(definition))
    async with asyncio.timeout(10):
        await tools.begun.wait()
        tools.begun.clear()
        gone.cancel()
        await asyncio.wait([gone])
        come = asyncio.create_task(one.build(definition))
        await tools.begun.wait()
        come.cancel()
        await asyncio.wait([come])


async def test_a_build_that_takes_too_long_says_at_which_tool() -> None:
    definition = graphs.agent(graphs.ECHO, scripts={"look": "x", "more": "stuck"})
    tools = Endless()
    with pytest.raises(PermanentError) as refused:
        await Builder(graphs.configured(), lambda: None, tools, seconds=0.2).build(definition)
    assert (refused.value.type, refused.value.message) == (
        "limit_exceeded",
        "tool_definitions[1]: was not described yet when 0.2 s were over for all tools",
    )
    assert tools.ended.is_set()


class Busy(FakeTools):
    """Workers that others have for a while; then a description takes as long."""

    def __init__(self, waits: float, takes: float) -> None:
        super().__init__()
        self.waits, self.takes = waits, takes

    async def describe(self, script: str, *, where: str, waiting: Any = None) -> Any:
        with waiting():
            await asyncio.sleep(self.waits)
        await asyncio.sleep(self.takes)
        return await super().describe(script, where=where)


async def test_a_build_that_waits_too_long_for_others_is_tried_again() -> None:
    definition = graphs.agent(graphs.ECHO, scripts={"look": "x", "more": "x"})
    with pytest.raises(TemporaryError) as refused:
        await Builder(graphs.configured(), lambda: None, Busy(0.4, 0.01), seconds=0.6).build(definition)
    assert (refused.value.type, refused.value.message) == (
        "tool_worker",
        "tool_definitions[1]: no worker was free to describe it, waiting 0.6 s for all tools",
    )


async def test_waiting_takes_nothing_of_the_time_of_a_build_itself() -> None:
    definition = graphs.agent(graphs.ECHO, scripts={"look": "x", "more": "x"})
    await Builder(graphs.configured(), lambda: None, Busy(0.5, 0.5), seconds=1.6).build(definition)
    with pytest.raises(PermanentError, match=r"was not described yet when 0\.6 s were over"):
        await Builder(graphs.configured(), lambda: None, Busy(0.01, 0.4), seconds=0.6).build(definition)


class Wide(FakeTools):
    """Tools with a choice of thousands, as a line of script can have."""

    async def describe(self, script: str, **_: Any) -> Any:
        spec = await super().describe(script, where=script)
        return replace(spec, args_schema={"type": "object", "properties": {"a": {"enum": ["v"] * 6000}}})


async def test_tools_whose_arguments_are_too_much_together_are_refused_before_the_next_is_described() -> None:
    tools = Wide()
    definition = graphs.agent(graphs.ECHO, scripts={f"t{i}": "x" for i in range(200)})
    with pytest.raises(PermanentError) as refused:
        await builder(tools).build(definition)
    why = "with it the arguments of all tools have more than 20000 values in their schemas, and fewer would be right"
    assert (refused.value.type, refused.value.message) == ("invalid_definition", f"tool_definitions[3]: {why}")
    assert len(tools.described) == 4


async def test_the_tools_of_servers_count_too() -> None:
    async def ask(*_: Any) -> list[Any]:
        return [scripted("t", "x", await Wide().describe("x"), FakeTools())]

    servers = [{"name": f"s{i}", "mcp": {"url": f"https://{i}.example.com"}} for i in range(4)]
    definition = {**graphs.agent(graphs.ECHO), "tool_definitions": servers}
    with pytest.raises(PermanentError, match=r": tool_definitions\[3\]: with it .* more than 20000 values"):
        await Builder(graphs.configured(), lambda: None, FakeTools(), mcp=ask).build(definition)


def agent(**tool: Any) -> dict[str, Any]:
    definition = graphs.agent(graphs.ECHO, scripts={"look": "x"})
    definition["tool_definitions"][0] = {"name": "look", **tool}
    return definition


def needs(*dependencies: str) -> dict[str, Any]:
    return agent(runtime={"script": "x", "dependencies": list(dependencies)})


ABSENT = "is not installed here, and packages are not installed at run time"
CANNOT: list[tuple[str, Mapping[str, Any], dict[str, str], str]] = [
    (
        "a package that is not here",
        needs("langchain-core>=0.3", "pandas==2.2"),
        {},
        f"tool_definitions[0].runtime.dependencies[1]: 'pandas==2.2' {ABSENT}",
    ),
    (
        "an MCP server",
        agent(mcp={"url": "https://mcp.example.com"}),
        {},
        "tool_definitions[0].mcp: is not offered here, it needs MCP_ALLOWED_HOSTS",
    ),
    (
        "http_request",
        graphs.agent(graphs.ECHO, tools=["http_request"]),
        {},
        "nodes[0].config.tools: 'http_request' is not offered here, it needs HTTP_TOOL_ALLOWED_HOSTS",
    ),
    (
        "a scripted model in production",
        graphs.agent(graphs.ECHO),
        {"ALLOW_SCRIPTED_MODEL": "false"},
        "nodes[0].config.model.provider: 'scripted' is not offered here, it needs ALLOW_SCRIPTED_MODEL",
    ),
    (
        "a model without its key, on a specialist",
        graphs.agent(graphs.ECHO, {"id": "s", "model": "openai:gpt-x"}),
        {"OPENAI_API_KEY": ""},
        "nodes[1].config.model.provider: 'openai' is not offered here, it needs OPENAI_API_KEY",
    ),
]


@pytest.mark.parametrize(("definition", "env", "message"), [row[1:] for row in CANNOT], ids=[row[0] for row in CANNOT])
async def test_what_cannot_be_built_says_where(definition: Any, env: dict[str, str], message: str) -> None:
    with pytest.raises(PermanentError) as refused:
        await builder(**env).build(definition)
    assert (refused.value.type, refused.value.message) == ("invalid_definition", message)


async def test_what_the_libraries_refuse_is_a_failed_job_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise ValueError("Channel name is reserved")

    monkeypatch.setattr("agent_executor.core.graph.compile_graph", refuse)
    with pytest.raises(PermanentError, match="agent_definition: cannot be built: ValueError: Channel name is reserved"):
        await builder().build(graphs.agent(graphs.ECHO))


INSTALLED = ["langchain", "langchain_core", "langchain-core>=0.3,<2", "pydantic[email]", "typing", "os.path"]


@pytest.mark.parametrize("name", INSTALLED)
async def test_what_is_installed_may_be_needed(name: str) -> None:
    await builder().build(needs(name))


async def test_thousands_of_dependencies_do_not_take_long() -> None:
    definition = needs(*["PyYAML"] * bounds.DEPENDENCIES)
    (tool,) = definition["tool_definitions"]
    definition["tool_definitions"] = [tool, *({**tool, "name": f"look{i}"} for i in range(180))]
    checked = parse(definition).tool_definitions
    _check_dependencies(checked[:1])
    began = time.process_time()
    _check_dependencies(checked)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "no_such_package", "git+https://example.com/x", "-r other.txt", "a b"]
)
async def test_what_is_not_a_package_here_is_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="is not installed here"):
        await builder().build(needs(name))


async def test_the_program_itself_is_not_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as where `agent-executor` is the command
    with pytest.raises(PermanentError, match="is not installed here"):
        await builder().build(needs("__main__"))


def test_what_serves_before_the_first_job_is_cheap_to_import() -> None:
    program = (
        "import sys, agent_executor.api.main, agent_executor.core.streaming, agent_executor.core.state;"
        "print([n for n in ('langchain_core', 'langgraph', 'deepagents', 'langsmith') if n in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_no_prompt_goes_to_langsmith_whatever_the_environment_says() -> None:
    program = (
        "import agent_executor.core.graph; from langsmith.utils import tracing_is_enabled; print(tracing_is_enabled())"
    )
    on = {**os.environ, "LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_API_KEY": "x"}
    done = subprocess.run([sys.executable, "-c", program], env=on, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


NOTE = '''
from typing import Annotated, TypedDict
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain.tools import InjectedState, ToolRuntime
from langgraph.types import Command

class Note(TypedDict):
    title: str
    lines: list[str]

@tool
def note(note: Note, files: Annotated[dict, InjectedState("files")], runtime: ToolRuntime) -> Command:
    """Write a note under the others."""
    old = files.get("/notes.md", {"content": []})["content"]
    return Command(update={"files": {"/notes.md": {"content": old + [note["title"], *note["lines"]]}}})
'''
SPEECH = '''
from langchain_core.tools import tool

@tool
async def count(text: str, times: int = 1) -> str:
    """Count the words."""
    if times < 1:
        raise ValueError("times must be at least 1")
    return str(len(text.split()) * times)
'''


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[ToolRunner]:
    runner = ToolRunner(Limits(), tmp_path)
    yield runner
    await runner.close()


async def test_a_script_with_all_the_contract_lists_runs_in_a_worker(workers: ToolRunner) -> None:
    say = {"title": "Now", "lines": ["a", "b"]}
    turn = graphs.calls(graphs.call("note", note=say))
    table = Bench(tools=workers)
    definition = graphs.agent(graphs.plan(turn, turn, {"text": "Noted."}), scripts={"note": NOTE})
    result = await table.result(definition, {"messages": "Go.", "files": {"/notes.md": ["First"]}})
    assert result["files"]["/notes.md"]["content"] == ["First", "Now", "a", "b", "Now", "a", "b"]
    assert [message["content"] for message in result["messages"] if message["role"] == "tool"] == ["done", "done"]
    assert result["output"] == "Noted."


async def test_what_a_script_does_wrong_is_told_to_the_model(workers: ToolRunner) -> None:
    wrong = graphs.calls(
        graphs.call("count", text="a b", times=0),
        graphs.call("count", times=1),
        graphs.call("count", text="a b c", times=2),
    )
    definition = graphs.agent(graphs.plan(wrong, {"text": "Done."}), scripts={"count": SPEECH})
    result = await Bench(tools=workers).result(definition)
    told = [message for message in result["messages"] if message["role"] == "tool"]
    assert [message["status"] for message in told] == ["error", "error", "success"]
    assert "times must be at least 1" in told[0]["content"]
    assert told[2]["content"] == "6"


async def test_a_script_needs_no_arguments(workers: ToolRunner) -> None:
    script = "from langchain_core.tools import tool\n\n@tool\ndef now() -> str:\n    'Now.'\n    return 'noon'\n"
    definition = graphs.agent(graphs.plan(graphs.calls(graphs.call("now")), {"text": "Done."}), scripts={"now": script})
    assert (await Bench(tools=workers).result(definition))["messages"][2]["content"] == "noon"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
async def test_a_model_sees_a_scripts_arguments_and_not_what_is_injected(workers: ToolRunner, provider: str) -> None:
    made = ("note", {"note": {"title": "a", "lines": ["b"]}})
    async with llm_stub.serve(Reply(calls=(made,)), Reply("Noted.")) as stub:
        urls = {"OPENAI_BASE_URL": stub.openai, "ANTHROPIC_BASE_URL": stub.anthropic, "OLLAMA_BASE_URL": stub.url}
        definition = graphs.agent({"provider": provider, "model": "stub-1"}, scripts={"note": NOTE})
        result = await Bench(env=urls, tools=workers).result(definition)
    offered = [tool.get("function", tool) for tool in stub.requests[0].body["tools"]]
    (note,) = [tool for tool in offered if tool["name"] == "note"]
    assert list((note.get("parameters") or note["input_schema"])["properties"]) == ["note"]
    assert result["files"]["/notes.md"]["content"] == ["a", "b"]


async def test_a_script_has_the_argument_that_the_libraries_call_theirs(workers: ToolRunner) -> None:
    script = SPEECH.replace("text: str", "runtime: str").replace("text.split", "runtime.split")
    turn = graphs.calls(graphs.call("count", runtime="a b", times=2))
    definition = graphs.agent(graphs.plan(turn, {"text": "Done."}), scripts={"count": script})
    assert (await Bench(tools=workers).result(definition))["messages"][2]["content"] == "4"


async def test_a_script_that_defines_no_tool_has_its_path(workers: ToolRunner) -> None:
    with pytest.raises(PermanentError) as refused:
        await builder(workers).build(graphs.agent(graphs.ECHO, scripts={"look": "x = 1"}))
    assert refused.value.message.startswith("tool_definitions[0].runtime.script: ")


async def test_a_script_may_replace_a_file_tool(workers: ToolRunner) -> None:
    script = SPEECH.replace("async def count", "async def write_file")
    definition = graphs.agent(
        graphs.plan(graphs.calls(graphs.call("write_file", text="a b")), {"text": "Done."}),
        scripts={"write_file": script},
    )
    result = await Bench(tools=workers).result(definition)
    assert result["messages"][2]["content"] == "2"
