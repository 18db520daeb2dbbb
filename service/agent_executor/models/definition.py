"""An agent definition, whole and checked: `parse` is the only way in.

A `Definition` that exists can be built as far as its text goes: one orchestrator, known tools, known providers, edges
between known nodes. Every fault carries the path where the definition's author wrote it (`nodes[2].model.provider`
where the configuration sits flat on the node), and all faults are told at once (of a list of names or turns, the
first).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent_executor.errors import PermanentError, shown
from agent_executor.models import bounds
from agent_executor.models.parts import BUILT_IN, FILE_TOOLS, LONGEST_FIELD, RESERVED_FIELDS, Definition, StateField

FAULTS_SHOWN = 10
WANTED = {
    "string": "text",
    "tuple": "a list",
    "dict": "an object",
    "model": "an object",
    "int": "a whole number",
    "float": "a number",
}


def parse(raw: Mapping[str, Any]) -> Definition:
    """A definition as it came; raises `PermanentError("invalid_definition")` with every fault and its path."""
    if too_many := bounds.overflow(raw):
        raise _refusal([too_many])
    try:
        definition = Definition.model_validate(raw)
    except ValidationError as error:
        faults = list(_faults(error, raw))
    else:
        faults = list(_contradictions(definition, raw))
    if faults:  # told out here, or pydantic's whole list would hang on the error as its context
        raise _refusal(faults)
    return definition


def digest(raw: Mapping[str, Any]) -> str:
    """The definition's SHA-256 in hex, whatever the order of its keys."""
    return hashlib.sha256(text(raw)).hexdigest()


def text(raw: Mapping[str, Any]) -> bytes:
    """The definition as JSON, with its keys in order."""
    return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def config_path(raw: Mapping[str, Any], index: int) -> str:
    """Where node `index` keeps its configuration: `nodes[0].config`, or `nodes[0]` if it sits flat on the node."""
    return f"nodes[{index}]" if raw["nodes"][index].get("config") is None else f"nodes[{index}].config"


def _faults(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        # A list whose every entry has a fault is too short to pydantic, which counts the good ones.
        if not (fault["type"] == "too_short" and fault["input"]):
            yield f"{_path(fault, raw)}: {_complaint(fault)}"


def _contradictions(definition: Definition, raw: Mapping[str, Any]) -> Iterator[str]:
    """What no part can see alone."""
    orchestrators = [i for i, node in enumerate(definition.nodes) if node.type == "orchestrator"]
    for i in orchestrators[1:]:
        yield f"nodes[{i}].type: a second Orchestrator beside nodes[{orchestrators[0]}], and exactly one would be right"
    yield from _repeated("nodes[{}].id", [node.id for node in definition.nodes])
    for i in _repetitions([node.name for node in definition.nodes]):
        if definition.nodes[i].config.name:
            name = definition.nodes[i].name
            yield f"{config_path(raw, i)}.name: {shown(name)} is there twice, and another name would be right"
    yield from _repeated("tool_definitions[{}].name", [tool.name for tool in definition.tool_definitions])
    for i, tool in enumerate(definition.tool_definitions):
        if tool.name in BUILT_IN - FILE_TOOLS:
            yield f"tool_definitions[{i}].name: {shown(tool.name)} is a built-in tool, and another name would be right"
    tools = BUILT_IN | {tool.name for tool in definition.tool_definitions}
    servers = any(tool.mcp for tool in definition.tool_definitions)
    fields: dict[str, tuple[StateField, str]] = {}
    for i, node in enumerate(definition.nodes):
        where = config_path(raw, i)
        for j, name in enumerate(node.config.tools):
            if name not in tools:
                yield f"{where}.tools[{j}]: {shown(name)} is neither in tool_definitions nor built in"
        # The tools of a server are told when the graph is built: `core.toolbox`.
        for name in () if servers else sorted(node.config.interrupt_on.keys() - tools):
            yield f"{where}.interrupt_on: {shown(name)} is neither in tool_definitions nor built in"
        for name, field in node.config.state_schema.items():
            if name in RESERVED_FIELDS or name.startswith("_") or ":" in name:
                yield f"{where}.state_schema: {shown(name)} is a reserved name, and another would be right"
            if not name.isprintable() or len(name.encode()) > LONGEST_FIELD:
                right = f"printable characters and at most {LONGEST_FIELD} bytes would be right"
                yield f"{where}.state_schema: {shown(name)} is no name of a field, and {right}"
            first, there = fields.setdefault(name, (field, f"{where}.state_schema.{name}"))
            if first != field:
                yield f"{where}.state_schema.{name}: differs from {there}, and the same would be right"
    if len(fields) > bounds.FIELDS:
        most = f"at most {bounds.FIELDS} would be right"
        yield f"nodes: have {len(fields)} fields in their state_schema together, and {most}"
    if definition.orchestrator.config.model is None:
        where = config_path(raw, definition.nodes.index(definition.orchestrator))
        yield f"{where}.model: is missing, and would be right as provider and model"
    ids = {node.id for node in definition.nodes}
    for i, edge in enumerate(definition.edges):
        for short, long, end in (("from", "source", edge.source), ("to", "target", edge.target)):
            if end not in ids:
                yield f"edges[{i}].{long if long in raw['edges'][i] else short}: {shown(end)} is not the id of a node"


def _repeated(path: str, names: list[str]) -> Iterator[str]:
    for i in _repetitions(names):
        yield f"{path.format(i)}: {shown(names[i])} is there twice, and another name would be right"


def _repetitions(names: list[str]) -> list[int]:
    return [i for i, name in enumerate(names) if names.index(name) != i]


def _path(fault: ErrorDetails, raw: object) -> str:
    """The place as the author wrote it: aliases as given by pydantic, no `config` where there was none."""
    loc = list(fault["loc"])
    if len(loc) > 2 and loc[0] == "nodes" and loc[2] == "config" and isinstance(raw, Mapping):
        node = raw["nodes"][loc[1]]
        if node.get("config") is None:
            del loc[2]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return text[: bounds.LONGEST_PATH] or "agent_definition"


def _complaint(fault: ErrorDetails) -> str:
    """Pydantic's words in this house's: what it is, and what would be right."""
    match fault["type"]:
        case "missing":
            return "is missing"
        case "literal_error":
            return f"{shown(fault['input'])} is not one of {fault['ctx']['expected']}"
        case "blank" | "model" | "tool" | "too_many":
            return fault["msg"]
        case "too_short":
            return "is empty, and would be right with at least one"
        case "string_too_long":
            return f"has {len(fault['input'])} characters, and at most {fault['ctx']['max_length']} would be right"
        case "string_pattern_mismatch":
            return f"{shown(fault['input'])} does not match {fault['ctx']['pattern']}"
        case kind if (name := kind.removesuffix("_type").removesuffix("_parsing")) in WANTED:
            return f"{_kind(fault['input'])}, and {WANTED[name]} would be right"
        case _:
            return f"{shown(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)


def _refusal(faults: list[str]) -> PermanentError:
    more = [f"and {len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
    return PermanentError("invalid_definition", "; ".join([*faults[:FAULTS_SHOWN], *more]))
