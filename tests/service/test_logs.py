"""Logs: one JSON object a line, with the job in it, and nothing of what jobs say."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from agent_executor.telemetry import logs

CANARY = "canary-77"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    yield io.StringIO()
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.configure(**before[2])


def fail() -> None:
    raise RuntimeError("outer") from ValueError(CANARY)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_logger_and_the_job(written: io.StringIO) -> None:
    logs.configure("info", stream=written)
    with logs.about(job_id="j", trace_id="t", other=None):
        structlog.get_logger("here").info("job: taken", epoch=1)
        logging.getLogger("a.library").warning("said %s", "so")
    structlog.get_logger("here").debug("not this")
    own, foreign = lines(written)
    assert own.pop("ts").endswith("Z")
    assert own == {
        "event": "job: taken",
        "epoch": 1,
        "level": "info",
        "logger": "here",
        "job_id": "j",
        "trace_id": "t",
    }
    assert (foreign["event"], foreign["level"], foreign["logger"], foreign["job_id"]) == (
        "said so",
        "warning",
        "a.library",
        "j",
    )


@pytest.mark.parametrize("content", [False, True])
def test_an_exception_is_its_types_and_frames_and_its_text_only_where_asked_for(
    written: io.StringIO, *, content: bool
) -> None:
    logs.configure("info", content=content, stream=written)
    try:
        fail()
    except RuntimeError:
        structlog.get_logger("here").exception("failed")
    (line,) = lines(written)
    assert [each["type"] for each in line["exception"]] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert line["exception"][0]["frames"][0].startswith("service/test_logs.py:")
    assert (CANARY in str(line)) is content


@pytest.mark.parametrize("name", logs.CHATTY)
def test_libraries_that_log_requests_only_warn(written: io.StringIO, name: str) -> None:
    logs.configure("debug", stream=written)
    logging.getLogger(name).info(CANARY)
    logging.getLogger(name).debug(CANARY)
    assert written.getvalue() == ""


def test_a_line_break_or_a_strange_value_is_one_line_all_the_same(written: io.StringIO) -> None:
    logs.configure("info", stream=written)
    structlog.get_logger("here").info("a\nb", value=object(), text="c\r\nd")
    assert written.getvalue().count("\n") == 1
