"""The agent definition: contract section 4's format, in all the variants that existing clients send.

A `Definition` that exists can be built as far as its text goes: one orchestrator, known tools, known providers, edges
between known nodes. Every fault carries the path where the definition's author wrote it (`nodes[2].model.provider`
where the configuration sits flat on the node), and all faults are told at once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import model_validator as validator
from pydantic_core import ErrorDetails, PydanticCustomError

from agent_executor.errors import PermanentError, shown

FAULTS_SHOWN = 10
PROVIDERS = ("openai", "anthropic", "ollama", "scripted")
FILE_TOOLS = frozenset({"ls", "read_file", "write_file", "edit_file", "delete", "glob", "grep", "execute"})
BUILT_IN = FILE_TOOLS | {"task", "write_todos", "http_request"}
"""Tools that an agent has without a definition; the file tools may be replaced by a script of the same name."""
STANDARD_FIELDS = frozenset({"messages", "files", "todos"})
"""State that every graph has; clients declare it in `state_schema` too, which changes nothing."""
MODEL_FAMILIES = (
    ("claude", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
)


def _text(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "is blank, and would be right as text")
    return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_text)]
Version = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)]


class Part(BaseModel):
    """Any part of a definition: frozen; keys that mean nothing here are ignored, as clients send more than we use."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)


class ScriptedCall(Part):
    """A tool call of a scripted turn."""

    name: Text
    args: dict[str, Any] = {}


class Turn(Part):
    """One answer of the scripted model."""

    text: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    delay_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0


class Model(Part):
    """Which model answers for a node."""

    provider: Annotated[Literal["openai", "anthropic", "ollama", "scripted"], BeforeValidator(_lower)]
    model: Text = Field(validation_alias=AliasChoices("model", "model_name"))
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    script: tuple[Turn, ...] = ()

    @validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        provider, colon, name = given.partition(":")
        if colon and provider.strip().lower() in PROVIDERS:
            return {"provider": provider, "model": name}
        for prefix, family in MODEL_FAMILIES:
            if given.startswith(prefix):
                return {"provider": family, "model": given}
        raise PydanticCustomError(
            "model", "{it} names no provider, and would be right as provider:model", {"it": shown(given)}
        )

    @validator(mode="after")
    def _scripted(self) -> "Model":
        if self.provider == "scripted":
            if self.model not in ("echo", "plan"):
                raise PydanticCustomError(
                    "model", "{it} is not a scripted model: echo or plan", {"it": shown(self.model)}
                )
            if self.model == "plan" and not self.script:
                raise PydanticCustomError("model", "plan has no script, and would be right with a list of turns")
        return self


class StateField(Part):
    """One more field of the graph's state."""

    type: Annotated[Literal["list", "dict", "str", "int", "float", "bool", "any"], BeforeValidator(_lower)] = "any"
    item_type: str | None = None
    reducer: Literal["add_messages"] | None = None

    @validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        return {"type": given} if isinstance(given, str) else given


class Config(Part):
    """How a node behaves."""

    name: Text | None = None
    description: str | None = None
    system_prompt: str | None = Field(None, validation_alias=AliasChoices("system_prompt", "prompt"))
    model: Model | None = Field(None, validation_alias=AliasChoices("model", "model_name"))
    tools: tuple[Text, ...] = ()
    state_schema: dict[Text, StateField] = {}

    @validator(mode="before")
    @classmethod
    def _with_provider(cls, given: object) -> object:
        if isinstance(given, Mapping) and "provider" in given:
            name = given.get("model", given.get("model_name"))
            if isinstance(name, str):
                return {**given, "model": {"provider": given["provider"], "model": name}}
        return {k: v for k, v in given.items() if v is not None} if isinstance(given, Mapping) else given


class Node(Part):
    """An agent of the definition; `name` is what other agents call it."""

    id: Text
    type: Annotated[Literal["orchestrator", "specialist"], BeforeValidator(_lower)] = "specialist"
    config: Config = Config()

    @validator(mode="before")
    @classmethod
    def _flat(cls, given: object) -> object:
        return {**given, "config": given} if isinstance(given, Mapping) and given.get("config") is None else given

    @property
    def name(self) -> str:
        """The name of this agent in the `task` tool and in events."""
        return self.config.name or self.id


class Edge(Part):
    """Who delegates to whom; checked, and otherwise told by the node types."""

    source: Text = Field(validation_alias=AliasChoices("source", "from"))
    target: Text = Field(validation_alias=AliasChoices("target", "to"))
    type: str | None = None


class Runtime(Part):
    """The Python source of a tool: one `@tool`."""

    script: Text
    dependencies: tuple[Text, ...] = ()


class Mcp(Part):
    """A tool server that speaks the Model Context Protocol over HTTP; `tools` picks some of its tools."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    transport: Literal["streamable_http", "sse"] = "streamable_http"
    tools: tuple[Text, ...] | None = None


class ToolDefinition(Part):
    """A tool that agents may name: a script, or an MCP server with all its tools."""

    name: Text
    description: str | None = None
    runtime: Runtime | None = None
    mcp: Mcp | None = None

    @validator(mode="after")
    def _one(self) -> "ToolDefinition":
        if (self.runtime is None) == (self.mcp is None):
            raise PydanticCustomError("tool", "has not exactly one of runtime and mcp")
        return self


class Definition(Part):
    """A whole agent."""

    name: Text = "agent"
    version: Version = "1"
    tool_definitions: tuple[ToolDefinition, ...] = ()
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)]
    edges: tuple[Edge, ...] = ()

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        return {k: v for k, v in given.items() if v is not None} if isinstance(given, Mapping) else given

    @property
    def orchestrator(self) -> Node:
        """The node that the job's input goes to: the one of that type, else the first."""
        return next((node for node in self.nodes if node.type == "orchestrator"), self.nodes[0])

    @property
    def specialists(self) -> tuple[Node, ...]:
        """The other nodes, in their order."""
        return tuple(node for node in self.nodes if node is not self.orchestrator)


def parse(raw: Mapping[str, Any]) -> Definition:
    """A definition as it came; raises `PermanentError("invalid_definition")` with every fault and its path."""
    try:
        definition = Definition.model_validate(raw)
    except ValidationError as error:
        raise _refusal([f"{_path(fault, raw)}: {_complaint(fault)}" for fault in error.errors()]) from None
    if faults := list(_contradictions(definition, raw)):
        raise _refusal(faults)
    return definition


def digest(raw: Mapping[str, Any]) -> str:
    """The definition's SHA-256 in hex, whatever the order of its keys."""
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def config_path(raw: Mapping[str, Any], index: int) -> str:
    """Where node `index` keeps its configuration: `nodes[0].config`, or `nodes[0]` if it sits flat on the node."""
    return f"nodes[{index}]" if raw["nodes"][index].get("config") is None else f"nodes[{index}].config"


def _contradictions(definition: Definition, raw: Mapping[str, Any]) -> Iterator[str]:
    """What no part can see alone."""
    orchestrators = [i for i, node in enumerate(definition.nodes) if node.type == "orchestrator"]
    for i in orchestrators[1:]:
        yield f"nodes[{i}].type: a second Orchestrator beside nodes[{orchestrators[0]}], and exactly one would be right"
    yield from _repeated("nodes[{}].id", [node.id for node in definition.nodes])
    if len({node.id for node in definition.nodes}) == len(definition.nodes):
        yield from _repeated("nodes[{}].config.name", [node.name for node in definition.nodes])
    yield from _repeated("tool_definitions[{}].name", [tool.name for tool in definition.tool_definitions])
    for i, tool in enumerate(definition.tool_definitions):
        if tool.name in BUILT_IN - FILE_TOOLS:
            yield f"tool_definitions[{i}].name: {shown(tool.name)} is a built-in tool, and another name would be right"
    tools = BUILT_IN | {tool.name for tool in definition.tool_definitions}
    fields: dict[str, tuple[StateField, str]] = {}
    for i, node in enumerate(definition.nodes):
        where = config_path(raw, i)
        for j, name in enumerate(node.config.tools):
            if name not in tools:
                yield f"{where}.tools[{j}]: {shown(name)} is neither in tool_definitions nor built in"
        for name, field in node.config.state_schema.items():
            first, there = fields.setdefault(name, (field, f"{where}.state_schema.{name}"))
            if first != field:
                yield f"{where}.state_schema.{name}: differs from {there}, and the same would be right"
    if definition.orchestrator.config.model is None:
        where = config_path(raw, definition.nodes.index(definition.orchestrator))
        yield f"{where}.model: is missing, and would be right as provider and model"
    ids = {node.id for node in definition.nodes}
    for i, edge in enumerate(definition.edges):
        for short, long, end in (("from", "source", edge.source), ("to", "target", edge.target)):
            if end not in ids:
                yield f"edges[{i}].{long if long in raw['edges'][i] else short}: {shown(end)} is not the id of a node"


def _repeated(path: str, names: list[str]) -> Iterator[str]:
    counts = Counter(names)
    for i, name in enumerate(names):
        if counts[name] > 1 and names.index(name) != i:
            yield f"{path.format(i)}: {shown(name)} is there twice, and another name would be right"


def _path(fault: ErrorDetails, raw: object) -> str:
    """The place as the author wrote it: aliases as given by pydantic, no `config` where there was none."""
    loc = list(fault["loc"])
    if len(loc) > 2 and loc[0] == "nodes" and loc[2] == "config" and isinstance(raw, Mapping):
        node = raw["nodes"][loc[1]]
        if node.get("config") is None:
            del loc[2]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return text[:200] or "agent_definition"


def _complaint(fault: ErrorDetails) -> str:
    """Pydantic's words in this house's: what it is, and what would be right."""
    match fault["type"]:
        case "missing":
            return "is missing"
        case "literal_error":
            return f"{shown(fault['input'])} is not one of {fault['ctx']['expected']}"
        case "blank" | "model" | "tool":
            return fault["msg"]
        case "too_short":
            return "is empty, and would be right with at least one"
        case kind if kind.endswith("_type") or kind.startswith("model_"):
            return f"{_kind(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
        case _:
            return f"{shown(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)


def _refusal(faults: list[str]) -> PermanentError:
    more = [f"and {len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
    return PermanentError("invalid_definition", "; ".join([*faults[:FAULTS_SHOWN], *more]))
