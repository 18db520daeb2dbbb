"""Between service and worker travel JSON values and LangChain messages, whatever either side tries."""

import contextlib
import dataclasses
import json
import math
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from agent_executor.services.tools import directories, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from([wire.MESSAGE, wire.PAIRS]), inner, max_size=4)
    ),
    max_leaves=20,
)


class Point(BaseModel):
    x: int


@dataclasses.dataclass
class Pair:
    left: int
    right: Any


def there_and_back(value: Any) -> Any:
    frame = wire.pack(value)
    assert wire.length(frame[:4]) == len(frame) - 4
    return wire.unpack(frame[4:])


@given(JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert there_and_back(value) == value


MESSAGES = (
    HumanMessage("hi", id="1", name="n"),
    HumanMessage([{"type": "text", "text": "x"}]),
    AIMessage("", tool_calls=[{"name": "t", "args": {"$message": 1}, "id": "c"}], usage_metadata=None),
    AIMessage("x", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    SystemMessage("s"),
    ToolMessage("t", tool_call_id="c", status="error", artifact={"a": [1]}),
    RemoveMessage(id="1"),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_comes_back_as_it_was(message: Any) -> None:
    assert there_and_back({"messages": [message]}) == {"messages": [message]}


def test_what_json_has_no_word_for_becomes_its_nearest() -> None:
    given_ = {"model": Point(x=1), "pair": Pair(1, (2, 3)), 4: {5}, "nan": math.nan, "inf": -math.inf, "odd": object}

    assert there_and_back(given_) == {
        "model": {"x": 1},
        "pair": {"left": 1, "right": [2, 3]},
        "4": [5],
        "nan": None,
        "inf": None,
        "odd": "<class 'object'>",
    }


GARBAGE = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'"\xff"',
    "a bottomless list": b"[" * 100_000 + b"]" * 100_000,
    "a deep list": b"[" * 100 + b"]" * 100,
    "an endless number": b"9" * 5000,
    "a message of no type": b'{"$message": {"type": 1, "data": {}}}',
    "a message of an unknown type": b'{"$message": {"type": "os.system", "data": {"content": "x"}}}',
    "a message without content": b'{"$message": {"type": "human", "data": {}}}',
    "a message with content that is none": b'{"$message": {"type": "tool", "data": {"content": {"a": 1}}}}',
    "a map that is a number": b'{"$dict": 1}',
    "a map of triples": b'{"$dict": [["a", 1, 2]]}',
    "a map whose key is no text": b'{"$dict": [[1, 2]]}',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_called_garbage(body: bytes) -> None:
    with pytest.raises(wire.Garbage):
        wire.unpack(body)


@given(st.binary() | JSON.map(lambda value: json.dumps({wire.MESSAGE: value}).encode()))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(wire.Garbage):
        wire.unpack(body)


TYPES = st.sampled_from(["human", "ai", "system", "tool", "chat", "function", "remove", "AIMessageChunk", "x"])
FIELDS = ["content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "response_metadata", "usage_metadata"]
FIELDS += [
    "id",
    "name",
    "tool_call_id",
    "status",
    "role",
    "artifact",
    "tool_call_chunks",
    "content_blocks",
    "type",
    "lc",
]


@given(TYPES, st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_fields_of_a_message_raise_anything_else(type_: str, fields: dict[str, Any]) -> None:
    with contextlib.suppress(wire.Garbage):
        wire.unpack(json.dumps({wire.MESSAGE: {"type": type_, "data": fields}}).encode())


MOST = 32 << 20
SIZE = 4 << 20
PROLIFIC = {
    "lists": b"[],",
    "objects": b"{},",
    "objects that hold one thing": b'{"":0},',
    "numbers": b"7,",
    "texts": b'"",',
    "texts with quotes in them": b'"\\\\\\"",',
}


@pytest.mark.parametrize("part", PROLIFIC.values(), ids=PROLIFIC)
def test_what_would_take_too_much_memory_is_refused_before_it_is_made(part: bytes) -> None:
    body = b'{"update":{"log":[' + part * (SIZE // len(part)) + b"0]}}"
    tracemalloc.start()
    try:
        with pytest.raises(wire.Garbage, match=f"more values than a tool may return: .* than {MOST} bytes"):
            wire.unpack(body, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2 * SIZE
    finally:
        tracemalloc.stop()


PLAIN = {
    "a text of commas and brackets": json.dumps({"content": "[{,}]" * 800_000}).encode(),
    "a text of quotes": json.dumps({"content": '",["' * 500_000}).encode(),
    "a file of many lines": json.dumps({"content": ["another line, 20 cha"] * 170_000}).encode(),
    "a table": json.dumps({"content": [{"id": i, "name": f"row {i}", "value": 0.5} for i in range(40_000)]}).encode(),
}


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_what_is_large_and_plain_is_taken(body: bytes) -> None:
    assert wire.unpack(body, MOST) == json.loads(body)


@pytest.mark.parametrize("end", [b"", b"\\", b'"'], ids=["open", "open with a backslash", "closed"])
def test_a_text_is_weighed_in_one_go_wherever_it_ends(end: bytes) -> None:
    began = time.process_time()
    assert not wire._weighs_more(b'["' + b'\\"' * (SIZE // 2) + end, MOST)
    assert time.process_time() - began < 2


def test_a_serialised_constructor_stays_a_dict() -> None:
    lie = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain_core", "messages", "AIMessage"],
        "kwargs": {"content": "x"},
    }

    assert wire.unpack(json.dumps(lie).encode()) == lie


def test_a_directory_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    own = tmp_path / "own"
    own.mkdir()
    here = os.open(own, os.O_RDONLY)
    for _ in range(400):  # far below what a path can name
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.mkdir("closed", 0, dir_fd=here)
    os.close(here)
    (own / "link").symlink_to(outside)
    (own / "up").symlink_to(tmp_path, target_is_directory=True)
    (own / "closed").mkdir(0)
    os.mkfifo(own / "pipe")

    directories.remove(str(own))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside"]


def test_what_a_directory_holds_is_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(8192))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(bytes(4096))
    (tmp_path / "root").symlink_to("/")

    size, entries = directories.usage(str(tmp_path), 100)

    assert (12288 <= size < 20000, entries) == (True, 4)
    assert directories.usage(str(tmp_path), 2)[1] == 3
