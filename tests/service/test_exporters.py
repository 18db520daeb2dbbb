"""OTEL_* means what OpenTelemetry says it means, or the service does not start."""

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_executor.api import main
from agent_executor.settings import SettingsError
from agent_executor.telemetry import exporting, traces
from tests.support.graphs import configured

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
GRPC = "is not http/protobuf (port 4318 of most collectors)"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, InMemorySpanExporter]:
    """The exporters that were made, by their names."""
    found: dict[str, InMemorySpanExporter] = {}

    def making(name: str) -> Any:
        def make(**_: object) -> SpanExporter:
            found[name] = InMemorySpanExporter()
            return found[name]

        return make

    monkeypatch.setattr(exporting, "OTLPSpanExporter", making("otlp"))
    monkeypatch.setattr(exporting, "ConsoleSpanExporter", making("console"))
    for name in exporting.PROTOCOLS:
        monkeypatch.delenv(name, raising=False)
    return found


EXPORTERS: list[tuple[dict[str, str], list[str]]] = [
    ({}, []),
    (ENDPOINT, ["otlp"]),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/x"}, ["otlp"]),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, ["otlp"]),
    ({"OTEL_TRACES_EXPORTER": "console"}, ["console"]),
    ({"OTEL_TRACES_EXPORTER": "Console, OTLP,otlp"}, ["console", "otlp"]),
    ({"OTEL_TRACES_EXPORTER": " , ", **ENDPOINT}, ["otlp"]),
    ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, []),
    ({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_SDK_DISABLED": "true", **ENDPOINT}, []),
]


@pytest.mark.parametrize(("env", "names"), EXPORTERS, ids=str)
def test_spans_go_where_they_are_asked_to_go(
    made: dict[str, InMemorySpanExporter], env: dict[str, str], names: list[str]
) -> None:
    tracer = traces.configure(configured(**env))
    with tracer.span("here", {}):
        pass
    tracer.close()
    assert sorted(made) == names
    assert [[span.name for span in one.get_finished_spans()] for one in made.values()] == [["here"]] * len(names)


@pytest.mark.parametrize("value", ["zipkin", "otlp,zipkin", "none,otlp", "otlp console"])
def test_an_exporter_that_is_not_offered_is_refused(value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        traces.configure(configured(OTEL_TRACES_EXPORTER=value))
    assert str(refused.value) == f"OTEL_TRACES_EXPORTER: '{value}' is not otlp, console, both with a comma, or none"


PROTOCOLS: list[tuple[dict[str, str], str | None]] = [
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, f"OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' {GRPC}"),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, f"OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' {GRPC}"),
    (
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        f"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' {GRPC}",
    ),
    ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/protobuf"}, None),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, None),
]


@pytest.mark.parametrize(("env", "complaint"), PROTOCOLS, ids=str)
def test_a_protocol_that_is_not_offered_is_refused(
    env: dict[str, str], complaint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    if complaint is None:
        traces.configure(configured(**ENDPOINT)).close()
        return
    with pytest.raises(SettingsError) as refused:
        traces.configure(configured(**ENDPOINT))
    assert str(refused.value) == complaint
    traces.configure(configured(OTEL_TRACES_EXPORTER="console")).close()  # which speaks no protocol


async def test_a_service_that_cannot_export_as_asked_does_not_start() -> None:
    with pytest.raises(main.StartError, match=r"^OTEL_TRACES_EXPORTER: 'zipkin' is not otlp"):
        await main.serve(configured(HTTP_PORT="0", OTEL_TRACES_EXPORTER="zipkin"))


def test_sizes_that_contradict_each_other_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5000")
    with pytest.raises(SettingsError, match=r"^OTEL_BSP_\*: max_export_batch_size must be less than") as refused:
        traces.configure(configured(OTEL_TRACES_EXPORTER="otlp"))
    assert "\n" not in str(refused.value)


def test_a_span_on_the_console_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ConsoleSpanExporter", ConsoleSpanExporter)
    tracer = traces.configure(configured(OTEL_TRACES_EXPORTER="console"))
    for name in ("one", "two"):
        with tracer.span(name, {}):
            pass
    tracer.close()
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["one", "two"]
