"""The JSON schema of a tool's arguments, made plain: every `$ref` replaced by what it means, within a budget.

LangChain expands references whenever it binds a tool to a model, on the event loop and without a limit, so that two
kilobytes of definitions that name one another twice take minutes. Of a schema that has none left it makes a copy.
"""

from typing import Any, Final
from urllib.parse import unquote

MOST_CHARACTERS: Final = 262_144
MOST_VALUES: Final = 10_000
DEPTH: Final = 64  # of objects and lists; every walk of the libraries takes a few frames for each
DEFINITIONS: Final = ("$defs", "definitions")


class Unusable(ValueError):  # noqa: N818  # the schema is
    """Not a schema that a model can be offered; the message says why and quotes nothing of it."""


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """An equal schema without references, and without the definitions that only they could reach; or `Unusable`."""
    rest = {key: value for key, value in schema.items() if key not in DEFINITIONS}
    made = _Plain(schema).value(rest, frozenset(), 0)
    if not isinstance(made, dict):
        raise Unusable("it is a reference that leads to something else than a schema")
    return made


class _Plain:
    """One schema on its way; what it may still grow by is counted down over all of its parts."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._values = MOST_VALUES
        self._characters = MOST_CHARACTERS

    def value(self, value: Any, inside: frozenset[str], depth: int) -> Any:
        """A value with its references replaced; `inside` holds those that are being replaced around it."""
        self._count(value)
        if depth > DEPTH:
            raise Unusable(f"it is nested deeper than {DEPTH} levels")
        if isinstance(value, list):
            return [self.value(each, inside, depth + 1) for each in value]
        if not isinstance(value, dict):
            return value
        own = {}
        for key, each in value.items():
            if key != "$ref":
                self._count(key)
                own[key] = self.value(each, inside, depth + 1)
        if "$ref" not in value:
            return own
        path = value["$ref"]
        if not isinstance(path, str) or not (path == "#" or path.startswith("#/")):
            raise Unusable("it has a $ref that is no path within it (#/…)")
        if path in inside:
            raise Unusable("it refers to itself")
        meant = self.value(self._at(path), inside | {path}, depth + 1)
        # What stands beside a reference goes before what is referred to.
        return {**meant, **own} if isinstance(meant, dict) else meant

    def _at(self, path: str) -> Any:
        self._count(path)
        found: Any = self._root
        for step in path.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and len(name) < 9 and int(name) < len(found):
                found = found[int(name)]
            else:
                raise Unusable("it has a $ref to what is not there")
        return found

    def _count(self, value: Any) -> None:
        if value is not None and not isinstance(value, str | bool | int | float | list | dict):
            raise Unusable("it has a value that is not JSON's")
        self._values -= 1
        self._characters -= len(value) if isinstance(value, str) else 8
        if self._values < 0:
            raise Unusable(f"with its references replaced it has more than {MOST_VALUES} values")
        if self._characters < 0:
            raise Unusable(f"with its references replaced it has more than {MOST_CHARACTERS} characters")
