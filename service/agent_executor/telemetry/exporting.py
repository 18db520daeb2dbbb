"""Where spans go: OpenTelemetry's SDK, set up by its own variables (OTEL_EXPORTER_OTLP_*, OTEL_RESOURCE_ATTRIBUTES, …).

Imported only when an exporter is named. Invariant: what the variables ask for is what is done, or the service does not
start.
"""

import os
import sys
from collections.abc import Callable, Iterable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from agent_executor.errors import shown
from agent_executor.settings import SettingsError

PROTOCOL = "http/protobuf"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # the first that is set counts


def provider(exporters: Iterable[str], service: str) -> TracerProvider:
    """A provider that sends to `exporters`, names of OTEL_TRACES_EXPORTER."""
    ways: dict[str, Callable[[], SpanExporter]] = {"console": _console, "otlp": _otlp}
    made = TracerProvider(
        resource=Resource({"service.name": service}).merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    for name in exporters:
        exporter = ways[name]()
        try:
            made.add_span_processor(BatchSpanProcessor(exporter))
        except ValueError as error:  # which names the parameter, as its variable does: OTEL_BSP_MAX_EXPORT_BATCH_SIZE
            raise SettingsError(f"OTEL_BSP_*: {error}") from None
    return made


def _console() -> SpanExporter:
    """A span a line, as everything else that goes to stdout."""
    return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n")


def _otlp() -> SpanExporter:
    # The exporter does not look at these itself: told `grpc`, it would talk HTTP to the port for gRPC, and be refused.
    name, asked = next(((name, os.environ[name]) for name in PROTOCOLS if os.environ.get(name)), ("", PROTOCOL))
    if asked.strip().lower() != PROTOCOL:
        raise SettingsError(f"{name}: {shown(asked)} is not {PROTOCOL} (port 4318 of most collectors)")
    return OTLPSpanExporter()
