"""Our graphs on our saver: what a run leaves in PostgreSQL is enough for another process to go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent_executor.core import streaming
from agent_executor.core.builder import Builder
from agent_executor.core.streaming import Drained
from agent_executor.errors import PermanentError
from agent_executor.services import database
from agent_executor.services.checkpoints import Saver
from agent_executor.services.tools.specs import Update
from tests.support import graphs
from tests.support.graphs import Bench, FakeTools
from tests.support.servers import Database

TASK = graphs.call("task", description="Look.", subagent_type="scout")
LS = graphs.calls(graphs.call("ls", path="/"))
SLOW = {**LS, "delay_ms": 40}


@asynccontextmanager
async def process(migrated: Database, tools: Any = None, **more: Any) -> AsyncIterator[Bench]:
    """A bench as a process of its own would have it: fresh pool, saver, builder."""
    async with database.pool(migrated.dsn, schema="agent_executor", size=4) as pool:
        table = Bench(tools=tools or FakeTools(), **more)
        saver = Saver(pool)
        table.builder = Builder(table.settings, lambda: saver, table.tools)
        yield table


async def test_a_job_with_sub_agents_files_and_fields_ends_the_same_as_in_memory(migrated: Database) -> None:
    write = graphs.call("write_file", file_path="/a.txt", content="one\ntwo")
    scout = {"id": "scout", "model": graphs.plan(graphs.calls(write), {"text": "Found."})}
    definition = graphs.agent(
        graphs.plan(graphs.calls(TASK, TASK), {"text": "Done."}),
        scout,
        state_schema={"notes": {"type": "list", "reducer": "add_messages"}},
    )
    payload = {"messages": "Go.", "notes": ["n"], "files": {"/b": ["b"]}}
    async with process(migrated) as table:
        stored = await table.result(definition, payload)
    memory = await Bench().result(definition, payload)
    assert shape(stored) == shape(memory)
    assert stored["notes"] == ["n"]


def shape(result: dict[str, Any]) -> Any:
    """A result without ids and times."""
    messages = [(m["role"], m["content"], [c["name"] for c in m.get("tool_calls", [])]) for m in result["messages"]]
    files = {path: file["content"] for path, file in result["files"].items()}
    return {**result, "messages": messages, "files": files}


async def test_another_process_goes_on_inside_a_sub_agent(migrated: Database) -> None:
    scout = {"id": "scout", "model": graphs.plan(*[SLOW] * 6, {"text": "Found."})}
    definition = graphs.agent(graphs.plan(graphs.calls(TASK), {"text": "Done."}), scout)
    async with process(migrated) as first:
        run = asyncio.create_task(first.run(definition))
        while len(first.seen("on_tool_end")) < 2 and not run.done():
            await asyncio.sleep(0.005)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    async with process(migrated) as second:
        result = await second.result(definition, None)
        done = [end["name"] for table in (first, second) for end in table.seen("on_tool_end")]
    assert result["output"] == "Done."
    # The step in hand may run twice, a finished one never.
    assert 6 <= done.count("ls") <= 7
    assert [message["role"] for message in result["messages"]] == ["user", "assistant", "tool", "assistant"]


async def test_a_drained_job_is_handed_over_with_its_counts(migrated: Database) -> None:
    definition = graphs.agent(graphs.plan(*[SLOW] * 5, {"text": "Done."}))
    async with process(migrated) as first:
        control = streaming.control()
        run = asyncio.create_task(first.run(definition, control=control))
        while not first.seen("on_tool_end") and not run.done():
            await asyncio.sleep(0.005)
        control.request_drain()
        assert isinstance(await run, Drained)
    async with process(migrated) as second:
        assert (await second.result(definition, None))["output"] == "Done."
        assert second.context is not None
        assert (second.context.usage.model_calls, second.context.usage.tool_calls) == (6, 5)


async def test_supersteps_count_over_processes(migrated: Database) -> None:
    definition = graphs.agent(graphs.plan(*[LS] * 20))
    for given in ("Go.", None, None):
        async with process(migrated, recursion=6) as table:
            with pytest.raises(PermanentError, match="more than 6 supersteps"):
                await table.run(definition, given)
    assert not table.seen("on_llm_stream")


async def test_what_postgresql_cannot_hold_does_not_fail_a_job(migrated: Database) -> None:
    odd = Update({"files": {"/\ud800": ["a\0b"]}, "notes": ["\0\udfff", 2**70, float("nan")]})
    definition = graphs.agent(
        graphs.plan(graphs.calls(graphs.call("odd", q="x\0")), {"text": "Do\0ne."}),
        scripts={"odd": "script"},
        state_schema={"notes": "list"},
    )
    async with process(migrated, FakeTools({"script": odd})) as table:
        result = await table.result(definition)
    assert result["output"] == "Do\ufffdne."
    assert result["notes"] == ["\ufffd\ufffd", str(2**70), None]
    assert result["files"]["/\ufffd"]["content"] == ["a\ufffdb"]
