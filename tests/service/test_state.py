"""The state in its three forms: for clients, in the graph, for tool scripts."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage

from agent_executor.core import graph, state
from agent_executor.core.middleware import changes
from agent_executor.errors import PermanentError
from agent_executor.models.definition import parse
from tests.support import graphs
from tests.support.graphs import Bench

THEN = "2026-01-01T00:00:00+00:00"
LINES = {"content": ["one", "", "two"], "created_at": THEN, "modified_at": THEN}
KEPT = {"content": "one\n\ntwo", "encoding": "utf-8", "created_at": THEN, "modified_at": THEN}


def test_files_are_lines_outside_and_text_inside() -> None:
    assert state.stored_files({"/a": LINES}) == {"/a": KEPT}
    assert state.shown_files({"/a": KEPT}) == {"/a": LINES}


CONTENTS: list[tuple[Any, str, list[str]]] = [
    ([], "", [""]),
    ([""], "", [""]),
    (["a"], "a", ["a"]),
    (["a", ""], "a\n", ["a", ""]),
    ("a\nb", "a\nb", ["a", "b"]),
    ({"content": "text"}, "text", ["text"]),
    ({"content": ["x\r", "y"]}, "x\r\ny", ["x\r", "y"]),
]


@pytest.mark.parametrize(("given", "kept", "shown"), CONTENTS)
def test_contents_go_there_and_back(given: Any, kept: str, shown: list[str]) -> None:
    stored = state.stored_files({"/f": given})
    assert stored["/f"]["content"] == kept
    assert state.shown_files(stored)["/f"]["content"] == shown
    assert stored["/f"]["created_at"] is not None


def test_a_deleted_file_stays_deleted_and_a_binary_one_says_so() -> None:
    assert state.stored_files({"/gone": None}) == {"/gone": None}
    binary = {**KEPT, "content": "aGk=", "encoding": "base64"}
    assert state.shown_files({"/b": binary})["/b"]["encoding"] == "base64"


def test_a_snapshot_is_what_clients_read() -> None:
    call = {"name": "find", "args": {"q": "x"}, "id": "c1", "type": "tool_call"}
    values = {
        "messages": [
            SystemMessage("Be brief.", id="m0"),
            HumanMessage("Hello", id="m1"),
            AIMessage("", id="m2", tool_calls=[call], name="boss"),
            ToolMessage("found", id="m3", tool_call_id="c1", name="find"),
            AIMessage([{"type": "text", "text": "Done."}], id="m4"),
        ],
        "files": {"/a": KEPT},
        "todos": [{"content": "look", "status": "pending"}],
        "notes": ["n", HumanMessage("inside", id="m5")],
        "job_usage": {"model_calls": 2},
        "_private": 1,
        "jump_to": None,
    }
    assert state.snapshot(values) == {
        "messages": [
            {"role": "system", "content": "Be brief.", "id": "m0"},
            {"role": "user", "content": "Hello", "id": "m1"},
            {
                "role": "assistant",
                "content": "",
                "id": "m2",
                "tool_calls": [{"id": "c1", "name": "find", "args": {"q": "x"}}],
                "name": "boss",
            },
            {
                "role": "tool",
                "content": "found",
                "id": "m3",
                "tool_call_id": "c1",
                "status": "success",
                "name": "find",
            },
            {"role": "assistant", "content": "Done.", "id": "m4"},
        ],
        "files": {"/a": LINES},
        "todos": [{"content": "look", "status": "pending"}],
        "notes": ["n", {"role": "user", "content": "inside", "id": "m5"}],
    }


def test_a_result_adds_the_last_words() -> None:
    values = {"messages": [HumanMessage("Hi"), AIMessage("Answer."), AIMessage("")]}
    assert state.result(values)["output"] == "Answer."
    assert state.result({"messages": []}) == {"output": "", "messages": [], "files": {}, "todos": []}


def test_whatever_is_in_the_state_leaves_as_json() -> None:
    values = {
        "messages": [AIMessage("a\0b\ud800", id="1")],
        "files": {"/\udfff": {"content": "x\0"}},
        "odd": {"nan": float("nan"), "big": 2**70, "set": {1}, "bytes": b"x", "deep": [[{"k": (1, 2)}]]},
    }
    text = json.dumps(state.snapshot(values), allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text


def test_a_message_is_rendered_once_per_run() -> None:
    said, seen = HumanMessage("Hi", id="1"), {}
    first = state.snapshot({"messages": [said]}, seen)
    assert state.snapshot({"messages": [said]}, seen)["messages"][0] is first["messages"][0]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Hi"}],
        {"role": "user", "content": "Hi"},
        "Hi",
        ["Hi"],
        [["user", "Hi"]],
        [{"type": "human", "content": "Hi"}],
    ],
)
def test_messages_are_taken_in_every_common_form(messages: Any) -> None:
    (said,) = state.accept({"messages": messages})["messages"]
    assert (said.type, said.content) == ("human", "Hi")


REFUSED: list[tuple[Any, str]] = [
    ({}, "input_payload.messages: is missing, and would be right as a list of {role, content}"),
    ({"messages": []}, "input_payload.messages: is missing, and would be right as a list of {role, content}"),
    ({"messages": 5}, "input_payload.messages: is missing, and would be right as a list of {role, content}"),
    ({"messages": [5]}, "input_payload.messages[0]: is not a message, and would be right as {role, content}"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        "input_payload.messages[0]: is not a message, and would be right as {role, content}",
    ),
    (
        {"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]},
        "input_payload.messages[0]: is not a message, and would be right as {role, content}",
    ),
    (
        {"messages": ["a", {"role": "alien", "content": "b"}]},
        "input_payload.messages[1]: is not a message, and would be right as {role, content}",
    ),
    (
        {"messages": [{"role": "user"}]},
        "input_payload.messages[0]: is not a message, and would be right as {role, content}",
    ),
    ({"messages": "a", "files": []}, None),
    ({"messages": "a", "files": ["x"]}, "input_payload.files: ['x'] is not a map from path to file"),
    ({"messages": "a", "files": {"/f": {"content": 5}}}, "input_payload.files./f.content: is not a list of lines"),
    (
        {"messages": "a", "files": {"__overwrite__": ["x"]}},
        "input_payload.files: may be added to, not overwritten (__overwrite__)",
    ),
    (
        {"messages": "a", "notes": {"type": "__overwrite__", "value": []}},
        "input_payload.notes: may be added to, not overwritten (__overwrite__)",
    ),
    ({"messages": "a", "files": {"/f": [1]}}, "input_payload.files./f.content: is not a list of lines"),
]


@pytest.mark.parametrize(("payload", "message"), REFUSED)
def test_an_input_that_is_none_is_refused_with_its_path(payload: Any, message: str | None) -> None:
    if message is None:
        assert state.accept(payload)["files"] == {}
        return
    with pytest.raises(PermanentError) as refused:
        state.accept(payload)
    assert (refused.value.type, refused.value.message) == ("invalid_input", message)


def test_an_input_cannot_set_what_is_ours() -> None:
    given = state.accept({"messages": "a", "job_usage": {"model_calls": -9}, "jump_to": "end", "_x": 1, "notes": 1})
    assert set(given) == {"messages", "files", "notes"}


def test_a_script_gets_the_fields_it_asks_for() -> None:
    said = HumanMessage("Hi")
    values = {"messages": [said], "files": {"/a": KEPT}, "notes": [1], "job_usage": {"tokens": 1}}
    assert state.for_script(values, frozenset({"files"})) == {"files": {"/a": LINES}}
    assert state.for_script(values, frozenset()) == {}
    assert state.for_script({}, frozenset({"files"})) == {"files": {}}
    assert state.for_script(values, None) == {"messages": [said], "files": {"/a": LINES}, "notes": [1]}


def test_append_takes_messages_as_messages_and_anything_else_at_the_end() -> None:
    assert graph.append(None, "a") == ["a"]
    assert graph.append(["a"], ["b", "c"]) == ["a", "b", "c"]
    assert graph.append([{"k": 1}], {"k": 2}) == [{"k": 1}, {"k": 2}]
    assert graph.append(["a"], None) == ["a"]
    one, other = HumanMessage("x", id="1"), HumanMessage("y", id="1")
    assert graph.append([one], [other]) == [other]
    assert graph.append([one], [RemoveMessage(id="1")]) == []
    assert graph.append(["a"], [other]) == ["a", other]
    # Removing what is not there, or no longer, leaves nothing to do.
    assert graph.append([one], [RemoveMessage(id="2"), other]) == [other]
    assert graph.append(None, [RemoveMessage(id="2")]) == []
    assert graph.append(None, [one, RemoveMessage(id="1")]) == []
    assert graph.append([one], [RemoveMessage(id="__remove_all__"), other]) == [other]


SCHEMA = {
    "messages": {"type": "list", "reducer": "add_messages"},
    "files": {"type": "dict"},
    "notes": {"type": "list", "item_type": "dict", "reducer": "add_messages"},
    "count": "int",
    "anything": {"type": "any"},
}


async def test_a_state_schema_gives_fields_that_input_and_result_carry() -> None:
    definition = graphs.agent(graphs.ECHO, state_schema=SCHEMA)
    given = {"messages": "Hi", "notes": [{"n": 1}], "count": 3, "anything": {"a": [1]}, "unknown": 1}
    result = await Bench().result(definition, given)
    assert {name: result.get(name) for name in ("notes", "count", "anything", "unknown")} == {
        "notes": [{"n": 1}],
        "count": 3,
        "anything": {"a": [1]},
        "unknown": None,
    }
    assert list(graph.declared(parse(definition))) == ["notes", "count", "anything"]


def test_a_sub_agent_hands_back_only_what_it_changed() -> None:
    before = {"files": {"/a": 1, "/b": 1}, "notes": ["n"], "job_usage": {"model_calls": 2, "tokens": 9}, "count": 1}
    after = {
        "files": {"/a": 2, "/c": 1},
        "notes": ["n", "m"],
        "job_usage": {"model_calls": 5, "tokens": 9},
        "count": 4,
        "messages": ["x"],
    }
    assert changes(before, after, frozenset({"notes"})) == {
        "files": {"/b": None, "/a": 2, "/c": 1},
        "notes": ["m"],
        "job_usage": {"model_calls": 3, "tokens": 0},
        "count": 4,
        "messages": ["x"],
    }


def test_a_field_shows_whatever_message_a_script_has_put_there() -> None:
    odd = HumanMessage("x", tool_calls=[1])
    assert state.snapshot({"log": [odd]})["log"] == [{"role": "user", "content": "x", "id": None}]


def test_what_has_not_changed_is_rendered_once() -> None:
    seen: state.Seen = {}
    values = {"messages": [HumanMessage("Hello")], "files": {"/a": {"content": "x"}, "/b": {"content": "y"}}, "log": []}
    first = state.snapshot(values, seen)
    other = {"content": "z"}
    second = state.snapshot({**values, "files": {"/a": values["files"]["/a"], "/c": other}, "todos": []}, seen)  # type: ignore[call-overload, index]
    assert second["messages"][0] is first["messages"][0]
    assert second["files"]["/a"] is first["files"]["/a"]
    assert second["log"] is first["log"]
    assert set(second["files"]) == {"/a", "/c"}
    changed = state.snapshot({**values, "files": {"/a": other}, "log": [1]}, seen)
    assert (changed["files"]["/a"]["content"], changed["log"]) == (["z"], [1])
    assert set(seen["files"]) == {"/a"}
