"""Every line about a job's work names the job and its trace, and none says what came with the job."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent_executor.core import loggable
from agent_executor.errors import PermanentError
from agent_executor.telemetry import logs
from tests.service.test_errors_page import raised
from tests.service.test_executor import resume
from tests.support.graphs import ECHO, agent, call, calls, configured, plan
from tests.support.runtime import caller, job, until, worker

CANARY = "canary-77"
ASKING = agent(
    plan(calls(call("write_file", file_path="/a", content="x")), {"text": "done"}), interrupt_on={"write_file": True}
)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, as the service logs it; the process's logging is put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level, structlog.get_config())
    logs.configure("info", stream=stream)
    yield stream
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.configure(**before[2])


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in found if line["event"].startswith("job: ")]


async def test_a_job_that_is_cancelled_without_an_event_is_named(env: dict[str, str], written: io.StringIO) -> None:
    async with caller(env) as outside, worker(env) as inside:
        asked = job(ASKING)
        await outside.send(asked)
        await outside.told(asked["job_id"], "interrupted")
        await until(lambda: not inside.executor.in_flight)
        assert await inside.executor.cancel(asked["job_id"]) == "cancelled"
    assert [line["event"] for line in lines(written)] == ["job: taken", "job: ended"] * 2
    assert {(line.get("job_id"), line.get("trace_id")) for line in lines(written)} == {(asked["job_id"], "trace-1")}


async def test_an_answer_that_names_no_trace_hides_none(env: dict[str, str], written: io.StringIO) -> None:
    async with caller(env) as outside, worker(env) as inside:
        asked = job(ASKING)
        await outside.send(asked)
        await outside.told(asked["job_id"], "interrupted")
        await until(lambda: not inside.executor.in_flight)  # or its end is logged after the answer is taken
        await outside.send(resume(asked["job_id"], {"decisions": [{"type": "approve"}]}))
        await outside.told(asked["job_id"], "completed")
        await until(lambda: not inside.executor.in_flight)
    assert [line["event"] for line in lines(written)] == ["job: taken", "job: ended"] * 2
    assert {line.get("trace_id") for line in lines(written)} == {"trace-1"}


@pytest.mark.parametrize("content", ["false", "true"])
async def test_a_scripts_own_words_are_logged_only_where_asked_for(
    env: dict[str, str], written: io.StringIO, content: str
) -> None:
    script = f'key = "{CANARY}"; raise RuntimeError("cannot connect with " + key)'
    bad = agent(ECHO, tools=["bad"]) | {"tool_definitions": [{"name": "bad", "runtime": {"script": script}}]}
    async with caller(env) as outside, worker(env, LOG_CONTENT=content):
        asked = job(bad)
        await outside.send(asked)
        told = (await outside.told(asked["job_id"], "failed"))["data"]["error"]
    assert CANARY in told["message"], "the publisher knows it"
    (failed,) = (line for line in lines(written) if line["event"] == "job: failed")
    assert failed["error"] == "invalid_definition"
    assert (CANARY in written.getvalue()) is (content == "true")
    assert ("place" in failed) is (content == "false")
    assert failed.get("place") in (None, "tool_definitions[0].runtime.script")


PLACES = {
    "nodes[2].config.model.provider: 'x' is none": "nodes[2].config.model.provider",
    "input_payload.messages[0]: is not a message": "input_payload.messages[0]",
    f"input_payload.files./{CANARY}.content: is no list": "input_payload.files",
    f"nodes[0].{CANARY}: is not known": "nodes[0]",
    "names: something": None,
    f"{CANARY}: something": None,
}


@pytest.mark.parametrize(("message", "place"), PLACES.items())
def test_of_a_place_only_our_own_words_are_logged(message: str, place: str | None) -> None:
    told = loggable.words(PermanentError("invalid_definition", message), configured())
    assert told == {"error": "invalid_definition"} | ({"place": place} if place else {})


def test_a_message_in_our_own_words_is_logged() -> None:
    told = loggable.words(PermanentError("limit_exceeded", "wall clock: too much"), configured())
    assert told == {"error": "limit_exceeded", "message": "wall clock: too much"}


def test_what_may_quote_is_not_among_our_own_words() -> None:
    quoting = {
        "invalid_event",
        "invalid_definition",
        "invalid_input",
        "invalid_state",
        "mcp_refused",
        "mcp_unavailable",
    }
    assert raised().keys() - quoting == loggable.OWN_WORDS


def test_no_message_is_logged_beside_those_words() -> None:
    core = Path(loggable.__file__).parent
    for name in ("executor.py", "attempt.py", "strays.py"):
        assert not re.search(r"log\.\w+\([^\n]*\.message", (core / name).read_text()), name
