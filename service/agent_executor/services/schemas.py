"""The JSON schema of a tool's arguments, made plain: every `$ref` replaced by what it means, within a budget.

LangChain expands references whenever it binds a tool to a model, on the event loop and without a limit, so that two
kilobytes of definitions that name one another twice take minutes. Of a schema that has none left it makes a copy: for
every tool of an agent, and three times for each call of its model, so that all of a definition have a budget, too.

It takes every key `$ref` for a reference, so none is left where JSON Schema reads another meaning: a keyword whose
value holds one (`examples`, `default`, `enum`) is left out, and a property of that name is not offered. A schema that
refers to itself ends, as with LangChain, where it would begin again: there any value may stand. What a schema no longer
says is still said by the tool, which checks its arguments itself.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

MOST_CHARACTERS: Final = 262_144
MOST_VALUES: Final = 10_000
DEPTH: Final = 64  # of objects and lists; every walk of the libraries takes a few frames for each
# Of all tools of a definition: with so many values a model's call takes 30 to 80 ms of the event loop (seen).
ALL_CHARACTERS: Final = 524_288
ALL_VALUES: Final = 20_000
TOOL: Final = 20  # values; a tool without any arguments takes as long

REF: Final = "$ref"
DEFINITIONS: Final = frozenset({"$defs", "definitions"})
# Where schemas stand within one: as the value or in a list, and by name. Whatever else there is holds data.
HOLDING: Final = frozenset({
    "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "contentSchema", "else", "if", "items",
    "not", "oneOf", "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
NAMING: Final = frozenset({"dependencies", "dependentSchemas", "patternProperties", "properties"})


class Unusable(ValueError):  # noqa: N818  # the schema is
    """Not a schema that a model can be offered; the message says why and quotes nothing of it."""


class _Reference(Unusable):
    """Data that LangChain would take for a reference."""


class Budget:
    """What the tools of one definition have left of `ALL_VALUES` and `ALL_CHARACTERS`."""

    def __init__(self) -> None:
        self._values, self._characters = ALL_VALUES, ALL_CHARACTERS

    def take(self, schema: Any, description: str) -> None:
        """One tool more; `Unusable` if that is too many."""
        self._values -= TOOL
        self._characters -= len(description)
        found = [schema]
        while found and self._values >= 0:
            one = found.pop()
            self._values -= 1
            self._characters -= len(one) if isinstance(one, str) else 8
            if isinstance(one, Mapping):
                found += one
                found += one.values()
            elif isinstance(one, list):
                found += one
        if self._values < 0:
            raise Unusable(f"with it the arguments of all tools have more than {ALL_VALUES} values in their schemas")
        if self._characters < 0:
            raise Unusable(f"with it all tools have more than {ALL_CHARACTERS} characters in their descriptions")


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that means the same without references, and without the definitions they lead to; or `Unusable`."""
    made = _Plain(schema).schema(schema, frozenset(), 0)
    if not isinstance(made, dict):
        raise Unusable("it is a reference that leads to something else than a schema")
    return made


class _Plain:
    """One schema on its way; what it may still grow by is counted down over all of its parts."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._values = MOST_VALUES
        self._characters = MOST_CHARACTERS

    def schema(self, value: Any, inside: frozenset[str], depth: int) -> Any:
        """A schema with its references replaced; `inside` holds those that are being replaced around it."""
        if not isinstance(value, dict):
            return self._data(value, depth)
        self._count(value, depth)
        own = {}
        for key, each in value.items():
            if key != REF and key not in DEFINITIONS:
                self._count(key)
                try:
                    own[key] = self._keyword(key, each, inside, depth + 1)
                except _Reference:
                    continue
        if isinstance(required := own.get("required"), list) and REF in required:
            raise Unusable(f"it requires a property called {REF}, and no model can be offered one of that name")
        if REF not in value:
            return own
        path = value[REF]
        if not isinstance(path, str) or path[:1] != "#":
            raise Unusable(f"it has a {REF} that is no place within it (#/…, or # and an $anchor)")
        if path in inside:
            return own
        meant = self.schema(self._at(path), inside | {path}, depth + 1)
        # What stands beside a reference goes before what is referred to.
        return {**meant, **own} if isinstance(meant, dict) else meant

    def _keyword(self, key: str, value: Any, inside: frozenset[str], depth: int) -> Any:
        if key in NAMING and isinstance(value, dict):
            if isinstance(value.get(REF), str):
                raise Unusable(f"it has a {REF} where no schema stands")
            self._count(value, depth)
            for name in value:
                self._count(name)
            return {name: self.schema(each, inside, depth + 1) for name, each in value.items() if name != REF}
        if key in HOLDING and isinstance(value, list):
            self._count(value, depth)
            return [self.schema(each, inside, depth + 1) for each in value]
        return self.schema(value, inside, depth) if key in HOLDING else self._data(value, depth)

    def _data(self, value: Any, depth: int) -> Any:
        self._count(value, depth)
        if isinstance(value, list):
            return [self._data(each, depth + 1) for each in value]
        if not isinstance(value, dict):
            return value
        if REF in value:
            raise _Reference("it is a reference that leads to something else than a schema")
        for key in value:
            self._count(key)
        return {key: self._data(each, depth + 1) for key, each in value.items()}

    def _at(self, path: str) -> Any:
        self._count(path)
        if path[1:2] not in {"", "/"}:
            return self._anchored(path[1:])
        found: Any = self._root
        for step in path.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and len(name) < 9 and int(name) < len(found):
                found = found[int(name)]
            else:
                raise Unusable(f"it has a {REF} to what is not there")
        return found

    def _anchored(self, name: str) -> Any:
        found: list[Any] = [self._root]
        while found:
            one = found.pop()
            self._count(None)
            if isinstance(one, dict):
                if one.get("$anchor") == name:
                    return one
                found += one.values()
            elif isinstance(one, list):
                found += one
        raise Unusable(f"it has a {REF} to what is not there")

    def _count(self, value: Any, depth: int = 0) -> None:
        if value is not None and not isinstance(value, str | bool | int | float | list | dict):
            raise Unusable("it has a value that is not JSON's")
        if depth > DEPTH:
            raise Unusable(f"it is nested deeper than {DEPTH} levels")
        self._values -= 1
        self._characters -= len(value) if isinstance(value, str) else 8
        if self._values < 0:
            raise Unusable(f"with its references replaced it has more than {MOST_VALUES} values")
        if self._characters < 0:
            raise Unusable(f"with its references replaced it has more than {MOST_CHARACTERS} characters")
