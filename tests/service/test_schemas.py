"""The schema of a tool's arguments has no references left, and cannot be a small one that means a huge one."""

import time
from typing import Any

import pytest

from agent_executor.services import schemas


def bomb(levels: int) -> dict[str, Any]:
    """Definitions of which each names the next one twice."""
    named = {
        f"a{i}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/a{i + 1}"} for side in ("x", "y")}}
        for i in range(levels)
    }
    ends = {f"a{levels}": {"type": "string"}}
    return {"type": "object", "properties": {"q": {"$ref": "#/$defs/a0"}}, "$defs": {**named, **ends}}


def of(*, properties: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


EQUAL = {
    "without references": (of(properties={"x": {"type": "string"}}), {"x": {"type": "string"}}),
    "of definitions": (
        of(properties={"x": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": {"enum": [1, None]}}}),
        {"x": {"enum": [1, None]}},
    ),
    "of definitions that name others": (
        of(
            properties={"x": {"anyOf": [{"$ref": "#/definitions/a"}, {"type": "null"}]}},
            definitions={"a": {"items": {"$ref": "#/definitions/b"}}, "b": {"type": "integer"}},
        ),
        {"x": {"anyOf": [{"items": {"type": "integer"}}, {"type": "null"}]}},
    ),
    "with words beside a reference": (
        of(
            properties={"x": {"$ref": "#/$defs/a", "title": "mine"}},
            **{"$defs": {"a": {"type": "string", "title": "its"}}},
        ),
        {"x": {"type": "string", "title": "mine"}},
    ),
    "of names that a path spells otherwise": (
        of(
            properties={"x": {"$ref": "#/$defs/a~1b%3C~0"}, "y": {"$ref": "#/list/1"}},
            list=[0, {"const": 1}],
            **{"$defs": {"a/b<~": {"const": 2}}},
        ),
        {"x": {"const": 2}, "y": {"const": 1}},
    ),
    "with an argument named like the definitions": (
        of(properties={"$defs": {"type": "string"}}),
        {"$defs": {"type": "string"}},
    ),
}


@pytest.mark.parametrize(("schema", "properties"), EQUAL.values(), ids=EQUAL)
def test_a_schema(schema: dict[str, Any], properties: dict[str, Any]) -> None:
    made = schemas.plain(schema)

    assert made["properties"] == properties
    assert "$defs" not in made
    assert "definitions" not in made


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"items": value}
    return of(properties={"x": value})


REFUSED = {
    "grows": (bomb(18), "it has more than 10000 values"),
    "grows by its words": (
        of(properties={f"p{i}": {"$ref": "#/$defs/a"} for i in range(300)}, **{"$defs": {"a": {"title": "x" * 1000}}}),
        "has more than 262144 characters",
    ),
    "is large": (of(properties={"x": {"description": "x" * 300_000}}), "has more than 262144 characters"),
    "has long paths": (
        of(properties={f"p{i}": {"$ref": "#/" + "/" * 1000} for i in range(300)}, **{"": {"": {}}}),
        "a \\$ref to what is not there",
    ),
    "is deep": (deep(100), "nested deeper than 64 levels"),
    "refers to itself": (of(properties={"x": {"$ref": "#"}}), "it refers to itself"),
    "refers to itself on a detour": (
        of(properties={"x": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": {"items": [{"$ref": "#/$defs/a"}]}}}),
        "it refers to itself",
    ),
    "refers to nothing": (of(properties={"x": {"$ref": "#/$defs/a"}}), "a \\$ref to what is not there"),
    "refers to nothing in a list": (of(properties={"x": {"$ref": "#/a/" + "9" * 5000}}, a=[1]), "what is not there"),
    "refers elsewhere": (of(properties={"x": {"$ref": "https://example.com/x"}}), "no path within it"),
    "refers by something else": (of(properties={"$ref": {"type": "string"}}), "no path within it"),
    "is no schema in the end": ({"$ref": "#/$defs/a", "$defs": {"a": 3}}, "something else than a schema"),
    "is not JSON": (of(properties={"x": {"default": object()}}), "a value that is not JSON's"),
}


@pytest.mark.parametrize(("schema", "why"), REFUSED.values(), ids=REFUSED)
def test_a_schema_is_refused_that(schema: dict[str, Any], why: str) -> None:
    began = time.process_time()
    with pytest.raises(schemas.Unusable, match=why):
        schemas.plain(schema)
    assert time.process_time() - began < 1
