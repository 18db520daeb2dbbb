"""A run as live events: what clients see, in which order, and how a run ends."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent_executor.core import limits, state, streaming
from agent_executor.core.context import JobContext
from agent_executor.core.streaming import Drained, Finished, Interrupted
from agent_executor.errors import PermanentError
from agent_executor.services.tools.specs import Content, Update
from tests.support import graphs
from tests.support.graphs import Bench, FakeTools

WRITE = graphs.call("write_file", file_path="/a.txt", content="one\ntwo")
TASK = graphs.call("task", description="Look at it.", subagent_type="scout")
SCOUT = {"id": "scout", "model": graphs.ECHO}


async def test_a_run_is_told_in_order() -> None:
    table = Bench()
    definition = graphs.agent(graphs.plan(graphs.calls(WRITE, text="Writing now."), {"text": "All done."}))
    await table.run(definition)
    kinds = [kind for kind, _ in table.events]
    compact = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
    assert compact == [
        "on_state_update",
        "on_llm_stream",
        "on_state_update",
        "on_tool_start",
        "on_tool_end",
        "on_state_update",
        "on_llm_stream",
        "on_state_update",
    ]
    last = table.seen("on_state_update")[-1]
    assert last["files"]["/a.txt"]["content"] == ["one", "two"]
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "tool", "assistant"]
    json.dumps(table.events, allow_nan=False)


async def test_words_and_tool_calls_stream_as_they_come() -> None:
    table = Bench()
    await table.run(graphs.agent(graphs.plan(graphs.calls(WRITE, text="Writing now."), {"text": "All done."})))
    words = table.seen("on_llm_stream")
    assert "".join(chunk["content"] for chunk in words) == "Writing now.All done."
    pieces = [piece for chunk in words for piece in chunk["tool_call_chunks"]]
    assert (pieces[0]["name"], pieces[0]["id"]) == ("write_file", "call_0_0")
    assert json.loads("".join(piece["args"] for piece in pieces)) == WRITE["args"]
    assert {(chunk["agent"], chunk["node"], chunk["model"]) for chunk in words} == {("boss", "model", "plan")}


async def test_a_tool_is_told_at_its_start_and_end() -> None:
    table = Bench()
    await table.run(graphs.agent(graphs.plan(graphs.calls(WRITE), {"text": "Done."})))
    assert table.seen("on_tool_start") == [
        {"tool_call_id": "call_0_0", "name": "write_file", "agent": "boss", "input": WRITE["args"]}
    ]
    assert table.seen("on_tool_end") == [
        {
            "tool_call_id": "call_0_0",
            "name": "write_file",
            "agent": "boss",
            "output": "Updated file /a.txt",
            "status": "success",
        }
    ]


async def test_a_sub_agent_speaks_under_its_name_and_its_state_is_not_the_jobs() -> None:
    table = Bench()
    result = await table.result(graphs.agent(graphs.plan(graphs.calls(TASK), {"text": "Done."}), SCOUT))
    said = {chunk["agent"]: chunk["content"] for chunk in table.seen("on_llm_stream")}
    assert set(said) == {"boss", "scout"}
    assert all(update["messages"][0]["content"] == "Hello there" for update in table.seen("on_state_update"))
    assert [end["output"] for end in table.seen("on_tool_end")] == ["Look at it."]
    assert result["messages"][2]["content"] == "Look at it."


async def test_parallel_sub_agents_do_not_undo_each_others_files() -> None:
    edit_a = graphs.call("write_file", file_path="/a", content="a2")
    edit_b = graphs.call("write_file", file_path="/b", content="b2")
    names = {"left": edit_a, "right": edit_b}
    done = {"text": "Edited."}
    scouts = [{"id": name, "model": graphs.plan(graphs.calls(edit), done)} for name, edit in names.items()]
    tasks = [graphs.call("task", description="Go.", subagent_type=name) for name in names]
    definition = graphs.agent(graphs.plan(graphs.calls(*tasks), {"text": "Done."}), *scouts)
    result = await Bench().result(definition, {"messages": "Go.", "files": {"/a": ["a1"], "/b": ["b1"], "/c": ["c1"]}})
    assert {path: file["content"] for path, file in result["files"].items()} == {
        "/a": ["a2"],
        "/b": ["b2"],
        "/c": ["c1"],
    }


async def test_the_first_event_comes_at_once() -> None:
    table = Bench()
    definition = graphs.agent(graphs.ECHO)
    await table.run(definition)
    table.events.clear()
    graph = await table.builder.build(definition)
    took: list[float] = []
    from agent_executor.core import state

    for number in range(5):
        started, first = time.perf_counter(), []
        await streaming.run(
            graph,
            state.accept({"messages": "Hi"}),
            {"configurable": {"thread_id": f"quick-{number}"}},
            context=table.context,
            emit=lambda kind, data, first=first: first.append(time.perf_counter()),
        )
        took.append(first[0] - started)
    assert min(took) < 0.01


async def begun(table: Bench, definition: dict[str, Any]) -> streaming.Run:
    """A run of which all is done that comes before the first node."""
    run = streaming.Run(
        await table.builder.build(definition),
        state.accept({"messages": [{"role": "user", "content": "hello"}]}),
        {"configurable": {"thread_id": "job-1"}},
        context=JobContext("job-1", limits.of(table.settings)),
        emit=lambda kind, data: table.events.append((kind, data)),
    )
    await run.begin()
    return run


async def test_a_run_can_be_begun_ahead_without_a_node_or_an_event() -> None:
    nodes = []

    async def node(_: MessagesState) -> dict[str, Any]:
        nodes.append("ran")
        return {"messages": [AIMessageChunk(content="done")]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.set_entry_point("node")
    table = Bench()
    table.builder.build = lambda _: asyncio.sleep(0, graph.compile(checkpointer=table.saver))  # type: ignore[method-assign]
    run = await begun(table, {})
    assert (nodes, table.events) == ([], [])
    assert isinstance(await run.outcome(), Finished)
    assert nodes == ["ran"]
    assert [len(values["messages"]) for values in table.seen("on_state_update")] == [1, 2]


async def test_a_run_that_was_begun_tells_what_one_does_that_was_not() -> None:
    definition = graphs.agent(graphs.plan(graphs.calls(WRITE, text="Writing now."), {"text": "All done."}))
    ahead, plain = Bench(), Bench()
    await (await begun(ahead, definition)).outcome()
    await plain.run(definition, "hello")
    assert [kind for kind, _ in ahead.events] == [kind for kind, _ in plain.events]


async def test_a_run_that_was_begun_can_be_left_at_that() -> None:
    table = Bench()
    run = await begun(table, graphs.agent(graphs.ECHO))
    await run.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert isinstance(await table.run(graphs.agent(graphs.ECHO), None), Finished), "it went on where it had stopped"


async def test_a_drain_stops_at_a_superstep_and_another_run_goes_on() -> None:
    table = Bench()
    slow = {**graphs.calls(graphs.call("ls", path="/")), "delay_ms": 50}
    definition = graphs.agent(graphs.plan(slow, slow, slow, {"text": "Done."}))
    control = streaming.control()
    run = asyncio.create_task(table.run(definition, control=control))
    while not table.seen("on_tool_end") and not run.done():
        await asyncio.sleep(0.005)
    control.request_drain()
    assert isinstance(await run, Drained)
    assert len(table.seen("on_tool_end")) < 3
    result = await table.result(definition, None)
    assert result["output"] == "Done."
    assert [message["role"] for message in result["messages"]].count("tool") == 3


async def test_a_drain_stops_inside_a_sub_agent() -> None:
    table = Bench()
    slow = {**graphs.calls(graphs.call("ls", path="/")), "delay_ms": 50}
    scout = {"id": "scout", "model": graphs.plan(*[slow] * 5, {"text": "Found."})}
    definition = graphs.agent(graphs.plan(graphs.calls(TASK), {"text": "Done."}), scout)
    control = streaming.control()
    run = asyncio.create_task(table.run(definition, control=control))
    while not table.seen("on_tool_end") and not run.done():
        await asyncio.sleep(0.005)
    control.request_drain()
    assert isinstance(await run, Drained)
    before = len(table.seen("on_tool_end"))
    assert before < 5
    assert (await table.result(definition, None))["output"] == "Done."
    # The sub-agent went on from its own checkpoint: five looks and one task, none of them twice.
    ended = [end["name"] for end in table.seen("on_tool_end")]
    assert (ended.count("ls"), ended.count("task")) == (5, 1)


async def test_a_cancelled_run_goes_on_from_its_last_superstep() -> None:
    table = Bench()
    last = {"text": "Done.", "delay_ms": 300}
    definition = graphs.agent(graphs.plan(graphs.calls(WRITE), last))
    run = asyncio.create_task(table.run(definition))
    while len(table.seen("on_state_update")) < 3 and not run.done():
        await asyncio.sleep(0.005)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    first = len(table.seen("on_tool_start"))
    result = await table.result(definition, None)
    assert (result["output"], len(table.seen("on_tool_start")) - first) == ("Done.", 0)


async def test_a_finished_job_runs_nothing_again() -> None:
    table = Bench()
    definition = graphs.agent(graphs.ECHO)
    first = await table.result(definition)
    words = len(table.seen("on_llm_stream"))
    assert await table.result(definition, None) == first
    assert len(table.seen("on_llm_stream")) == words


async def test_a_call_that_waits_for_a_human_interrupts_and_an_answer_goes_on() -> None:
    table = Bench()
    definition = graphs.agent(
        graphs.plan(graphs.calls(WRITE), {"text": "Done."}),
        interrupt_on={"write_file": {"allowed_decisions": ["approve", "reject"]}},
    )
    outcome = await table.run(definition)
    assert isinstance(outcome, Interrupted)
    (waiting,) = outcome.payload
    assert waiting["value"]["action_requests"][0]["args"] == WRITE["args"]
    json.dumps(outcome.payload)
    assert isinstance(await table.run(definition, None), Interrupted)
    answered = await table.run(definition, streaming.resume({"decisions": [{"type": "approve"}]}))
    assert isinstance(answered, Finished)
    assert answered.values["files"]["/a.txt"]["content"] == "one\ntwo"


async def test_parallel_sub_agents_wait_together_and_are_answered_together() -> None:
    table = Bench()
    scout = {"id": "scout", "model": graphs.plan(graphs.calls(WRITE), {"text": "Found."})}
    boss = graphs.plan(graphs.calls(TASK, TASK), {"text": "Done."})
    definition = graphs.agent(boss, scout, interrupt_on={"write_file": True})
    outcome = await table.run(definition)
    assert isinstance(outcome, Interrupted)
    assert len({waiting["id"] for waiting in outcome.payload}) == 2
    assert "'" not in json.dumps(outcome.payload)
    answers = {waiting["id"]: {"decisions": [{"type": "approve"}]} for waiting in outcome.payload}
    assert isinstance(await table.run(definition, streaming.resume(answers)), Finished)
    states = [data["messages"] for data in table.seen("on_state_update")]
    assert all(states)


@pytest.mark.parametrize(
    ("own", "waits"),
    [({}, True), ({"ls": True}, True), ({"write_file": True}, True), ({"write_file": False}, False)],
    ids=["nothing", "another tool", "the same", "no waiting"],
)
async def test_what_waits_at_the_orchestrator_waits_at_a_specialist_that_says_nothing_else(
    own: dict[str, bool], waits: bool
) -> None:
    write = graphs.calls(graphs.call("write_file", file_path="/a", content="x"))
    scout = {"id": "scout", "model": graphs.plan(write, {"text": "Done."}), "interrupt_on": own}
    boss = graphs.plan(graphs.calls(TASK), {"text": "Done."})
    outcome = await Bench().run(graphs.agent(boss, scout, interrupt_on={"write_file": True}))
    assert isinstance(outcome, Interrupted) is waits


@pytest.mark.parametrize("last", ["asker", "doer"])
async def test_a_job_waits_for_a_person_also_when_another_sub_agent_comes_to_its_end(last: str) -> None:
    table, look = Bench(), graphs.calls(graphs.call("ls", path="/"))

    def sub_agent(name: str, path: str, **more: Any) -> dict[str, Any]:
        write = graphs.calls(graphs.call("write_file", file_path=path, content="x"))
        longer = [look] * 3 if name == last else []
        return {"id": name, "model": graphs.plan(*longer, write, {"text": f"{name} is done"}), **more}

    tasks = [graphs.call("task", description="go", subagent_type=name) for name in ("asker", "doer")]
    definition = graphs.agent(
        graphs.plan(graphs.calls(*tasks), {"text": "Done."}),
        sub_agent("asker", "/asked.txt", interrupt_on={"write_file": True}),
        sub_agent("doer", "/done.txt"),
    )
    outcome = await table.run(definition)
    assert isinstance(outcome, Interrupted)
    (waiting,) = outcome.payload
    assert waiting["value"]["action_requests"][0]["args"]["file_path"] == "/asked.txt"
    assert all(not data["files"] for data in table.seen("on_state_update")), "of a superstep that is not complete"
    answer = streaming.resume({waiting["id"]: {"decisions": [{"type": "approve"}]}})
    answered = await table.run(definition, answer)
    assert isinstance(answered, Finished)
    assert set(answered.values["files"]) == {"/asked.txt", "/done.txt"}


async def test_one_graph_serves_jobs_at_the_same_time_without_mixing_them() -> None:
    table = Bench()
    definition = graphs.agent(graphs.ECHO)
    results = await asyncio.gather(*[table.result(definition, f"I am {i}", job=f"job-{i}") for i in range(20)])
    assert [result["output"] for result in results] == [f"I am {i}" for i in range(20)]


SCRIPT = "the script of a tool"
LOOK = graphs.call("look", q="x")


def scripted(answer: Any, **schema: Any) -> tuple[Bench, dict[str, Any]]:
    table = Bench(tools=FakeTools({SCRIPT: answer}, wants=frozenset({"files"})))
    model = graphs.plan(graphs.calls(LOOK), {"text": "Done."})
    return table, graphs.agent(model, scripts={"look": SCRIPT}, state_schema=schema)


async def test_a_script_is_called_with_its_job_and_its_files() -> None:
    table, definition = scripted(Content("found"))
    result = await table.result(definition, {"messages": "Go.", "files": {"/a": ["one", "two"]}}, job="job-7")
    (asked,) = table.tools.asked
    assert (asked["job"], asked["args"], asked["call"]) == ("job-7", {"q": "x"}, "call_0_0")
    assert asked["state"]["files"]["/a"]["content"] == ["one", "two"]
    assert result["messages"][2]["content"] == "found"
    assert table.seen("on_tool_start")[0]["input"] == {"q": "x"}


async def test_a_scripts_arguments_may_have_any_name() -> None:
    given = {"config": {"a": 1}, "run_manager": "b", "callbacks": ["c"], "self": "d", "args": [1], "kwargs": {}}
    given |= {"runtime": "e", "state": "f", "store": "g", "tool_call_id": "h"}
    model = graphs.plan({"tool_calls": [{"name": "look", "args": given}]}, {"text": "Done."})
    table = Bench()
    result = await table.result(graphs.agent(model, scripts={"look": SCRIPT}))
    assert result["messages"][2]["status"] == "success"
    assert table.tools.asked[0]["args"] == given
    assert table.seen("on_tool_start")[0]["input"] == {
        k: given[k] for k in given if k not in ("run_manager", "callbacks")
    }


async def test_an_update_without_a_tool_message_gets_one() -> None:
    table, definition = scripted(Update({"files": {"/b": {"content": ["x", "y"]}}, "notes": "n"}), notes="str")
    result = await table.result(definition)
    assert result["files"]["/b"]["content"] == ["x", "y"]
    assert (result["notes"], result["messages"][2]["content"]) == ("n", "done")
    assert result["messages"][2]["tool_call_id"] == "call_0_0"


async def test_an_update_with_its_tool_message_keeps_it() -> None:
    message = {"role": "tool", "content": "written", "tool_call_id": "call_0_0"}
    table, definition = scripted(Update({"messages": [message]}))
    result = await table.result(definition)
    assert [m["content"] for m in result["messages"] if m["role"] == "tool"] == ["written"]


BAD_UPDATES: list[dict[str, Any]] = [
    {"messages": [5]},
    {"messages": [{"role": "alien", "content": "x"}]},
    {"files": {"/a": 5}},
    {"files": {"/a": {"content": [1]}}},
    {"files": ["x"]},
    {"files": "x"},
]


@pytest.mark.parametrize("update", BAD_UPDATES)
async def test_an_update_that_cannot_be_used_is_an_error_for_the_model(update: dict[str, Any]) -> None:
    table, definition = scripted(Update(update))
    result = await table.result(definition)
    assert (result["messages"][2]["status"], result["output"]) == ("error", "Done.")


async def test_an_update_cannot_touch_what_is_ours() -> None:
    table, definition = scripted(Update({"job_usage": {"model_calls": -50}, "jump_to": "end", "unknown": 1}))
    result = await table.result(definition)
    assert result["output"] == "Done."
    assert table.context is not None
    assert table.context.usage.model_calls == 2


async def test_a_failed_call_is_told_to_the_model() -> None:
    table, definition = scripted(Content("Traceback: no", status="error"))
    result = await table.result(definition)
    assert result["messages"][2]["status"] == "error"
    assert table.seen("on_tool_end")[0]["status"] == "error"


async def test_a_permanent_error_of_a_tool_ends_the_job_also_from_a_sub_agent() -> None:
    class Broken(FakeTools):
        async def call(self, *_: Any, **__: Any) -> Any:
            raise PermanentError("limit_exceeded", "tools: too many")

    scout = {"id": "scout", "model": graphs.plan(graphs.calls(LOOK))}
    definition = graphs.agent(graphs.plan(graphs.calls(TASK)), scout, scripts={"look": SCRIPT})
    with pytest.raises(PermanentError, match="tools: too many"):
        await Bench(tools=Broken()).run(definition)


def blocking(words: Iterator[str]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph whose one node blocks in a thread of its own, as nodes do that know no other way."""

    class Talker(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "talker"

        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            raise AssertionError("it is heard word by word")

        def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
            for word in words:
                yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    def node(messages: MessagesState) -> dict[str, Any]:
        return {"messages": [Talker().invoke(messages["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.set_entry_point("node")
    return graph.compile()


async def test_words_from_a_thread_are_told_in_the_loops_own() -> None:
    told: list[tuple[str, int]] = []
    await streaming.run(
        blocking(iter(["one ", "two"])),
        {"messages": [HumanMessage("hello")]},
        {},
        context=JobContext("job-1", limits.of(graphs.configured())),
        emit=lambda kind, data: told.append((f"{kind}:{data.get('content', '')}", threading.get_ident())),
    )
    assert [kind for kind, _ in told] == [
        "on_state_update:",
        "on_llm_stream:one ",
        "on_llm_stream:two",
        "on_state_update:",
    ]
    assert {thread for _, thread in told} == {threading.get_ident()}


async def test_what_a_thread_says_after_the_run_is_not_told() -> None:
    told: list[str] = []
    speaking, ended, silent = asyncio.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def words() -> Iterator[str]:
        yield "early"
        loop.call_soon_threadsafe(speaking.set)
        ended.wait(10)
        yield "late"
        loop.call_soon_threadsafe(silent.set)

    run = asyncio.create_task(
        streaming.run(
            blocking(words()),
            {"messages": [HumanMessage("hello")]},
            {},
            context=JobContext("job-1", limits.of(graphs.configured())),
            emit=lambda _, data: told.append(data.get("content", "")),
        )
    )
    async with asyncio.timeout(10):
        await speaking.wait()
        run.cancel()
        await asyncio.wait([run])
        ended.set()
        await silent.wait()
    assert told == ["", "early"]


async def test_a_fault_in_the_telling_is_the_runs_and_not_the_models(caplog: pytest.LogCaptureFixture) -> None:
    table = Bench()

    def emit(kind: str, _: dict[str, Any]) -> None:
        if kind == "on_llm_stream":
            raise ZeroDivisionError

    graph = await table.builder.build(graphs.agent(graphs.ECHO))
    with pytest.raises(ZeroDivisionError):
        await streaming.run(
            graph,
            state.accept({"messages": [{"role": "user", "content": "hello"}]}),
            {"configurable": {"thread_id": "job-1"}},
            context=JobContext("job-1", limits.of(table.settings)),
            emit=emit,
        )
    assert caplog.records == []
