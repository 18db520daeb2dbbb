"""Logs: one JSON object a line, with the job in it, and nothing of what jobs say."""

import io
import json
import logging
import subprocess
import sys

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer

from agent_executor.core import loggable
from agent_executor.telemetry import exporting, logs, traces
from agent_executor.telemetry.traces import Traces
from tests.service.test_executor import slow
from tests.support.api import ECHO, serving
from tests.support.graphs import agent
from tests.support.logged import lines
from tests.support.runtime import job, until

CANARY = "canary-77"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "00b7ad6b71692033"  # zeros in front are part of an id
PARENT = f"00-{TRACE}-{CALLER}-01"
JOINED = ("otel_trace_id", "otel_span_id")


def fail() -> None:
    raise RuntimeError("outer") from ValueError(CANARY)


def test_a_line_is_an_object_with_time_level_logger_and_the_job(written: io.StringIO) -> None:
    logs.configure("info", stream=written)
    with loggable.about("j", "t"):
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


@pytest.mark.parametrize("exported", [False, True])
def test_a_line_joins_the_span_that_it_was_written_in(written: io.StringIO, *, exported: bool) -> None:
    logs.configure("info", stream=written)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("here") if exported else NoOpTracer()
    with (
        loggable.about("j", "the publisher's"),
        Traces(tracer).span("process", {}, parent=traces.caller(PARENT, None)) as span,
    ):
        structlog.get_logger("here").info("own")
        logging.getLogger("a.library").warning("foreign")
    structlog.get_logger("here").info("outside")
    *inside, outside = lines(written)
    mine = f"{span.get_span_context().span_id:016x}"
    assert (mine == CALLER) is not exported, "without an exporter the caller's span is the last one there is"
    assert [[line[name] for name in JOINED] for line in inside] == [[TRACE, mine]] * 2
    assert {line["trace_id"] for line in inside} == {"the publisher's"}
    assert not outside.keys() & set(JOINED)


async def test_the_end_of_a_job_joins_the_trace_that_the_job_came_with(
    written: io.StringIO, env: dict[str, str]
) -> None:
    logs.configure("info", stream=written)
    given = job(ECHO)
    async with serving(env) as api:
        await api.http.post("/", json=given, headers={"traceparent": PARENT})
        assert await api.ended(given["job_id"]) == "completed"
    (ended,) = (line for line in lines(written) if line["event"] == "job: ended")
    assert [ended[name] for name in JOINED] == [TRACE, CALLER]
    assert (ended["job_id"], ended["trace_id"]) == (given["job_id"], given["trace_id"])


BROKEN = agent({"provider": "scripted", "model": "nobody"})


@pytest.mark.parametrize("exported", [False, True])
async def test_what_is_said_before_and_after_a_jobs_span_joins_its_trace_too(
    written: io.StringIO, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, exported: bool
) -> None:
    monkeypatch.setattr(exporting, "OTLPSpanExporter", InMemorySpanExporter)
    logs.configure("info", stream=written)
    broken, long, named = job(BROKEN), job(slow(20)), {"headers": {"traceparent": PARENT}}
    async with serving(env, OTEL_TRACES_EXPORTER="otlp" if exported else "none", DRAIN_SECONDS="5") as api:
        await api.http.post("/", json=broken, **named)
        assert await api.ended(broken["job_id"]) == "failed"
        await until(lambda: api.metric("jobs_total", status="failed"))  # it is logged by then, and not before
        await api.http.post("/", json=long, **named)
        await api.reaches(long["job_id"], "running")
    told = [line for line in lines(written) if line["event"].startswith("job: ")]
    assert [line["event"] for line in told] == [
        "job: taken", "job: failed", "job: ended", "job: taken", "job: handed over"
    ]  # fmt: skip
    assert {line["otel_trace_id"] for line in told} == {TRACE}
    assert [line["otel_span_id"] == CALLER for line in told if line["event"] == "job: taken"] == [True, True]
    assert [line["otel_span_id"] == CALLER for line in told if line["event"] == "job: failed"] == [not exported]


async def test_the_failure_of_a_job_joins_the_trace_that_began_with_it(
    written: io.StringIO, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = InMemorySpanExporter()
    monkeypatch.setattr(exporting, "OTLPSpanExporter", lambda: spans)
    logs.configure("info", stream=written)
    async with serving(env, OTEL_TRACES_EXPORTER="otlp") as api:
        job_id = await api.submit(BROKEN)
        assert await api.ended(job_id) == "failed"
    (process,) = (span for span in spans.get_finished_spans() if span.name == "process agent.execute")
    assert process.context
    names = {"otel_trace_id": f"{process.context.trace_id:032x}", "otel_span_id": f"{process.context.span_id:016x}"}
    found = {line["event"]: {name: line.get(name) for name in JOINED} for line in lines(written)}
    assert (found["job: failed"], found["job: ended"]) == (names, names)


def test_a_line_costs_nobody_the_import_of_opentelemetry() -> None:
    program = (
        "import logging, sys; from agent_executor.telemetry import logs; logs.configure('info');"
        "logging.getLogger('here').info('said'); print(*(name for name in sys.modules if name.startswith('opentel')))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line, modules = said.stdout.splitlines()
    assert json.loads(line)["event"] == "said"
    assert not modules


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
