"""The page on how to publish a job says what is so: its tool runs, its fields are read, its events come."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from agent_executor.models import bounds
from agent_executor.models.jobs import State
from agent_executor.models.parts import Config, ScriptedCall, StateField, Turn
from agent_executor.services import schemas
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
from tests.support import graphs
from tests.support.graphs import Bench

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "publish-a-job.md").read_text("utf-8")
SCRIPT = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "@tool" in block)
EVENTS = {kind: set(re.findall(r"`(\w+)`", data)) for kind, data in re.findall(r"\| `(on_\w+|end)` \| (.*) \|", PAGE)}


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[ToolRunner]:
    runner = ToolRunner(Limits(), tmp_path)
    yield runner
    await runner.close()


async def test_the_pages_tool_and_events_are_so(workers: ToolRunner) -> None:
    table = Bench(tools=workers)
    turns = graphs.plan(graphs.calls(graphs.call("note", line="first"), text="I note it."), {"text": "Noted."})
    result = await table.result(graphs.agent(turns, scripts={"note": SCRIPT}))
    assert result["files"]["/notes.md"]["content"] == ["first (call_0_0)"]
    told = dict(reversed(table.events))  # the first of each type, in which nothing but the state is small
    told["on_state_update"] = table.seen("on_state_update")[-1]
    assert EVENTS.keys() - {"end"} == told.keys()
    for kind, data in told.items():
        assert data.keys() <= EVENTS[kind], kind
    (file,), (said, *_) = told["on_state_update"]["files"].values(), told["on_state_update"]["messages"][1:]
    assert file.keys() | {"role", "content", "id", "tool_calls"} <= EVENTS["on_state_update"]
    assert {"role", "content", "id", "tool_calls"} <= said.keys()
    assert EVENTS["end"] - {"status"} == set(get_args(State)) - {"queued", "running"}


def test_the_pages_fields_are_those_that_are_read() -> None:
    (row,) = re.findall(r"\| `nodes\[\]\.config` \| (.*) \|", PAGE)
    assert set(re.findall(r"`(\w+)`", row)) == set(Config.model_fields)
    (row,) = re.findall(r"\| `….state_schema` \| (.*) \|", PAGE)
    assert set(get_args(StateField.model_fields["type"].annotation)) <= set(re.findall(r"`(\w+)`", row))
    assert all(f'"{name}"' in row for name in StateField.model_fields)
    assert all(f'"{name}"' in PAGE for part in (Turn, ScriptedCall) for name in part.model_fields)


def test_the_pages_bounds_are_those_that_hold() -> None:
    table = PAGE.partition("entries of lists and objects in all:")[2].partition("###")[0]
    assert dict(re.findall(r"\| (.*) \| (\d.*) \|", table)) == {
        "`nodes`": f"{bounds.NODES}",
        "`tool_definitions`": f"{bounds.TOOLS}",
        "`edges`": f"{bounds.EDGES}",
        "`tools` of a node or of a tool server, `interrupt_on`": f"{bounds.NODE_TOOLS}",
        "`state_schema`, of all nodes together": f"{bounds.FIELDS}",
        "`dependencies` of a tool": f"{bounds.DEPENDENCIES}",
        "`script` of a scripted model, and `tool_calls` of one turn": f"{bounds.TURNS} and {bounds.CALLS}",
        "values in the JSON schemas of all tools' arguments, keys and the "
        f"{schemas.TOOL} that each tool counts among them; of one tool": (
            f"{schemas.ALL_VALUES:,}; {schemas.MOST_VALUES:,}"
        ),
        "characters in them, and in the tools' descriptions; of one tool's schema": (
            f"{schemas.ALL_CHARACTERS:,}; {schemas.MOST_CHARACTERS:,}"
        ),
        "characters of a name, a node's `id`, the `version`, a model's name": f"{bounds.NAME}",
    }
    assert f"{bounds.ENTRIES:,} entries" in PAGE
