"""Where spans go: OpenTelemetry's SDK, set up by its own variables (OTEL_EXPORTER_OTLP_*, OTEL_RESOURCE_ATTRIBUTES, …).

Imported only when an exporter is named.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

KNOWN = ("", "otlp", "console")


def provider(exporter: str, service: str) -> TracerProvider:
    """A provider that sends to `exporter` (OTEL_TRACES_EXPORTER); a name that is not known sends over OTLP."""
    to: SpanExporter = ConsoleSpanExporter() if exporter == "console" else OTLPSpanExporter()
    own = Resource({"service.name": service}).merge(OTELResourceDetector().detect())
    made = TracerProvider(resource=own, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(to))
    return made
