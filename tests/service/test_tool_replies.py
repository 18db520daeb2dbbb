"""What a script's answer does to the graph's state: it adds to the conversation, and takes nothing away."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.types import Command

from agent_executor.core.tools import reply
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Content, Limits, Update
from tests.support import graphs
from tests.support.graphs import Bench

ALL = "__remove_all__"
REMOVAL = {"id": ALL, "content": ""}
REMOVING: dict[str, Any] = {
    "an object": [RemoveMessage(id="m1")],
    "an object by itself": RemoveMessage(id="m1"),
    "a role": [{"role": "remove", **REMOVAL}],
    "a type": [{"type": "remove", **REMOVAL}],
    "a dict by itself": {"role": "remove", **REMOVAL},
    "a dict behind a message": ["hello", {"role": "remove", "content": "", "id": "m1"}],
    "a serialised object": [{"lc": 1, "type": "constructor", "id": ["messages", "RemoveMessage"], "kwargs": REMOVAL}],
}
OVERWRITING: dict[str, dict[str, Any]] = {
    "the files": {"files": {"__overwrite__": "x"}},
    "the to-dos": {"todos": {"__overwrite__": []}},
    "a field": {"notes": {"type": "__overwrite__", "value": []}},
}
WIPE = '''
from langchain_core.tools import tool
from langgraph.types import Command

@tool
def wipe() -> Command:
    """Take it all away."""
    return Command(update=UPDATE)
'''


@pytest.mark.parametrize("messages", REMOVING.values(), ids=REMOVING)
def test_a_script_removes_no_message_by(messages: Any) -> None:
    said = reply(Update({"messages": messages}), "t", "c1")

    assert isinstance(said, ToolMessage)
    assert (said.status, said.tool_call_id) == ("error", "c1")
    assert "it may add messages to the conversation, not remove them" in said.content


@pytest.mark.parametrize("update", OVERWRITING.values(), ids=OVERWRITING)
def test_a_script_overwrites_nothing_past_the_reducer(update: dict[str, Any]) -> None:
    said = reply(Update(update), "t", "c1")

    assert isinstance(said, ToolMessage)
    assert (said.status, f"{next(iter(update))}: may be added to" in said.content) == ("error", True)


def test_a_message_that_cannot_be_read_is_told_to_the_model() -> None:
    bottomless = {"id": "c", "function": {"name": "x", "arguments": "[" * 100_000}}

    said = reply(Update({"messages": [{"role": "ai", "content": "", "tool_calls": [bottomless]}]}), "t", "c1")

    assert isinstance(said, ToolMessage)
    assert said.status == "error"


UNREADABLE = [
    HumanMessage("x", tool_calls=[1]),
    {"role": "user", "content": "x", "tool_calls": [{}]},
    HumanMessage([{"type": "text", "text": 5}]),
    AIMessage([{"type": "text", "text": None}]),
]


@pytest.mark.parametrize("message", UNREADABLE, ids=str)
def test_a_message_that_nobody_could_read_later_is_told_to_the_model(message: Any) -> None:
    said = reply(Update({"messages": [message]}), "t", "c1")

    assert isinstance(said, ToolMessage)
    assert (said.status, "the tool's update of the state cannot be used" in said.content) == ("error", True)


def test_a_script_adds_messages_in_every_form() -> None:
    given = ["one", {"role": "assistant", "content": "two"}, ("user", "three"), AIMessage("four")]

    said = reply(Update({"messages": given, "score": 1}), "t", "c1")

    assert isinstance(said, Command)
    assert [type(each) for each in said.update["messages"]] == [
        HumanMessage, AIMessage, HumanMessage, AIMessage, ToolMessage
    ]  # fmt: skip
    assert said.update["score"] == 1


def test_a_content_is_a_message_that_answers_the_call() -> None:
    said = reply(Content("no", "error"), "t", "c1")

    assert isinstance(said, ToolMessage)
    assert (said.content, said.status, said.tool_call_id, said.name) == ("no", "error", "c1", "t")


@pytest.mark.parametrize("update", [{"messages": REMOVING["a role"]}, OVERWRITING["the files"]], ids=str)
async def test_the_conversation_and_the_files_outlive_a_script_that_would_take_them(
    tmp_path: Path, update: dict[str, Any]
) -> None:
    runner = ToolRunner(Limits(), tmp_path)
    turns = graphs.plan(graphs.calls(graphs.call("wipe")), {"text": "Done."})
    definition = graphs.agent(turns, scripts={"wipe": WIPE.replace("UPDATE", repr(update))})
    try:
        result = await Bench(tools=runner).result(definition, {"messages": "Keep me.", "files": {"/a": ["kept"]}})
    finally:
        await runner.close()

    assert [message["role"] for message in result["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert (result["messages"][0]["content"], result["files"]["/a"]["content"]) == ("Keep me.", ["kept"])
    assert result["messages"][2]["status"] == "error"
