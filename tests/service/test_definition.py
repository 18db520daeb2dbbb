"""The agent definition: what is taken, and what a refusal says."""

import contextlib
import copy
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_executor.errors import PermanentError, shown
from agent_executor.models import bounds, definition

SCRIPT = "from langchain_core.tools import tool\n\n@tool\ndef find(q: str) -> str:\n    'Find.'\n    return q\n"


def usual() -> dict[str, Any]:
    """The contract's own example, filled in."""
    return {
        "name": "writer",
        "version": "1",
        "tool_definitions": [{"name": "find", "runtime": {"script": SCRIPT, "dependencies": ["langchain-core>=0.3"]}}],
        "nodes": [
            {
                "id": "main",
                "type": "Orchestrator",
                "config": {
                    "name": "boss",
                    "description": "Leads.",
                    "system_prompt": "Lead.",
                    "model": {"provider": "openai", "model": "gpt-4.1-mini"},
                    "tools": ["find"],
                    "state_schema": {"notes": {"type": "list", "item_type": "str", "reducer": "add_messages"}},
                },
            },
            {
                "id": "spec",
                "type": "Specialist",
                "config": {"name": "scout", "model": {"provider": "anthropic", "model": "claude-haiku"}, "tools": []},
            },
        ],
        "edges": [{"source": "main", "target": "spec", "type": "orchestrator"}],
    }


def edited(edit: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    raw = usual()
    edit(raw)
    return raw


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that puts the last argument at the path of the others."""
    *way, last, value = path

    def edit(raw: Any) -> None:
        for step in way:
            raw = raw[step]
        raw[last] = value

    return edit


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    *way, last = path

    def edit(raw: Any) -> None:
        for step in way:
            raw = raw[step]
        del raw[last]

    return edit


def flatten(raw: dict[str, Any]) -> None:
    for node in raw["nodes"]:
        node.update(node.pop("config"))


def test_the_contracts_example_is_taken() -> None:
    parsed = definition.parse(usual())
    assert parsed.orchestrator.name == "boss"
    assert [node.name for node in parsed.specialists] == ["scout"]
    assert parsed.orchestrator.config.state_schema["notes"].reducer == "add_messages"


VARIANTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "types in lower case": put("nodes", 0, "type", "orchestrator"),
    "types in upper case": put("nodes", 0, "type", "ORCHESTRATOR"),
    "configuration flat on the node": flatten,
    "model_name inside model": put("nodes", 0, "config", "model", {"provider": "OpenAI", "model_name": "gpt-4.1-mini"}),
    "model as text with its provider": put("nodes", 0, "config", "model", "openai:gpt-4.1-mini"),
    "model as text of a known family": put("nodes", 0, "config", "model", "gpt-4.1-mini"),
    "provider beside a model text": lambda raw: raw["nodes"][0]["config"].update(
        provider="openai", model="gpt-4.1-mini"
    ),
    "model_name for model": lambda raw: raw["nodes"][0]["config"].update(
        model_name=raw["nodes"][0]["config"].pop("model")
    ),
    "edges from and to": put("edges", [{"from": "main", "to": "spec"}]),
    "no orchestrator: the first node": put("nodes", 0, "type", "Specialist"),
    "no types at all": lambda raw: [node.pop("type") for node in raw["nodes"]],
    "no name and version": lambda raw: (raw.pop("name"), raw.pop("version")),
    "a version that is a number": put("version", 1.5),
    "null for what is not there": put("edges", None),
    "null in a configuration": put("nodes", 0, "config", "description", None),
    "fields that mean nothing here": put("nodes", 0, "config", "position", {"x": 1}),
}


@pytest.mark.parametrize("edit", VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_mean_the_same(edit: Callable[[dict[str, Any]], Any]) -> None:
    parsed = definition.parse(edited(edit))
    main = parsed.orchestrator
    assert (main.id, main.name) == ("main", "boss")
    assert main.config.model is not None
    assert (main.config.model.provider, main.config.model.model) == ("openai", "gpt-4.1-mini")
    assert [node.name for node in parsed.specialists] == ["scout"]


NOTES = "config.state_schema.notes"
LONG_NAME = "is no name of a field, and printable characters and at most 255 bytes would be right"
FAULTS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    (
        "unknown provider",
        put("nodes", 1, "config", "model", "provider", "acme"),
        "nodes[1].config.model.provider: 'acme' is not one of 'openai', 'anthropic', 'ollama' or 'scripted'",
    ),
    (
        "unknown provider, flat",
        lambda raw: (put("nodes", 1, "config", "model", "provider", "acme")(raw), flatten(raw)),
        "nodes[1].model.provider: 'acme' is not one of 'openai', 'anthropic', 'ollama' or 'scripted'",
    ),
    (
        "two orchestrators",
        put("nodes", 1, "type", "Orchestrator"),
        "nodes[1].type: a second Orchestrator beside nodes[0], and exactly one would be right",
    ),
    (
        "unknown type",
        put("nodes", 1, "type", "Boss"),
        "nodes[1].type: 'boss' is not one of 'orchestrator' or 'specialist'",
    ),
    (
        "unknown tool",
        put("nodes", 1, "config", "tools", ["nope"]),
        "nodes[1].config.tools[0]: 'nope' is neither in tool_definitions nor built in",
    ),
    ("no nodes", put("nodes", []), "nodes: is empty, and would be right with at least one"),
    ("too many nodes", put("nodes", usual()["nodes"] * 26), "nodes: has 52 entries, and at most 50 would be right"),
    ("nodes missing", drop("nodes"), "nodes: is missing"),
    ("nodes not a list", put("nodes", "x"), "nodes: text, and a list would be right"),
    ("a node that is text", put("nodes", 1, "x"), "nodes[1]: text, and an object would be right"),
    ("node without id", drop("nodes", 1, "id"), "nodes[1].id: is missing"),
    ("blank id", put("nodes", 1, "id", " "), "nodes[1].id: is blank, and would be right as text"),
    (
        "the same id twice",
        lambda raw: (put("nodes", 1, "id", "main")(raw), drop("edges")(raw)),
        "nodes[1].id: 'main' is there twice, and another name would be right",
    ),
    (
        "the same name twice",
        put("nodes", 1, "config", "name", "boss"),
        "nodes[1].config.name: 'boss' is there twice, and another name would be right",
    ),
    (
        "the same tool twice",
        lambda raw: raw["tool_definitions"].append(copy.deepcopy(raw["tool_definitions"][0])),
        "tool_definitions[1].name: 'find' is there twice, and another name would be right",
    ),
    (
        "a tool named like a built-in one",
        lambda raw: (put("tool_definitions", 0, "name", "task")(raw), drop("nodes", 0, "config", "tools")(raw)),
        "tool_definitions[0].name: 'task' is a built-in tool, and another name would be right",
    ),
    (
        "tool without runtime",
        drop("tool_definitions", 0, "runtime"),
        "tool_definitions[0]: has not exactly one of runtime and mcp",
    ),
    (
        "empty script",
        put("tool_definitions", 0, "runtime", "script", "\n"),
        "tool_definitions[0].runtime.script: is blank, and would be right as text",
    ),
    ("edge to nowhere", put("edges", 0, "target", "gone"), "edges[0].target: 'gone' is not the id of a node"),
    (
        "edge from nowhere",
        put("edges", [{"from": "gone", "to": "spec"}]),
        "edges[0].from: 'gone' is not the id of a node",
    ),
    (
        "no model",
        drop("nodes", 0, "config", "model"),
        "nodes[0].config.model: is missing, and would be right as provider and model",
    ),
    (
        "model without a name",
        put("nodes", 0, "config", "model", {"provider": "openai"}),
        "nodes[0].config.model.model: is missing",
    ),
    (
        "model of an unknown family",
        put("nodes", 0, "config", "model", "llama"),
        "nodes[0].config.model: 'llama' names no provider, and would be right as provider:model",
    ),
    (
        "scripted plan without a script",
        put("nodes", 0, "config", "model", {"provider": "scripted", "model": "plan"}),
        "nodes[0].config.model: plan has no script, and would be right with a list of turns",
    ),
    (
        "unknown scripted model",
        put("nodes", 0, "config", "model", "scripted:dance"),
        "nodes[0].config.model: 'dance' is not a scripted model: echo or plan",
    ),
    (
        "temperature too high",
        put("nodes", 0, "config", "model", "temperature", 9),
        "nodes[0].config.model.temperature: 9: input should be less than or equal to 2",
    ),
    (
        "unknown field type",
        put("nodes", 0, "config", "state_schema", "notes", {"type": "tree"}),
        f"nodes[0].{NOTES}.type: 'tree' is not one of 'list', 'dict', 'str', 'int', 'float', 'bool' or 'any'",
    ),
    (
        "unknown reducer",
        put("nodes", 0, "config", "state_schema", "notes", "reducer", "max"),
        "nodes[0].config.state_schema.notes.reducer: 'max' is not one of 'add_messages'",
    ),
    (
        "a field that is ours",
        put("nodes", 0, "config", "state_schema", {"job_usage": "dict"}),
        "nodes[0].config.state_schema: 'job_usage' is a reserved name, and another would be right",
    ),
    (
        "a field of LangGraph's",
        put("nodes", 0, "config", "state_schema", {"__interrupt__": "any"}),
        "nodes[0].config.state_schema: '__interrupt__' is a reserved name, and another would be right",
    ),
    (
        "a field's name is too long for a key",
        put("nodes", 0, "config", "state_schema", {"ü" * 128: "any"}),
        f"nodes[0].config.state_schema: {shown('ü' * 128)} {LONG_NAME}",
    ),
    (
        "a field's name has a line feed",
        put("nodes", 0, "config", "state_schema", {"a\nb": "any"}),
        f"nodes[0].config.state_schema: {shown('a' + chr(10) + 'b')} {LONG_NAME}",
    ),
    (
        "one field with two types",
        put("nodes", 1, "config", "state_schema", {"notes": "dict"}),
        f"nodes[1].{NOTES}: differs from nodes[0].{NOTES}, and the same would be right",
    ),
]


@pytest.mark.parametrize(("edit", "message"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_carries_its_path(edit: Callable[[dict[str, Any]], Any], message: str) -> None:
    with pytest.raises(PermanentError) as refused:
        definition.parse(edited(edit))
    assert (refused.value.type, refused.value.message) == ("invalid_definition", message)


def test_all_faults_are_told_at_once_and_not_endlessly() -> None:
    raw = edited(put("nodes", 1, "config", "tools", [f"tool{i}" for i in range(40)]))
    with pytest.raises(PermanentError) as refused:
        definition.parse(raw)
    assert "tools[9]" in refused.value.message
    assert refused.value.message.endswith("and 30 more")


def test_a_list_of_faulty_nodes_is_not_called_empty() -> None:
    with pytest.raises(PermanentError) as refused:
        definition.parse(
            {"name": "x", "nodes": [{"id": "a", "type": "Orchestrator", "config": {"model": "no-provider"}}]}
        )
    assert "empty" not in refused.value.message


ZEROS = [0] * 400_000
CROWDED: list[tuple[str, tuple[Any, ...], Any, int]] = [
    ("nodes", ("nodes",), 0, bounds.NODES),
    ("tool definitions", ("tool_definitions",), 0, bounds.TOOLS),
    ("edges", ("edges",), 0, bounds.EDGES),
    ("tools of a node", ("nodes", 0, "config", "tools"), 0, bounds.NODE_TOOLS),
    ("turns", ("nodes", 0, "config", "model", "script"), 0, bounds.TURNS),
    ("calls of a turn", ("nodes", 0, "config", "model", "script", 0, "tool_calls"), 0, bounds.CALLS),
    ("fields of the state", ("nodes", 0, "config", "state_schema"), {}, bounds.FIELDS),
    ("calls that wait", ("nodes", 0, "config", "interrupt_on"), {}, bounds.NODE_TOOLS),
    ("decisions", ("nodes", 0, "config", "interrupt_on", "find", "allowed_decisions"), 0, 4),
    ("dependencies", ("tool_definitions", 0, "runtime", "dependencies"), 0, bounds.DEPENDENCIES),
    ("tools of a server", ("tool_definitions", 0, "mcp", "tools"), 0, bounds.NODE_TOOLS),
]


def with_everything() -> dict[str, Any]:
    raw = usual()
    raw["nodes"][0]["config"].update(
        model={"provider": "scripted", "model": "plan", "script": [{}]},
        interrupt_on={"find": {"allowed_decisions": ["approve"]}},
    )
    raw["tool_definitions"][0]["mcp"] = {"url": "https://mcp.example.com/mcp"}
    return raw


def written(way: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way).lstrip(".")


@pytest.mark.parametrize(("way", "kind", "most"), [row[1:] for row in CROWDED], ids=[row[0] for row in CROWDED])
def test_what_is_too_long_is_counted_before_it_is_read(way: tuple[Any, ...], kind: Any, most: int) -> None:
    raw = with_everything()
    entries = ZEROS[: most + 1] if kind == 0 else {f"f{i}": [] for i in range(most + 1)}
    put(*way, entries)(raw)
    with pytest.raises(PermanentError) as refused:
        definition.parse(raw)
    told = written(way).replace("interrupt_on.find", "interrupt_on.find.Decisions")
    faults = [fault for fault in refused.value.message.split("; ") if fault.startswith(told)]
    assert faults == [f"{told}: has {most + 1} entries, and at most {most} would be right"]


@pytest.mark.parametrize("way", [row[1] for row in CROWDED], ids=[row[0] for row in CROWDED])
def test_a_megabyte_of_faults_is_refused_at_once(way: tuple[Any, ...]) -> None:
    raw = with_everything()
    put(*way, ZEROS)(raw)
    assert refusal_in_time(raw) == (
        f"{written(way)}: with its 400000 entries there are more than {bounds.ENTRIES} in all, and fewer would be right"
    )


def refusal_in_time(raw: dict[str, Any]) -> str:
    began = time.process_time()
    with pytest.raises(PermanentError) as refused:
        definition.parse(raw)
    assert time.process_time() - began < 0.5  # a tenth of it, mostly; it was seconds
    return refused.value.message


# In every node; with the number of faults that the first ten stand for: of lists, and of the calls that wait, one each.
SPREAD: dict[str, tuple[dict[str, Any], int]] = {
    "fields": ({"state_schema": {f"f{i}": 0 for i in range(bounds.FIELDS)}}, 50 * 100),
    "calls that wait": ({"interrupt_on": {f"t{i}": {} for i in range(bounds.NODE_TOOLS)}}, 50 * 2),
    "tools": ({"tools": [0] * bounds.NODE_TOOLS}, 50),
    "turns": ({"model": {"provider": "scripted", "model": "plan", "script": [0] * 350}}, 50),
    "calls": ({"model": {"provider": "scripted", "model": "plan", "script": [{"tool_calls": [0] * 80}] * 4}}, 50),
    "decisions": ({"interrupt_on": {"ls": {"allowed_decisions": [0] * 4}}}, 50 * 2),
}


@pytest.mark.parametrize(("config", "faults"), SPREAD.values(), ids=SPREAD.keys())
def test_faults_that_are_spread_over_all_nodes_are_refused_at_once(config: dict[str, Any], faults: int) -> None:
    told = refusal_in_time({"nodes": [{"id": f"n{i}", "config": config} for i in range(bounds.NODES)]})
    assert told.endswith(f"and {faults - 10} more")


def test_arguments_and_what_means_nothing_here_count_too() -> None:
    deep = {"x": [{"y": [[]] * (bounds.ENTRIES - 100)}]}
    for way in (("viewport",), ("nodes", 0, "config", "model", "script", 0, "tool_calls")):
        raw = with_everything()
        raw["tool_definitions"][0].pop("mcp")
        given: Any = [{"name": "find", "args": deep}] if way[-1] == "tool_calls" else deep
        put(*way, given)(raw)
        definition.parse(raw)
        deep["x"].append({"y": [0] * 100})
        with pytest.raises(PermanentError, match=rf"{way[-1]}.*\.y: with its \d+ entries there are more than 20000"):
            definition.parse(raw)
        deep["x"].pop()


def test_fields_count_over_all_nodes() -> None:
    config = {"model": "openai:gpt-x"}
    nodes = [
        {"id": f"n{i}", "config": {**config, "state_schema": {f"f{i}_{j}": "any" for j in range(60)}}} for i in range(2)
    ]
    with pytest.raises(PermanentError) as refused:
        definition.parse({"nodes": nodes})
    assert refused.value.message == (
        "nodes: have 120 fields in their state_schema together, and at most 100 would be right"
    )
    nodes[1]["config"] = nodes[0]["config"]
    definition.parse({"nodes": nodes})


def test_a_long_key_does_not_grow_the_paths() -> None:
    assert len(refusal_in_time({"k" * 500_000: [[[0] * 100] for _ in range(5_000)]})) < 400


NAMES: list[tuple[Any, ...]] = [
    ("name",),
    ("version",),
    ("nodes", 1, "id"),
    ("nodes", 1, "config", "name"),
    ("nodes", 1, "config", "model", "model"),
    ("nodes", 0, "config", "model", "script", 0, "tool_calls", 0, "name"),
]


@pytest.mark.parametrize("way", NAMES, ids=written)
def test_a_name_is_not_longer_than_an_event_can_repeat(way: tuple[Any, ...]) -> None:
    raw = with_everything()
    raw["nodes"][0]["config"]["model"]["script"] = [{"tool_calls": [{"name": "find"}]}]
    raw["tool_definitions"][0].pop("mcp")
    raw.pop("edges")
    put(*way, "ü" * bounds.NAME)(raw)
    definition.parse(raw)
    put(*way, "x" * (bounds.NAME + 1))(raw)
    with pytest.raises(PermanentError) as refused:
        definition.parse(raw)
    assert refused.value.message == f"{written(way)}: has 201 characters, and at most 200 would be right"


def test_an_address_is_not_longer_than_one_can_be() -> None:
    raw = edited(put("tool_definitions", 0, {"name": "find", "mcp": {"url": "http://" + "x" * 1993}}))
    definition.parse(raw)
    raw["tool_definitions"][0]["mcp"]["url"] += "x"
    with pytest.raises(PermanentError, match=r"mcp\.url: has 2001 characters, and at most 2000 would be right"):
        definition.parse(raw)


def test_a_refusal_holds_nothing_of_what_was_read() -> None:
    for edit in (put("nodes", 0, "id", " "), put("edges", 0, "target", "gone")):
        with pytest.raises(PermanentError) as refused:
            definition.parse(edited(edit))
        assert (refused.value.__context__, refused.value.__cause__) == (None, None)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(PermanentError) as refused:
        definition.parse(edited(put("nodes", 1, "config", "model", "provider", "x" * 5000)))
    assert len(refused.value.message) < 250


@pytest.mark.parametrize("raw", [None, [], "text", 5, {}, {"nodes": None}, {"nodes": [None]}, {"nodes": [{}]}])
def test_nonsense_is_refused_and_never_crashes(raw: Any) -> None:
    with pytest.raises(PermanentError):
        definition.parse(raw)


def test_the_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    raw = usual()
    turned = dict(reversed(raw.items()))
    assert definition.digest(raw) == definition.digest(turned)
    assert definition.digest(raw) != definition.digest(edited(put("nodes", 0, "config", "system_prompt", "Follow.")))
    assert len(definition.digest({"text": "\ud800"})) == 64


def test_an_mcp_server_is_a_tool_definition() -> None:
    raw = edited(put("tool_definitions", 0, {"name": "find", "mcp": {"url": "https://mcp.example.com/mcp"}}))
    tool = definition.parse(raw).tool_definitions[0]
    assert tool.mcp is not None
    assert tool.mcp.transport == "streamable_http"


def test_a_tool_that_waits_for_a_human_must_be_known() -> None:
    with pytest.raises(PermanentError, match=r"nodes\[0\]\.config\.interrupt_on: 'gone' is neither"):
        definition.parse(edited(put("nodes", 0, "config", "interrupt_on", {"gone": True})))


def test_tools_that_are_unknown_are_told_in_one_order() -> None:
    with pytest.raises(PermanentError) as refused:
        definition.parse(edited(put("nodes", 0, "config", "interrupt_on", dict.fromkeys("fbeadc", True))))
    assert [fault.split("'")[1] for fault in refused.value.message.split("; ")] == list("abcdef")


def test_edges_may_go_in_circles_as_they_only_say_who_delegates() -> None:
    definition.parse(edited(put("edges", [{"from": "main", "to": "spec"}, {"from": "spec", "to": "main"}])))


ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "orchestrator",
    [],
    ["x"],
    [[]],
    {},
    {"a": 1},
    [None],
    "a" * 1000,
]
KEYS = ["from", "to", "model_name", "provider", "interrupt_on", "mcp", "script", "tools", "state_schema", "config"]


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into a JSON value."""
    if way:
        yield way
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[step], (*way, step))


@pytest.mark.parametrize("seed", range(10))
def test_no_broken_definition_is_more_than_a_refusal(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        raw = usual()
        for _ in range(chance.randint(1, 3)):
            way = chance.choice(list(places(raw)))
            if isinstance(way[-1], str) and chance.random() < 0.3:
                way = (*way[:-1], chance.choice(KEYS))
            put(*way, copy.deepcopy(chance.choice(ODD)))(raw)
        with contextlib.suppress(PermanentError):
            assert definition.parse(raw).orchestrator.config.model is not None
