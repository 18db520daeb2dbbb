"""What the runtime reports, as metrics and as one pair of spans for each attempt at a job."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from agent_executor.models.jobs import Claimed
from agent_executor.models.observer import Count, Measure, Span
from agent_executor.telemetry import traces
from agent_executor.telemetry.metrics import Metrics
from agent_executor.telemetry.traces import Traces


class Telemetry:
    """The runtime's `Observer`."""

    def __init__(self, metrics: Metrics, traced: Traces) -> None:
        self._metrics = metrics
        self._traces = traced
        self._counters = {
            "processed": metrics.processed,
            "failed": metrics.failed,
            "redeliveries": metrics.redeliveries,
            "resumes": metrics.resumes,
            "drains": metrics.drains,
            "lost_leases": metrics.lost_leases,
            "dead_letters": metrics.dead_letters,
            "retries": metrics.retries,
        }
        self._histograms = {"queue_wait": metrics.queue_wait, "first_event": metrics.first_event}

    def count(self, name: Count) -> None:
        """One more of these."""
        self._counters[name].inc()

    def measure(self, name: Measure, seconds: float) -> None:
        """One more of these."""
        self._histograms[name].observe(seconds)

    def finished(self, status: str, seconds: float) -> None:
        """A job came to its end after so many seconds of all its attempts."""
        self._metrics.jobs.labels(status).inc()
        self._metrics.duration.observe(seconds)

    @contextmanager
    def span(self, job: Claimed) -> Iterator[Span]:
        """`process agent.execute` around `invoke_agent`, in the trace that the job came with."""
        process: dict[str, str | int] = {
            "messaging.system": "nats",
            "messaging.operation.type": "process",
            "messaging.destination.name": job.subject,
            "agent_executor.job_id": job.job_id,
            "agent_executor.epoch": job.epoch,
        }
        name = str(job.definition.get("name") or "agent")[:80]
        agent = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": name,
            "gen_ai.conversation.id": job.job_id,
        }
        parent = traces.caller(job.traceparent, job.tracestate)
        with (
            self._metrics.in_flight.track_inprogress(),
            self._traces.span("process agent.execute", process, kind=SpanKind.CONSUMER, parent=parent),
        ):
            told = Span(traceparent=traces.headers().get("traceparent"))
            with self._traces.span(f"invoke_agent {name}", agent):
                yield told
