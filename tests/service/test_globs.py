"""Patterns that would keep the process busy are refused, so that the model reads why; all others are matched."""

import time
from typing import Any

import pytest
from deepagents.backends.utils import compile_grep_include_glob
from langchain_core.tools import StructuredTool

from agent_executor.core import globs, streaming
from agent_executor.core.builder import Builder
from tests.support import graphs
from tests.support.graphs import Bench, FakeTools

DEEP = "/" + "a/" * 60 + "x"
DONE = {"text": "Done."}


async def answer(name: str, files: Any = None, scripts: Any = None, **args: Any) -> dict[str, Any]:
    turns = graphs.plan(graphs.calls(graphs.call(name, **args)), DONE)
    payload = {"messages": "Look.", "files": files or {}}
    result = await Bench(tools=FakeTools()).result(graphs.agent(turns, scripts=scripts), payload)
    message: dict[str, Any] = result["messages"][2]
    return message


@pytest.mark.parametrize("call", [("glob", "pattern"), ("grep", "glob")], ids=["glob", "grep"])
async def test_a_pattern_that_would_take_too_long_is_an_error_that_the_model_reads(call: tuple[str, str]) -> None:
    name, argument = call
    args = {"pattern": "x", argument: "**/a/" * 4 + "b"}
    message = await answer(name, {DEEP: "x"}, **args)
    assert (message["status"], message["content"]) == (
        "error",
        "Error: matching this glob pattern takes too long here. Use fewer ** in it, or an exact path.",
    )


CHANGES = [
    ({"name": "nope", "args": {}}, "Error: a person has changed this call to one of nope, which is no tool here."),
    ({"name": "glob", "args": {"pattern": "**/a/" * 4 + "b"}}, "Error: matching this glob pattern takes too long"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=["an unknown tool", "a slow pattern"])
async def test_what_a_person_makes_of_a_call_is_looked_at_too(change: dict[str, Any], said: str) -> None:
    turns = graphs.plan(graphs.calls(graphs.call("glob", pattern="*")), DONE)
    definition, table = graphs.agent(turns, interrupt_on={"glob": True}), Bench()
    asked = await table.run(definition, {"messages": "Look.", "files": {DEEP: "x"}})
    assert isinstance(asked, streaming.Interrupted)
    result = await table.result(
        definition, streaming.resume({"decisions": [{"type": "edit", "edited_action": change}]})
    )
    assert (result["messages"][2]["status"], said in result["messages"][2]["content"]) == ("error", True)


REFUSED = [
    ("**/a/" * 6 + "b", [DEEP]),
    ("{**/a/,}" * 6 + "b", [DEEP]),
    ("{*,a}{*,b}/" * 6 + "c", [DEEP]),
    ("a" * 201, []),
    ("{a,b}" * 7, []),
    ("{a,{b,c}" * 6, []),
    ("{1..1000}", []),
    ("**/a", ["/" * 5000]),
    ("**/**/a", ["/a/b/c/d/e/f.py" * 2] * 20_000),
    ("*", ["x" * 1000] * 30_000),
    ("**/{**/,a}*/{*,}*?*{a,b}**/**/{**/,a}*{*,}{a,b}*/b", ["a" * 60_000]),
]


@pytest.mark.parametrize(("pattern", "files"), REFUSED, ids=[pattern[:20] for pattern, _ in REFUSED])
def test_what_is_refused(pattern: str, files: list[str]) -> None:
    assert globs.refusal("glob", {"pattern": pattern}, files)
    assert globs.refusal("grep", {"pattern": "x", "glob": pattern}, files)


USUAL = ["*.py", "**/*.py", "/src/**/test_*.py", "src/**/a/**/*.{py,js,ts,md}", "**", "{a,b}/**/[a-z]*.txt", "*_*_*_*"]


@pytest.mark.parametrize("pattern", USUAL)
def test_usual_patterns_are_matched_in_a_thousand_files(pattern: str) -> None:
    files = [f"/srv/project/src/module_{i}/inner/test_something.py" for i in range(1000)]
    assert globs.refusal("glob", {"pattern": pattern}, files) is None


async def test_what_is_not_refused_is_found() -> None:
    message = await answer("glob", {"/src/a.py": "x", "/b.txt": "x"}, pattern="**/*.py")
    assert "/src/a.py" in message["content"]
    assert "/b.txt" not in message["content"]


async def test_more_matches_than_fit_into_memory_are_not_collected() -> None:
    message = await answer("grep", {"/a": "x"}, pattern="x", max_count=10**9)
    assert (message["status"], message["content"]) == ("error", "Error: max_count is 1000000000, and may be 10000.")
    assert (await answer("grep", {"/a": "x"}, pattern="x", max_count=10_000))["status"] == "success"


async def test_grep_searches_for_a_text_and_not_for_an_expression() -> None:
    assert "/a" not in (await answer("grep", {"/a": "aaaa"}, pattern="(a+)+$"))["content"]


async def test_a_script_of_the_name_takes_any_pattern() -> None:
    message = await answer("glob", {DEEP: "x"}, scripts={"glob": "script"}, q="", pattern="**/a/" * 4 + "b")
    assert message["content"] == "done"


FREE = [{"pattern": "x", "max_count": 50_000}, {"pattern": "x", "glob": "{1..9}.txt"}]


@pytest.mark.parametrize("args", FREE, ids=["many matches", "a range"])
@pytest.mark.parametrize("by", ["boss", "worker"])
async def test_a_tool_of_a_server_may_mean_something_else_by_the_name(args: dict[str, Any], by: str) -> None:
    async def grep(pattern: str, glob: str = "*", max_count: int = 10) -> str:
        """Search the server's own files."""
        return f"{pattern} {glob} {max_count}"

    async def ask(*_: Any) -> list[Any]:
        return [StructuredTool.from_function(coroutine=grep, name="grep")]

    turns = graphs.plan(graphs.calls(graphs.call("grep", **args)), DONE)
    task = graphs.plan(graphs.calls(graphs.call("task", description="Go.", subagent_type="worker")), DONE)
    worker = {"id": "worker", "name": "worker", "model": turns, "tools": ["srv"]}
    definition = graphs.agent(turns, tools=["srv"]) if by == "boss" else graphs.agent(task, worker)
    definition["tool_definitions"] = [{"name": "srv", "mcp": {"url": "https://mcp.example.com", "tools": ["grep"]}}]
    table = Bench()
    table.builder = Builder(table.settings, lambda: table.saver, FakeTools(), mcp=ask)
    await table.result(definition)
    (ended,) = [one for one in table.seen("on_tool_end") if one["name"] == "grep"]
    assert ended["status"] == "success", ended


WORST = [
    ("**/b", "/" * 4000),
    ("**/a/b", "a" + "/" * 4000),
    ("**/a/**/b", "a/" * 160),
    ("**/a/**/b", "a" + "/" * 260),
    ("**/*a*/" * 2 + "b", "aaaa/" * 100),
    ("*a" * 90 + "*b", "a" * 100_000),
    ("*?" * 90 + "*b", "a" * 100_000),
    ("{**/a,**/b}/{a,b,c}/d", "a/" * 60),
    ("*[a]*/*[!b]*/" * 7 + "b", "aaaaaaaaaaaaaaa/" * 14),
    ("**/a/" * 4 + "b", "a/" * 14),
]


@pytest.mark.parametrize(("pattern", "path"), WORST, ids=[pattern[:20] for pattern, _ in WORST])
def test_what_is_accepted_takes_as_long_as_was_told(pattern: str, path: str) -> None:
    assert globs.refusal("glob", {"pattern": pattern}, [path]) is None
    compile_grep_include_glob(pattern)
    began = time.process_time()
    compile_grep_include_glob(pattern)(path)
    assert time.process_time() - began < 2
