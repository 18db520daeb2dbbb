"""What a job's state may weigh: over it a job fails at once, before what is too big is made."""

import contextvars
from typing import Any

import pytest
from deepagents.backends import state as backend
from langchain_core.messages import HumanMessage

from agent_executor.core import weight
from agent_executor.core.streaming import Finished
from agent_executor.errors import PermanentError
from agent_executor.services.tools.specs import Update
from tests.support import graphs
from tests.support.graphs import Bench, FakeTools

MOST = 400_000
DONE = {"text": "Done."}


def bench(**answers: Any) -> Bench:
    given = {name: Update(update) for name, update in answers.items()}
    return Bench(env={"JOB_MAX_STATE_BYTES": str(MOST)}, tools=FakeTools(given))


def write(path: str, size: int) -> dict[str, Any]:
    return graphs.call("write_file", file_path=path, content="x" * size)


def edit(path: str, old: str, new: str) -> dict[str, Any]:
    return graphs.call("edit_file", file_path=path, old_string=old, new_string=new, replace_all=True)


async def refused(table: Bench, definition: Any, given: Any = "Hello") -> None:
    with pytest.raises(PermanentError) as error:
        await table.run(definition, given)
    assert (error.value.type, error.value.message) == ("limit_exceeded", f"state: the job needs more than {MOST} bytes")


@pytest.mark.parametrize(
    ("path", "new"),
    [("/a", "b" * 900), ("/./a", "b" * 900), ("/a", "\n" * 20), ("/a", "\U0001f600" * 250)],
    ids=["long", "another name of the file", "lines", "wide"],
)
async def test_an_edit_that_would_be_too_big_is_never_made(
    monkeypatch: pytest.MonkeyPatch, path: str, new: str
) -> None:
    made = []
    monkeypatch.setattr(backend, "perform_string_replacement", lambda *given: made.append(given) or "Error: no")
    turns = [graphs.calls(write("/a", 500)), graphs.calls(edit(path, "x", new)), DONE]
    await refused(bench(), graphs.agent(graphs.plan(*turns)))
    assert not made


async def test_an_edit_of_one_place_that_is_there_many_times_makes_nothing() -> None:
    call = graphs.call("edit_file", file_path="/a", old_string="x", new_string="b" * 900)
    turns = [graphs.calls(write("/a", 500)), graphs.calls(call), DONE]
    result = await bench().result(graphs.agent(graphs.plan(*turns)))
    assert "appears 500 times" in result["messages"][4]["content"]
    assert result["files"]["/a"]["content"] == ["x" * 500]


@pytest.mark.slow
async def test_one_wide_character_widens_the_whole_file() -> None:
    turns = [graphs.calls(write("/a", 120_000)), DONE]
    grows = [turns[0], graphs.calls(edit("/a", "x" * 119_999, "\U0001f600" + "x" * 119_998)), DONE]
    assert isinstance(await bench().run(graphs.agent(graphs.plan(*turns))), Finished)
    await refused(bench(), graphs.agent(graphs.plan(*grows)))


async def test_an_edit_that_fits_is_made() -> None:
    turns = [graphs.calls(write("/a", 100)), graphs.calls(edit("/a", "x", "yy")), DONE]
    result = await bench().result(graphs.agent(graphs.plan(*turns)))
    assert result["files"]["/a"]["content"] == ["yy" * 100]


async def test_parallel_updates_count_together() -> None:
    log = {"log": {"type": "list", "reducer": "add_messages"}}
    one = graphs.call("look", q="1")

    def definition(calls: int) -> Any:
        turns = graphs.plan(graphs.calls(*[one] * calls), DONE)
        return graphs.agent(turns, scripts={"look": "script"}, state_schema=log)

    table = bench(script={"log": [[]] * 1000})
    assert len((await table.result(definition(2)))["log"]) == 2000
    await refused(bench(script={"log": [[]] * 1000}), definition(9))


@pytest.mark.slow
async def test_parallel_sub_agents_count_together() -> None:
    scout = {"id": "scout", "model": graphs.plan(graphs.calls(write("/a", 80_000)), DONE)}

    def boss(tasks: int) -> Any:
        task = graphs.call("task", description="Go.", subagent_type="scout")
        return graphs.agent(graphs.plan(graphs.calls(*[task] * tasks), DONE), scout)

    assert isinstance(await bench().run(boss(1)), Finished)
    await refused(bench(), boss(4))


async def test_what_sub_agents_were_given_counts_once() -> None:
    task = graphs.call("task", description="Go.", subagent_type="scout")
    scout = {"id": "scout", "model": graphs.ECHO}
    given = {"messages": "Go.", "files": {"/a": "x" * 150_000}}
    outcome = await bench().run(graphs.agent(graphs.plan(graphs.calls(*[task] * 4), DONE), scout), given)
    assert isinstance(outcome, Finished)


async def test_what_was_replaced_or_deleted_does_not_count() -> None:
    big, gone = {"log": ["x" * 150_000]}, {"log": []}
    script = {"big": Update(big), "gone": Update(gone)}
    table = Bench(env={"JOB_MAX_STATE_BYTES": str(MOST)}, tools=FakeTools(dict(script)))
    turns = [graphs.calls(graphs.call(name, q="1")) for name in ("make", "make", "clear") * 4]
    definition = graphs.agent(
        graphs.plan(*turns, DONE), scripts={"make": "big", "clear": "gone"}, state_schema={"log": {"type": "list"}}
    )
    assert isinstance(await table.run(definition), Finished)


async def test_an_input_counts() -> None:
    await refused(bench(), graphs.agent(graphs.ECHO), {"messages": "Go.", "files": {"/a": "\n" * 10_000}})


async def test_an_answer_counts() -> None:
    await refused(bench(), graphs.agent(graphs.plan({"text": "x" * MOST})))


async def test_a_script_of_a_file_tools_name_is_asked_whatever_it_is_given() -> None:
    edits = graphs.call("edit_file", file_path="/a", old_string="x", new_string="y" * 900, replace_all=True)
    turns = graphs.plan(graphs.calls(write("/a", 500)), graphs.calls({**edits}), DONE)
    tools = FakeTools()
    table = Bench(env={"JOB_MAX_STATE_BYTES": str(MOST)}, tools=tools)
    await table.run(graphs.agent(turns, scripts={"edit_file": "script"}))
    assert len(tools.asked) == 1


def test_a_value_weighs_what_is_in_it_and_is_weighed_no_further_than_it_may() -> None:
    assert weight.weight("x" * 1000, MOST) in range(1000, 1100)
    assert weight.weight("\n" * 1000, MOST) > 64_000
    assert weight.weight({"a" * 1000: ["b" * 1000, ({"c": b"d" * 1000},)]}, MOST) in range(3000, 4000)
    assert weight.weight(HumanMessage("x" * 1000), MOST) in range(1000, 4000)
    assert weight.weight([[] for _ in range(100_000)], 1_000_000) < 2_000_000


def test_of_sub_agents_that_hold_the_same_each_ends_by_itself() -> None:
    held = weight.Held()
    each = [(contextvars.copy_context(), held.delegated()) for _ in range(3)]
    for context, share in each:
        context.run(share.__enter__)
    first, middle, last = each
    first[0].run(held.add, MOST, MOST)
    last[0].run(last[1].__exit__, None, None, None)
    with pytest.raises(PermanentError):
        held.add(1, MOST)
    for context, share in (first, middle):
        context.run(share.__exit__, None, None, None)
    held.add(1, MOST)


def test_what_has_not_changed_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[Any] = []
    real = weight.weight
    monkeypatch.setattr(weight, "weight", lambda value, most: weighed.append(value) or real(value, most))
    held, one, two = weight.Held(), HumanMessage("1"), HumanMessage("2")
    values = {"messages": [one], "files": {"/a": {"content": "x"}}, "log": []}
    held.settle(values, MOST)
    del weighed[:]
    held.settle({**values, "messages": [one, two]}, MOST)
    assert weighed == [two]
