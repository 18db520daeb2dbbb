"""The files that the command line is given: claims, a platform's Input, observed objects.

A document keeps the file and the line of each of its fields, so that a fault names the place where it is mended.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from function import yaml_reader
from function.platform import API_VERSION
from function.platform import KIND as PLATFORM
from function.refusals import UnreadableError

CLAIMS = ("AgentExecutor", "XAgentExecutor")
FUNCTION = "function-agent-executor"
STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 4 * 2**20  # an object in Kubernetes has 1.5 MiB at most


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    line: int
    lines: Mapping[str, int]
    body: dict[str, Any]

    def place(self, path: str = "") -> str:
        """`FILE:LINE` of a field such as `spec.env[0].name`, or of what it would stand in where it is missing."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.file}:{self.lines.get(path, self.line)}"


def claims(names: Sequence[str]) -> list[Document]:
    """Every claim and composite resource in the files, directories and `-`, in the order given.

    Objects of other kinds beside a claim are passed over, as are the other files of a directory.

    Raises:
        UnreadableError: a file is not readable, or one of the names leads to no claim at all.
    """
    found: list[Document] = []
    for name in names:
        documents = read(name)
        wanted = [document for document in documents if document.body.get("kind") in CLAIMS]
        if not wanted:
            kinds = sorted({str(document.body.get("kind"))[:80] for document in documents})
            held = f"it holds {', '.join(kinds[:5])}" if kinds else "it holds nothing"
            raise UnreadableError(f"{shown(name)}: no {' or '.join(CLAIMS)} in it; {held}")
        found += wanted
    return found


def platform(name: str) -> Document:
    """The platform's Input in a file: alone, or as a Composition carries it.

    Raises:
        UnreadableError: not readable, or not exactly one Input in it.
    """
    found: list[Document] = []
    for document in read(name):
        if document.body.get("kind") == "Composition":
            found += inputs(document)
        elif document.body.get("kind") == PLATFORM:
            found.append(document)
    if len(found) != 1:
        raise UnreadableError(
            f"{shown(name)}: {len(found) or 'no'} objects of kind {PLATFORM} in it, and one is needed"
        )
    return found[0]


def inputs(composition: Document) -> Iterator[Document]:
    """The platform Inputs among a Composition's steps; a step of the function without one has the default platform."""
    spec = composition.body.get("spec")
    steps = spec.get("pipeline") if isinstance(spec, dict) else None
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        given = step.get("input") if isinstance(step, dict) else None
        if isinstance(given, dict) and given.get("kind") == PLATFORM:
            yield part(composition, f"spec.pipeline[{number}].input", given)
        elif given is None and isinstance(step, dict):
            function = step.get("functionRef")
            if isinstance(function, dict) and str(function.get("name")).endswith(FUNCTION):
                yield part(composition, f"spec.pipeline[{number}]", {"apiVersion": API_VERSION, "kind": PLATFORM})


def part(whole: Document, start: str, body: dict[str, Any]) -> Document:
    """An object that a document holds, with the lines that its fields have there."""
    inside = {path.removeprefix(f"{start}."): at for path, at in whole.lines.items() if path.startswith(f"{start}.")}
    return Document(whole.file, whole.lines.get(start, whole.line), inside, body)


def read(name: str) -> list[Document]:
    """Every object in a file, a directory (hidden files left out) or `-`, standard input.

    Raises:
        UnreadableError: missing, not text, not YAML or JSON, or too large.
    """
    if name and name != STDIN and Path(name).is_dir():
        return [document for file in files(name) for document in read(file)]
    try:
        if name == STDIN:
            data = (sys.stdin or closed()).buffer.read(MAX_BYTES + 1)
        else:
            with open(name, "rb") as file:  # noqa: PTH123 - to Path an empty name is the directory it is called in
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableError(f"{shown(name)}: {reason.lower()}") from None
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"{shown(name)}: larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"{shown(name)}:{line}: not UTF-8 text") from None
    try:
        return [document for parsed in yaml_reader.parse(text) for document in objects(shown(name), parsed)]
    except yaml_reader.SyntaxFaultError as error:
        raise UnreadableError(f"{shown(name)}:{error.line}: {error}") from None


def objects(file: str, parsed: yaml_reader.Parsed) -> Iterator[Document]:
    """A document's object, or each of a `kind: List`, which is what `kubectl get -o yaml` prints."""
    body = parsed.value
    if not isinstance(body, dict):
        raise UnreadableError(f"{file}:{parsed.line}: not an object with apiVersion, kind, metadata and spec")
    items = body.get("items")
    if body.get("kind") != "List" or not isinstance(items, list):
        yield Document(file, parsed.line, parsed.lines, body)
        return
    whole = Document(file, parsed.line, parsed.lines, body)
    for number, item in enumerate(items):
        start = f"items[{number}]"
        if not isinstance(item, dict):
            raise UnreadableError(f"{whole.place(start)}: {start} is not an object")
        yield part(whole, start, item)


def files(directory: str) -> Iterator[str]:
    """The YAML and JSON files below a directory, in the order of their names."""
    for folder, folders, names in os.walk(directory, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield str(Path(folder, name))


def closed() -> NoReturn:
    """Turn down standard input that is not there."""
    raise OSError("is closed")


def refuse(error: OSError) -> NoReturn:
    """Turn down a directory that cannot be listed: what is in it would be passed over without a word."""
    raise UnreadableError(f"{error.filename}: {(error.strerror or '').lower()}") from None


def shown(name: str) -> str:
    """A file's name as messages give it."""
    return "stdin" if name == STDIN else name or "''"
