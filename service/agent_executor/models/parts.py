"""The parts of an agent definition, each checking what it can see alone; `definition` checks them together.

Contract section 4's format, in all the variants that existing clients send: letter case, configuration flat on the
node, `model_name`, `from`/`to`, a model as one text.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import model_validator as validator
from pydantic_core import PydanticCustomError

from agent_executor.errors import shown
from agent_executor.models import bounds

LONGEST_FIELD = 255  # bytes of a state field's name, which is part of a primary key
RESERVED_FIELDS = frozenset({"job_usage", "jump_to", "structured_response", "is_last_step", "remaining_steps"})
"""State of our own and of the libraries, as is every name with a leading underscore or a colon."""
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
Name = Annotated[str, Field(max_length=bounds.NAME), AfterValidator(_text)]
# Of long lists the first fault stands for all: to tell thousands takes pydantic a second.
ToolNames = Annotated[tuple[Text, ...], Field(fail_fast=True), bounds.at_most(bounds.NODE_TOOLS)]
Version = Annotated[
    str, Field(max_length=bounds.NAME), BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)
]


class Part(BaseModel):
    """Any part of a definition: frozen; keys that mean nothing here are ignored, as clients send more than we use."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)


class ScriptedCall(Part):
    """A tool call of a scripted turn."""

    name: Name
    args: dict[str, Any] = {}


class Turn(Part):
    """One answer of the scripted model."""

    text: str = ""
    tool_calls: Annotated[tuple[ScriptedCall, ...], Field(fail_fast=True), bounds.at_most(bounds.CALLS)] = ()
    delay_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0


class Model(Part):
    """Which model answers for a node."""

    provider: Annotated[Literal["openai", "anthropic", "ollama", "scripted"], BeforeValidator(_lower)]
    model: Name = Field(validation_alias=AliasChoices("model", "model_name"))
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    script: Annotated[tuple[Turn, ...], Field(fail_fast=True), bounds.at_most(bounds.TURNS)] = ()

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


Decision = Literal["approve", "edit", "reject", "respond"]


class Decisions(Part):
    """What a human may answer when a tool call waits for one."""

    allowed_decisions: Annotated[
        tuple[Decision, ...], Field(min_length=1, fail_fast=True), bounds.at_most(len(get_args(Decision)))
    ]


class Config(Part):
    """How a node behaves; calls of the tools in `interrupt_on` (ours, not in contract section 4) wait for a human."""

    name: Name | None = None
    description: str | None = None
    system_prompt: str | None = Field(None, validation_alias=AliasChoices("system_prompt", "prompt"))
    model: Model | None = Field(None, validation_alias=AliasChoices("model", "model_name"))
    tools: ToolNames = ()
    state_schema: Annotated[dict[Text, StateField], bounds.at_most(bounds.FIELDS)] = {}
    interrupt_on: Annotated[dict[Text, bool | Decisions], Field(fail_fast=True), bounds.at_most(bounds.NODE_TOOLS)] = {}

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

    id: Name
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
    dependencies: Annotated[tuple[Text, ...], Field(fail_fast=True), bounds.at_most(bounds.DEPENDENCIES)] = ()


class Mcp(Part):
    """A tool server that speaks the Model Context Protocol over HTTP; `tools` picks some of its tools."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=bounds.URL)]
    transport: Literal["streamable_http", "sse"] = "streamable_http"
    tools: ToolNames | None = None


class ToolDefinition(Part):
    """A tool that agents may name: a script, or an MCP server with all its tools."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
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

    name: Name = "agent"
    version: Version = "1"
    tool_definitions: Annotated[tuple[ToolDefinition, ...], bounds.at_most(bounds.TOOLS)] = ()
    nodes: Annotated[tuple[Node, ...], Field(min_length=1), bounds.at_most(bounds.NODES)]
    edges: Annotated[tuple[Edge, ...], bounds.at_most(bounds.EDGES)] = ()

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
