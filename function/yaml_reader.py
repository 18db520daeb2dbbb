"""YAML and JSON text into plain values, as `kubectl apply` would read it, with the line of every field.

Scalars are resolved by the rules of the YAML library that kubectl uses (YAML 1.1 words and octals, no base 60, no
dates), so a preview never shows something other than what the cluster gets. What kubectl would take silently and a
person cannot have meant, a key given twice, is a fault, and so is whatever could make a small file enormous.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from function.invalid import show

MAX_DEPTH = 100
MAX_DIGITS = 66  # 0b and 64 bits
MAX_VALUES = 200_000  # with every alias counted as what it stands for

WORDS: dict[str, bool | float | None] = {
    **{spelt: True for word in ("y", "yes", "true", "on") for spelt in (word, word.capitalize(), word.upper())},
    **{spelt: False for word in ("n", "no", "false", "off") for spelt in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CORE_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}


class SyntaxFaultError(ValueError):
    """The text cannot be read; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Parsed:
    """One document: its value, the line it begins on, and the line of each field by its path."""

    value: Any
    line: int
    lines: dict[str, int] = field(default_factory=dict)


def parse(text: str) -> Iterator[Parsed]:
    """Every document of a YAML or JSON text that holds anything.

    Raises:
        SyntaxFaultError: at the first thing that is not readable, or that says two things at once.
    """
    try:
        yield from _Reader(text).documents()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SyntaxFaultError(line, f"the character U+{error.character:04X} cannot stand in YAML") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())  # which may quote a line separator
        if "'\\t'" in problem:
            problem = "a tab cannot indent YAML, spaces can"
        raise SyntaxFaultError(mark.line + 1 if mark else 1, problem) from None
    except (YAMLError, ValueError) as error:
        raise error if isinstance(error, SyntaxFaultError) else SyntaxFaultError(1, str(error)[:80]) from None


class _Reader:
    """Follows the events of one text."""

    def __init__(self, text: str) -> None:
        if text.lstrip()[:1] in ("{", "["):
            text = text.replace("\t", " ")  # JSON may be indented with tabs, and holds none inside its strings
        self._events = YAML(typ="safe", pure=True).parse(text)
        self._values = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._document = Parsed(None, 1)

    def documents(self) -> Iterator[Parsed]:
        for event in self._events:
            if isinstance(event, yaml_events.DocumentStartEvent):
                self._anchors.clear()
                first = next(self._events)
                self._document = Parsed(None, first.start_mark.line + 1)
                self._document.value = self._value(first, "", 0)
                if self._document.value is not None:
                    yield self._document

    def _value(self, event: Any, path: str, depth: int) -> Any:
        line = event.start_mark.line + 1
        if isinstance(event, yaml_events.AliasEvent):
            return self._alias(event.anchor, line)
        self._count(1, line)
        if depth > MAX_DEPTH:
            raise SyntaxFaultError(line, f"nested more than {MAX_DEPTH} deep")
        if (tag := str(event.tag or "")) not in CORE_TAGS | {"", "!"}:
            raise SyntaxFaultError(line, f"the tag {tag[:80]!r} means nothing to Kubernetes")
        before = self._values
        value: Any
        if isinstance(event, yaml_events.MappingStartEvent):
            value = self._mapping(path, depth)
        elif isinstance(event, yaml_events.SequenceStartEvent):
            value = self._sequence(path, depth)
        else:
            text = joined(event.value, line)
            value = resolve(text) if event.implicit[0] or not tag.endswith((":str", "")) else text
        if event.anchor:
            self._anchors[event.anchor] = value, self._values - before + 1
        return value

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml_events.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._value(event, path, depth + 1)
            if not isinstance(key, str):
                raise SyntaxFaultError(line, "a key that is not a string; put it in quotes")
            if key in mapping:
                raise SyntaxFaultError(line, f"the key {key[:80]!r} is given twice")
            where = below(path, key)
            self._document.lines[where] = line
            value = self._value(next(self._events), where, depth + 1)
            if key == "<<" and event.implicit[0]:
                for part in reversed(value if isinstance(value, list) else [value]):
                    if not isinstance(part, dict):
                        raise SyntaxFaultError(line, "'<<' takes a mapping")
                    merged |= part
            else:
                mapping[key] = value
        return merged | mapping

    def _sequence(self, path: str, depth: int) -> list[Any]:
        sequence: list[Any] = []
        while not isinstance(event := next(self._events), yaml_events.SequenceEndEvent):
            where = f"{path}[{len(sequence)}]"
            self._document.lines[where] = event.start_mark.line + 1
            sequence.append(self._value(event, where, depth + 1))
        return sequence

    def _alias(self, name: str, line: int) -> Any:
        if name not in self._anchors:
            raise SyntaxFaultError(line, f"the alias {show(name)} has no anchor before it")
        value, size = self._anchors[name]
        self._count(size, line)
        return value

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise SyntaxFaultError(line, f"more than {MAX_VALUES} values, aliases counted in full")


def below(path: str, key: str) -> str:
    """The path of a field, spelt as faults spell it."""
    if key.isascii() and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{show(key)}]"


def joined(text: str, line: int) -> str:
    r"""The text with pairs of surrogates, JSON's way to escape what is beyond `\uffff`, made one character."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise SyntaxFaultError(line, "half of a surrogate pair, which no UTF-8 text can hold") from None


def resolve(text: str) -> Any:
    """What a plain scalar stands for."""
    if text in WORDS:
        return WORDS[text]
    if text[:1] not in "+-.0123456789":
        return text
    plain = text.replace("_", "") if text[0] != "." else text
    if found := INTEGER.fullmatch(plain):
        sign, digits = found.groups()
        if re.fullmatch("0[0-7]+", digits):
            digits = f"0o{digits}"
        if len(digits) <= MAX_DIGITS and (number := int(sign + digits, 0)) in range(-(2**63), 2**64):
            return number
    if FLOAT.fullmatch(plain) and math.isfinite(real := float(plain)):
        return real
    return text
