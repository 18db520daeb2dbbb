"""Reads a few fields out of an observed object, given as a dict or as a Protobuf Struct, without converting it.

Invariant: whatever somebody wrote into an object, reading a field gives a value of the type that was asked for, or
nothing. A Struct is recognised by its shape, so that the preview does not load Protobuf.
"""

from typing import Any, NamedTuple


class Condition(NamedTuple):
    """One entry of `status.conditions`."""

    status: str
    reason: str
    message: str


ABSENT = Condition("Unknown", "", "")
_CONDITION = ("type", "status", "reason", "message")


def at(node: Any, *path: str) -> Any:
    """What is at `path`: a scalar, or a node to read further from; None where there is nothing."""
    if isinstance(node, dict):
        return _dig(node, path)
    value = _value(node, path)
    return None if value is None else plain(value)


def text(node: Any, *path: str) -> str:
    """The string at `path`, or an empty one."""
    if isinstance(node, dict):
        found = _dig(node, path)
        return found if isinstance(found, str) else ""
    value = _value(node, path)
    return "" if value is None else value.string_value


def number(node: Any, *path: str) -> int:
    """The whole number at `path`, or 0. A Struct has only doubles, so 2.0 is 2."""
    found = at(node, *path)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def items(node: Any, *path: str) -> list[Any]:
    """The entries of the list at `path` that are objects."""
    if isinstance(node, dict):
        found = _dig(node, path)
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    value = _value(node, path)
    return [] if value is None else [entry.struct_value for entry in value.list_value.values]


def conditions(node: Any) -> dict[str, Condition]:
    """The conditions of an object by their type."""
    said = {}
    for entry in items(node, "status", "conditions"):
        if isinstance(entry, dict):
            kind, *rest = (text(entry, key) for key in _CONDITION)
        else:
            values = map(entry.fields.get, _CONDITION)
            kind, *rest = ("" if value is None else value.string_value for value in values)
        said[kind] = Condition(*rest)
    return said


def whole(node: Any) -> Any:
    """A node and all below it as Python's own dicts, lists and scalars."""
    if isinstance(node, str | float | bool | int | None | dict | list):
        return node
    fields = getattr(node, "fields", None)
    if fields is not None:
        return {key: whole(plain(value)) for key, value in fields.items()}
    return [whole(plain(value)) for value in node.values]


def plain(value: Any) -> Any:
    """What a Protobuf Value holds."""
    kind = value.WhichOneof("kind")
    return None if kind is None or kind == "null_value" else getattr(value, kind)


def _dig(node: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _value(node: Any, path: tuple[str, ...]) -> Any:
    """The Value at a path below a Struct, or None. One that holds no Struct reads as an empty one: so does garbage."""
    value = None
    for step in path:
        if node is None:
            return None
        # `get`, because reading a missing key of a Protobuf map in brackets would create it.
        value = node.fields.get(step)
        node = None if value is None else value.struct_value
    return value
