"""Reads a few fields out of an observed object, given as a dict or as a Protobuf Struct, without converting it.

Invariant: whatever somebody wrote into an object, reading a field gives a value of the type that was asked for, or
nothing. A Struct is recognised by its shape, so that the preview does not load Protobuf.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Condition(NamedTuple):
    """One entry of `status.conditions`."""

    status: str
    reason: str
    message: str


ABSENT = Condition("Unknown", "", "")


def at(node: Any, *path: str) -> Any:
    """What is at `path`: a scalar, or a node to read further from; None where there is nothing."""
    for step in path:
        node = _child(node, step)
    return node


def text(node: Any, *path: str) -> str:
    """The string at `path`, or an empty one."""
    value = at(node, *path)
    return value if isinstance(value, str) else ""


def number(node: Any, *path: str) -> int:
    """The whole number at `path`, or 0. A Struct has only doubles, so 2.0 is 2."""
    value = at(node, *path)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def items(node: Any, *path: str) -> Iterator[Any]:
    """The entries of the list at `path`, or none."""
    found = at(node, *path)
    if isinstance(found, list):
        return iter(found)
    return iter(()) if isinstance(found, dict) else map(plain, getattr(found, "values", ()))


def conditions(node: Any) -> dict[str, Condition]:
    """The conditions of an object by their type."""
    return {
        text(entry, "type"): Condition(text(entry, "status"), text(entry, "reason"), text(entry, "message"))
        for entry in items(node, "status", "conditions")
    }


def _child(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    fields = getattr(node, "fields", None)
    # Only asked for what is there: reading a missing key of a Protobuf map would create it.
    return plain(fields[key]) if fields is not None and key in fields else None


def plain(value: Any) -> Any:
    """What a Protobuf Value holds."""
    kind = value.WhichOneof("kind")
    return None if kind is None or kind == "null_value" else getattr(value, kind)


def whole(node: Any) -> Any:
    """A node and all below it as Python's own dicts, lists and scalars."""
    if isinstance(node, str | float | bool | int | None | dict | list):
        return node
    fields = getattr(node, "fields", None)
    if fields is not None:
        return {key: whole(plain(value)) for key, value in fields.items()}
    return [whole(plain(value)) for value in node.values]
