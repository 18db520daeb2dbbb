"""What a tool script may count on, and what its runner leaves behind: nothing."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Content, Limits, ToolSpec, Update

IMPORTS = """
from typing import Annotated, TypedDict
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, ToolException, tool
from langchain.tools import InjectedState, ToolRuntime
from langgraph.types import Command
"""
STATE = {
    "messages": [
        HumanMessage("hi", id="m1"),
        AIMessage("", id="m2", tool_calls=[{"name": "t", "args": {}, "id": "c1"}]),
    ],
    "files": {"/a.txt": {"content": ["one", "two"], "created_at": "then", "modified_at": "now"}},
    "score": 3,
}


pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),  # a template takes a second to start: one for all of them
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ToolRunner]:
    base = tmp_path_factory.mktemp("tools")
    runner = ToolRunner(replace(Limits(), wall_seconds=20.0), base)
    yield runner
    await runner.close()
    assert list(base.iterdir()) == []


def script(signature: str, body: str, decorator: str = "@tool") -> str:
    return f'{IMPORTS}\n{decorator}\n{signature}\n    """Do it."""\n    {body}\n'


async def call(
    runner: ToolRunner, source: str, args: dict[str, Any] | None = None, state: dict[str, Any] = STATE
) -> Any:
    return await runner.call(source, args or {}, job_id="job", tool_call_id="c1", state=state)


WORKING = {
    "a plain tool": ("def t(x: int) -> str:", "return f'{x + 1}'", {"x": 1}, Content("2")),
    "an async tool": (
        "async def t(x: int) -> str:",
        "import asyncio; await asyncio.sleep(0); return str(x)",
        {"x": 1},
        Content("1"),
    ),
    "a result that is no text": ("def t():", "return {'a': [1, None]}", {}, Content('{"a": [1, null]}')),
    "content blocks": (
        "def t():",
        "return [{'type': 'text', 'text': 'x'}]",
        {},
        Content([{"type": "text", "text": "x"}]),
    ),
    "a ToolMessage": (
        "def t(i: Annotated[str, InjectedToolCallId]):",
        "return ToolMessage('m', tool_call_id=i, status='error')",
        {},
        Content("m", "error"),
    ),
    "typing.TypedDict in an annotation": (
        "def t(p: TypedDict('P', {'a': int})) -> str:",
        "return str(p['a'])",
        {"p": {"a": 4}},
        Content("4"),
    ),
    "files as lists of lines": (
        "def t(files: Annotated[dict, InjectedState('files')]) -> str:",
        "return '+'.join(files['/a.txt']['content'])",
        {},
        Content("one+two"),
    ),
    "a field of the state that nobody has written": (
        "def t(todo: Annotated[list, InjectedState('todos')]) -> str:",
        "return str(todo)",
        {},
        Content("[]"),
    ),
    "the whole state": (
        "def t(state: Annotated[dict, InjectedState]) -> str:",
        "first, second = state['messages']; return f'{state[\"score\"]} {second.tool_calls} {type(first).__name__}'",
        {},
        Content("3 [{'name': 't', 'args': {}, 'id': 'c1', 'type': 'tool_call'}] HumanMessage"),
    ),
    "a ToolRuntime": (
        "def t(x: int, runtime: ToolRuntime) -> str:",
        "return ' '.join([str(x), runtime.tool_call_id, *runtime.config['configurable'].values()])",
        {"x": 1},
        Content("1 c1 job"),
    ),
    "a Command": (
        "def t(runtime: ToolRuntime):",
        "return Command(update={'score': 4, 'files': {'/b': {'content': ['x']}}})",
        {},
        Update({"score": 4, "files": {"/b": {"content": ["x"]}}}),
    ),
    "a Command with its message": (
        "def t(i: Annotated[str, InjectedToolCallId]):",
        "return Command(update={'messages': [ToolMessage('ok', tool_call_id=i, id='m3')]})",
        {},
        Update({"messages": [ToolMessage("ok", tool_call_id="c1", id="m3")]}),
    ),
    "a Command with pairs": ("def t():", "return Command(update=[('score', 5)])", {}, Update({"score": 5})),
    "keys that look like ours": (
        "def t():",
        "return Command(update={'score': {'$message': 1, '$dict': 2}})",
        {},
        Update({"score": {"$message": 1, "$dict": 2}}),
    ),
    "numbers that JSON does not have": (
        "def t():",
        "return Command(update={'score': [float('nan'), 2 ** 70, {1, 1}, b'x']})",
        {},
        Update({"score": [None, 2**70, [1], "b'x'"]}),
    ),
    "copies of files": (
        "def t() -> str:",
        "import shutil; open('a', 'w').write('x'); shutil.copy('a', 'b'); return open(shutil.copy2('b', 'c')).read()",
        {},
        Content("x"),
    ),
    "the time in a zone": (
        "def t() -> str:",
        "import zoneinfo; return str(zoneinfo.ZoneInfo('Europe/Berlin'))",
        {},
        Content("Europe/Berlin"),
    ),
    "a file of its own": (
        "def t() -> str:",
        "import tempfile; tempfile.mkstemp(); open('own.txt', 'w').write('kept'); return open('own.txt').read()",
        {},
        Content("kept"),
    ),
}
FAILING = {
    "arguments that do not fit": (
        "def t(x: int) -> str:",
        "return ''",
        {"x": "y"},
        "x\n  Input should be a valid integer",
    ),
    "an exception": (
        "def t() -> str:",
        "return {}['missing']",
        {},
        "KeyError: 'missing'\n  line 11, in t: return {}['missing']",
    ),
    "a ToolException": ("def t() -> str:", "raise ToolException('no')", {}, "ToolException: no"),
    "a Command that goes elsewhere": ("def t():", "return Command(goto='x')", {}, "only `update` would be right"),
    "a Command with no map": ("def t():", "return Command(update=3)", {}, "not a dict of state fields"),
}


@pytest.mark.parametrize(("signature", "body", "args", "wanted"), WORKING.values(), ids=WORKING)
async def test_a_script_may_use(
    runner: ToolRunner, signature: str, body: str, args: dict[str, Any], wanted: Any
) -> None:
    assert await call(runner, script(signature, body), args) == wanted


@pytest.mark.parametrize(("signature", "body", "args", "wanted"), FAILING.values(), ids=FAILING)
async def test_the_model_is_told_of(
    runner: ToolRunner, signature: str, body: str, args: dict[str, Any], wanted: str
) -> None:
    answer = await call(runner, script(signature, body), args)

    assert isinstance(answer, Content)
    assert (answer.status, answer.content.startswith("The tool failed: ")) == ("error", True)
    assert wanted in answer.content
    assert "agent_executor" not in answer.content


async def test_a_script_is_described_without_what_is_injected(runner: ToolRunner) -> None:
    source = script("def t(x: int, files: Annotated[dict, InjectedState('files')], n: str = 'a') -> str:", "return ''")

    assert await runner.describe(source, where="here") == ToolSpec(
        name="t",
        description="Do it.",
        args_schema={
            "description": "Do it.",
            "properties": {
                "x": {"title": "X", "type": "integer"},
                "n": {"default": "a", "title": "N", "type": "string"},
            },
            "required": ["x"],
            "title": "t",
            "type": "object",
        },
        state_fields=frozenset({"files"}),
    )


@pytest.mark.parametrize(
    ("signature", "wanted"),
    [
        ("def t() -> str:", frozenset()),
        ("def t(runtime: ToolRuntime) -> str:", None),
        ("def t(state: Annotated[dict, InjectedState]) -> str:", None),
        ("def t(state: Annotated[dict, InjectedState()], f: Annotated[dict, InjectedState('files')]) -> str:", None),
        ("def t(i: Annotated[str, InjectedToolCallId]) -> str:", frozenset()),
    ],
)
async def test_a_script_says_what_it_reads(runner: ToolRunner, signature: str, wanted: Any) -> None:
    spec = await runner.describe(script(signature, "return ''"), where="here")

    assert (spec.state_fields, spec.args_schema["properties"]) == (wanted, {})


async def test_postponed_annotations_and_a_name_of_its_own(runner: ToolRunner) -> None:
    body = "return str(runtime.state['score'] + p['n'])"
    source = "from __future__ import annotations\n" + script(
        "def t(p: P, runtime: ToolRuntime) -> str:",
        body,
        "class P(TypedDict):\n    n: int\n@tool('other', return_direct=True)",
    )

    spec = await runner.describe(source, where="here")

    assert (spec.name, spec.return_direct, list(spec.args_schema["properties"])) == ("other", True, ["p"])
    assert await call(runner, source, {"p": {"n": 1}}) == Content("4")


BOMB = """
DEFINITIONS = {
    f"a{i}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/a{i + 1}"} for side in "xy"}} for i in range(18)
}
SCHEMA = {
    "type": "object", "title": "t", "description": "d", "properties": {"q": {"$ref": "#/$defs/a0"}},
    "$defs": {**DEFINITIONS, "a18": {"type": "string"}},
}
@tool(args_schema=SCHEMA)"""


async def test_a_schema_that_means_a_huge_one_is_refused_with_the_path_and_the_tool(runner: ToolRunner) -> None:
    source = script("def t(q):", "return ''", BOMB)

    with pytest.raises(PermanentError) as refused:
        await runner.describe(source, where="tools[1]")

    why = "with its references replaced it has more than 10000 values"
    assert refused.value.message == f"tools[1]: the JSON schema of the tool 't' cannot be used: {why}"


async def test_a_schema_is_described_without_references(runner: ToolRunner) -> None:
    declared = "class P(TypedDict):\n    n: int\n@tool"
    spec = await runner.describe(script("def t(a: P, b: list[P]) -> str:", "return ''", declared), where="here")

    assert "$" not in str(spec.args_schema)
    assert spec.args_schema["properties"]["b"]["items"] == spec.args_schema["properties"]["a"]


async def test_two_tools_in_one_script_are_refused_with_the_path(runner: ToolRunner) -> None:
    source = script("def a():", "pass") + script("def b():", "pass")

    with pytest.raises(PermanentError, match=r"tools\[1\]: the script defines 2 tools, and exactly one"):
        await runner.describe(source, where="tools[1]")


MANY = r"""import os
    body = b'{"update":{"log":[' + b'[],' * 1_390_000 + b'[]]}}'
    frame = memoryview(len(body).to_bytes(4, "big") + body)
    while frame: frame = frame[os.write(3, frame[:65536]) :]"""


async def test_an_answer_that_would_take_much_memory_is_refused_as_a_large_one_is(runner: ToolRunner) -> None:
    answer = await call(runner, script("def t() -> str:", MANY))

    why = "its answer has more values than a tool may return: they would take more than 33554432 bytes"
    assert answer == Content(f"The tool failed: {why}", "error")


async def test_one_call_sees_nothing_of_another(runner: ToolRunner) -> None:
    source = script("def t() -> str:", "seen.append(1); return str(len(seen))", "seen = []\n@tool")

    assert [await call(runner, source) for _ in range(3)] == [Content("1")] * 3


async def test_a_job_has_only_so_many_calls_at_a_time_and_no_job_waits_for_another(tmp_path: Path) -> None:
    runner = ToolRunner(replace(Limits(), wall_seconds=30.0, calls_per_job=2), tmp_path, most=9)
    slow = script("def t():", "import time; time.sleep(30)")
    quick = script("def t() -> str:", "return 'x'")
    try:
        calls = [asyncio.create_task(call(runner, slow)) for _ in range(4)]
        other = await runner.call(quick, {}, job_id="other", tool_call_id="c", state={})
        running = [each for each in workers(runner) if each.status() != psutil.STATUS_ZOMBIE]
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await runner.close()
    assert other == Content("x")
    assert len(running) <= 3  # two calls, and one that waits for the next
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_call_leaves_no_process(runner: ToolRunner) -> None:
    task = asyncio.create_task(call(runner, script("def t():", "import time; time.sleep(60)")))
    await until(lambda: len(workers(runner)) >= 2)  # its own, and the one that waits for the next call

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: len(workers(runner)) == 1)


async def test_a_template_that_was_killed_is_started_again(runner: ToolRunner) -> None:
    source = script("def t() -> str:", "return 'x'")
    assert await call(runner, source) == Content("x")
    template = psutil.Process(workers(runner)[0].ppid())

    template.kill()
    await until(lambda: not template.is_running() or template.status() == psutil.STATUS_ZOMBIE)

    for _ in range(2):  # whoever holds a worker at that moment is told to try again
        with contextlib.suppress(TemporaryError):
            assert await call(runner, source) == Content("x")
            return
    pytest.fail("no call worked")


async def test_a_machine_that_gives_no_worker_is_trouble_for_a_while(tmp_path: Path) -> None:
    runner = ToolRunner(Limits(), tmp_path / "missing")
    try:
        with pytest.raises(TemporaryError, match=r"no tool worker could be started: .*No such file"):
            await call(runner, script("def t() -> str:", "return 'x'"))
        (tmp_path / "missing").mkdir()
        assert await call(runner, script("def t() -> str:", "return 'x'")) == Content("x")
    finally:
        await runner.close()


async def test_a_closed_runner_leaves_no_process(tmp_path: Path) -> None:
    runner = ToolRunner(Limits(), tmp_path)
    await call(runner, script("def t() -> str:", "return 'x'"))

    processes = [psutil.Process(workers(runner)[0].ppid()), *workers(runner)]
    await runner.close()

    assert [each for each in processes if each.is_running()] == []
    assert list(tmp_path.iterdir()) == []


SERVICE = """
import asyncio, sys
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
script = sys.stdin.read()
asyncio.run(ToolRunner(Limits()).call(script, {}, job_id="j", tool_call_id="c", state={}))
"""


async def test_a_service_that_is_killed_takes_its_workers_along(tmp_path: Path) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdin=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert service.stdin is not None
    service.stdin.write(script("def t():", "import time; time.sleep(60)").encode())
    service.stdin.close()
    # The template, the worker of the call, and the one that waits for the next.
    await until(lambda: len(psutil.Process(service.pid).children(recursive=True)) == 3)
    family = psutil.Process(service.pid).children(recursive=True)

    service.kill()
    await service.wait()

    await until(lambda: not any(each.is_running() for each in family))


def workers(runner: ToolRunner) -> list[psutil.Process]:
    """Processes that the runner's template forked."""
    template = runner._pool._template
    return psutil.Process(template.pid).children() if template else []


async def until(condition: Any) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.02)
