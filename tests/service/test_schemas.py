"""The schema of a tool's arguments has no references left, and cannot be a small one that means a huge one."""

import time
from typing import Any

import pytest
from langchain_core.utils.json_schema import dereference_refs

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


def offered(schema: dict[str, Any]) -> dict[str, Any]:
    """What LangChain makes of a schema, but for the titles that it leaves out."""
    return dereference_refs(schema, skip_keys=[])


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
    "that refers to itself": (
        of(properties={"x": {"$ref": "#/$defs/a", "title": "mine"}}, **{"$defs": {"a": {"$ref": "#/$defs/a"}}}),
        {"x": {"title": "mine"}},
    ),
    "that refers to all of itself": (
        of(properties={"x": {"$ref": "#"}}),
        {"x": of(properties={"x": {}})},
    ),
    "of a tree": (
        of(
            properties={"x": {"$ref": "#/$defs/a"}},
            **{"$defs": {"a": of(properties={"n": {"type": "string"}, "of": {"items": {"$ref": "#/$defs/a"}}})}},
        ),
        {"x": of(properties={"n": {"type": "string"}, "of": {"items": {}}})},
    ),
    "with anchors": (
        of(properties={"x": {"$ref": "#a"}}, **{"$defs": {"b": {"$anchor": "a", "type": "string"}}}),
        {"x": {"$anchor": "a", "type": "string"}},
    ),
    "whose examples are references": (
        of(properties={"x": {"type": "object", "examples": [1, {"$ref": "#/a"}], "default": {"y": {"$ref": 3}}}}),
        {"x": {"type": "object"}},
    ),
    "whose choices are references": (
        of(properties={"x": {"enum": [{"$ref": "#/a"}]}, "y": {"const": {"$ref": "#/a"}, "title": "Y"}}),
        {"x": {}, "y": {"title": "Y"}},
    ),
    "with a property called as a reference": (
        of(properties={"$ref": {"type": "string"}, "x": {"type": "string"}}),
        {"x": {"type": "string"}},
    ),
    "with a property called as a keyword": (
        of(
            properties={"enum": {"$ref": "#/$defs/a"}, "default": {"type": "integer"}},
            **{"$defs": {"a": {"type": "null"}}},
        ),
        {"enum": {"type": "null"}, "default": {"type": "integer"}},
    ),
}


@pytest.mark.parametrize(("schema", "properties"), EQUAL.values(), ids=EQUAL)
def test_a_schema(schema: dict[str, Any], properties: dict[str, Any]) -> None:
    made = schemas.plain(schema)

    assert made["properties"] == properties
    assert "$defs" not in made
    assert "definitions" not in made
    assert made["properties"] == offered(made)["properties"]  # nothing is left that LangChain would read otherwise


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
    "refers to nothing": (of(properties={"x": {"$ref": "#/$defs/a"}}), "a \\$ref to what is not there"),
    "refers to nothing in a list": (of(properties={"x": {"$ref": "#/a/" + "9" * 5000}}, a=[1]), "what is not there"),
    "refers elsewhere": (of(properties={"x": {"$ref": "https://example.com/x"}}), "no place within it"),
    "refers by something else": (of(properties={"x": {"$ref": 3}}), "no place within it"),
    "refers to no anchor": (of(properties={"x": {"$ref": "#a"}}), "a \\$ref to what is not there"),
    "refers where no schema stands": (of(properties={"$ref": "#/a"}, a={}), "a \\$ref where no schema stands"),
    "requires what cannot be offered": (
        of(properties={"$ref": {"type": "string"}}, required=["$ref"]),
        "it requires a property called \\$ref",
    ),
    "is no schema in the end": ({"$ref": "#/$defs/a", "$defs": {"a": 3}}, "something else than a schema"),
    "is data that is a reference": ({"$ref": "#/a", "a": [{"$ref": "#/a"}]}, "something else than a schema"),
    "is not JSON": (of(properties={"x": {"default": object()}}), "a value that is not JSON's"),
}


@pytest.mark.parametrize(("schema", "why"), REFUSED.values(), ids=REFUSED)
def test_a_schema_is_refused_that(schema: dict[str, Any], why: str) -> None:
    began = time.process_time()
    with pytest.raises(schemas.Unusable, match=why):
        schemas.plain(schema)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("schema", "description", "tools", "why"),
    [
        (of(properties={"x": {"enum": ["v"] * 4500}}), "d", 4, "more than 20000 values"),
        (of(properties={"x": {"enum": ["v" * 100_000]}}), "d", 5, "more than 524288 characters"),
        ({}, "d" * 10_000, 52, "more than 524288 characters"),
        ({}, "", 952, "more than 20000 values"),
    ],
)
def test_tools_are_refused_that_are_too_much_together(
    schema: dict[str, Any], description: str, tools: int, why: str
) -> None:
    budget = schemas.Budget()
    for _ in range(tools):
        budget.take(schema, description)
    with pytest.raises(schemas.Unusable, match=f"with it .* {why}"):
        budget.take(schema, description)


def test_as_many_tools_as_a_definition_may_have_can_have_arguments() -> None:
    properties = {f"p{i}": {"type": "string", "title": f"P{i}", "description": "What it is for."} for i in range(8)}
    budget = schemas.Budget()
    for _ in range(200):
        budget.take(of(properties=properties, required=[*properties]), "What the tool does, in some words. " * 10)
