"""Traces: the caller's trace goes on through the job, into model calls and onto the result.

W3C Trace Context in and out, https://www.w3.org/TR/trace-context/. Spans are exported only where OpenTelemetry's own
variables name an exporter; without one the caller's context still travels, and nothing else is paid for. Invariant: a
span never holds a prompt, a model's answer or a tool's arguments, unless LOG_CONTENT asks for content.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agent_executor.errors import shown
from agent_executor.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE = "agent-executor"
EXPORTERS = ("otlp", "console")
FLUSH_MILLIS = 2000
_W3C = TraceContextTextMapPropagator()


class Traces:
    """The tracer of one process, and its end."""

    def __init__(self, tracer: Tracer, *, content: bool = False, provider: "TracerProvider | None" = None) -> None:
        self.tracer = tracer
        self.content = content
        self._provider = provider

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, str | int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: Context | None = None,
    ) -> Iterator[Span]:
        """A span around a block. What the block raises marks it with the kind of error only: its text is the job's."""
        with self.tracer.start_as_current_span(
            name, parent, kind, dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", getattr(error, "type", None) or type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send what is left, for a stopping pod; gives up soon, whatever a collector does."""
        if (provider := self._provider) is None:
            return

        def send() -> None:
            provider.force_flush(FLUSH_MILLIS)
            provider.shutdown()

        # The SDK's own timeout is not kept, and only a daemon is not waited for when the process ends.
        sending = threading.Thread(target=send, name="traces-close", daemon=True)
        sending.start()
        sending.join(FLUSH_MILLIS / 1000)


def configure(settings: Settings) -> Traces:
    """A tracer that exports as OTEL_* says, or one that only carries the caller's context.

    Raises:
        SettingsError: it says what is not offered here.
    """
    exporters = () if settings.otel_sdk_disabled else _exporters(settings)
    if not exporters:
        return Traces(NoOpTracer(), content=settings.log_content)
    from agent_executor.telemetry import exporting  # noqa: PLC0415  # 0.2 s of imports that most laptops do not need

    provider = exporting.provider(exporters, SERVICE)
    return Traces(provider.get_tracer("agent_executor"), content=settings.log_content, provider=provider)


def _exporters(settings: Settings) -> tuple[str, ...]:
    """The exporters that are named, or the one that an endpoint stands for."""
    given = settings.otel_traces_exporter or ""
    named = tuple(dict.fromkeys(name for part in given.split(",") if (name := part.strip().lower())))
    if not named:
        somewhere = settings.otel_exporter_otlp_endpoint or settings.otel_exporter_otlp_traces_endpoint
        return ("otlp",) if somewhere else ()
    if named == ("none",):
        return ()
    if not set(named) <= set(EXPORTERS):
        raise SettingsError(f"OTEL_TRACES_EXPORTER: {shown(given)} is not otlp, console, both with a comma, or none")
    return named


def caller(traceparent: str | None, tracestate: str | None) -> Context:
    """The context that a job came with."""
    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    return _W3C.extract({name: value for name, value in carrier.items() if value}, Context())


def headers() -> dict[str, str]:
    """The current context, as the headers of a request that is sent for it; empty without one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


def annotate(**attributes: str | int | tuple[str, ...]) -> None:
    """Put attributes on the current span."""
    trace.get_current_span().set_attributes(attributes)
