import dataclasses
import datetime
import enum
import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agent_executor.services import json
from agent_executor.services.json import NotJson

REFUSED = {
    "NaN": (b"[NaN]", "has NaN or Infinity, which JSON does not know"),
    "a float that overflows": (b"[1e400]", "has a number that is too large"),
    "a key twice": (b'{"a": 1, "a": 1}', "has the same key twice in one object"),
    "NUL in a string": (rb'["\u0000"]', "has a NUL or a lone surrogate in a string"),
    "a surrogate in a key": (rb'{"\uDC00": 1}', "has a NUL or a lone surrogate in a string"),
    "depth": (b"[" * 101 + b"]" * 101, "is nested deeper than 100 levels"),
    "bytes that are not UTF-8": (b'["\xff"]', "is not UTF-8 at byte 2"),
    "a syntax error": (b'{"a": }', "is not JSON at line 1, column 7"),
    "too many digits": (b"9" * 5000, "has a number with too many digits"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_parse_refuses(text, reason):
    with pytest.raises(NotJson) as caught:
        json.parse(text)
    assert str(caught.value) == reason


TAKEN = {
    "a surrogate pair": (rb'"\ud83d\ude80"', "🚀"),
    "an escaped backslash before u0000": (rb'"\\u0000"', r"\u0000"),
    "an integer above 64 bits": (b"18446744073709551616", 2**64),
    "100 levels": (b"[" * 100 + b"]" * 100, None),
}


@pytest.mark.parametrize(("text", "value"), TAKEN.values(), ids=TAKEN)
def test_parse_takes(text, value):
    assert value is None or json.parse(text) == value


class Colour(enum.Enum):
    RED = 1


class Word(enum.StrEnum):
    YES = "yes"


def deep(levels, inmost=None):
    """Lists in one another, `levels` of them and perhaps what the last one holds."""
    value = [] if inmost is None else [inmost]
    for _ in range(levels - 1):
        value = [value]
    return value


class Model(BaseModel):
    text: str


@dataclasses.dataclass
class Point:
    x: float


CLEANED = {
    "NUL": ("a\0b", "a\ufffdb"),
    "a lone surrogate": ("a\ud800b", "a\ufffdb"),
    "a pair stays": ("🚀", "🚀"),
    "NaN": ([math.nan, math.inf, 1.5], [None, None, 1.5]),
    "integers above 64 bits": ([2**63, 2**63 - 1, -(2**63)], ["9223372036854775808", 2**63 - 1, -(2**63)]),
    "an integer beyond CPython's digits": (16**5000, "0x1" + "0" * 5000),
    "keys": ({"a\0": 1, 2: 3, None: 4, True: 5}, {"a\ufffd": 1, "2": 3, "null": 4, "true": 5}),
    "tuples and sets": ((1, {2}), [1, [2]]),
    "bytes": (b"\0", "AA=="),
    "times": (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
    "models": (Model(text="\0"), {"text": "\ufffd"}),
    "dataclasses": (Point(math.nan), {"x": None}),
    "enumerations": ([Colour.RED, Word.YES], [1, "yes"]),
    "UUIDs": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "many containers, none of them deep": ([({"a": []},)] * 200, [[{"a": []}]] * 200),
    "many containers, one of them deep": ([[]] * 200 + [deep(99), deep(101)], [[]] * 200 + [deep(99), deep(99, "…")]),
    "anything else as text": (1j, "1j"),
}


@pytest.mark.parametrize(("value", "cleaned"), CLEANED.values(), ids=CLEANED)
def test_clean(value, cleaned):
    assert json.clean(value) == cleaned
    assert json.parse(json.dump(value)) == cleaned
    assert json.as_it_is(value) in (None, json.dump(value))


AS_IT_IS = [{"a": ["ü", 1.5, -1, True, None]}, [2**53 - 1], [[]] * 200, ("a", deep(99)), math.nan]


@pytest.mark.parametrize("value", AS_IT_IS, ids=repr)
def test_what_nothing_has_to_be_replaced_in_is_dumped_at_once(value):
    assert json.as_it_is(value) == json.dump(value)


def test_what_holds_itself_is_cut():
    loop = []
    loop.append(loop)
    assert json.dump(loop) == b"[" * 100 + '"…"'.encode() + b"]" * 100


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_is_dumped_is_taken_back(value):
    cleaned = json.clean(value)
    assert json.parse(json.dump(value)) == cleaned
    assert json.clean(cleaned) == cleaned
