"""Every metric of the service, in a registry of its own.

Invariants: the first four names are the contract's; units are in the names, seconds everywhere; no label ever holds a
job, a trace or anything else that a caller chose, but `model`, whose names are cut and whose number is bounded.

To add a metric, add one line to `Metrics`; the reference page lists it by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
OUTCOMES = ("completed", "failed", "cancelled", "interrupted")
MODELS = 50  # names of models with a series of their own; what comes after them is `other`
NAME_LENGTH = 80

# A second series for every counter, which nobody reads. The library leaves this function untyped.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Described:
    """One metric, for the reference."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.jobs = counter("jobs", "Jobs that came to an end, by outcome.", "status")
        self.duration = histogram("job_duration_seconds", "From taking a job to its outcome, all attempts.", SLOW)
        self.processed = counter("nats_messages_processed", "Messages that were settled with their job's outcome.")
        self.failed = counter("nats_messages_failed", "Messages that could never become a job, or whose job failed.")
        self.in_flight = gauge("jobs_in_flight", "Jobs that run in this process now.")
        self.queue_wait = histogram("queue_wait_seconds", "From the event's arrival in the stream to taking it.", SLOW)
        self.first_event = histogram("first_event_seconds", "From taking a job to its first live event.", FAST)
        self.checkpoint = histogram("checkpoint_seconds", "One statement with supersteps and ends of jobs.", FAST)
        self.redeliveries = counter("redeliveries", "Messages that were delivered before.")
        self.resumes = counter("resumes", "Jobs that went on from a checkpoint.")
        self.drains = counter("drains", "Jobs that were handed over because this process was told to stop.")
        self.retries = counter("retries", "Attempts that failed and are tried again later.")
        self.lost_leases = counter("lost_leases", "Jobs that were stopped because another process has them now.")
        self.dead_letters = counter("dead_letters", "Messages copied to the dead-letter stream.")
        self.outbox_depth = gauge("outbox_depth", "Results that are stored and not yet published.")
        self.lost_events = counter(
            "live_events_lost", "Live events that no log keeps: dropped, or refused by Dragonfly."
        )
        self.tokens = counter("tokens", "Tokens by model and direction.", "model", "direction")
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop woke up, the last time it was asked.")
        for outcome in OUTCOMES:
            self.jobs.labels(outcome)  # a series that is 0 can be alerted on, one that is missing can not
        self._models: set[str] = set()

    def count_tokens(self, model: str, *, sent: int, received: int) -> None:
        """Tokens of one model call; a definition chooses the model's name, so their number is bounded."""
        name = model[:NAME_LENGTH]
        if name not in self._models and len(self._models) >= MODELS:
            name = "other"
        self._models.add(name)
        self.tokens.labels(name, "input").inc(sent)
        self.tokens.labels(name, "output").inc(received)

    def page(self) -> bytes:
        """The text that Prometheus reads, of type CONTENT_TYPE."""
        return generate_latest(self.registry)

    def described(self) -> Iterator[Described]:
        """Every metric as the reference lists it, in the order above."""
        for metric in vars(self).values():
            if isinstance(metric, Counter | Gauge | Histogram):
                text = next(iter(metric.describe())).documentation
                name = metric._name + ("_total" if isinstance(metric, Counter) else "")  # noqa: SLF001 - no other way
                yield Described(name, type(metric).__name__.lower(), metric._labelnames, text)  # noqa: SLF001

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"agent_executor_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"agent_executor_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"agent_executor_{name}", text, registry=self.registry, buckets=buckets)
