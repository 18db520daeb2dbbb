"""The streams and the durable consumer: what they should be, made if missing, compared if there.

Contract section 4 and runtime.md. Whoever made them first (the platform's Job, another pod) decides; a difference is
reported, never repaired, because a stream belongs to the platform and may hold jobs.
"""

from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from agent_executor.errors import TemporaryError
from agent_executor.settings import Settings

DAY = 86_400.0  # seconds
DUPLICATES = 3600.0  # seconds; a finished job that is delivered again within it is told no second time
MAX_ACK_PENDING = 1000  # at least maxReplicas x concurrency: 10 pods of 100 jobs
PODS = 10  # for so many it has to be enough: the usual maximum
_NOT_FOUND = "is missing, and the service makes it when it starts"


@dataclass(frozen=True)
class Ready:
    """What is there: the consumer's real `ack_wait` (seconds) sets the pace, and `drift` says what is not as wanted."""

    ack_wait: float
    drift: tuple[str, ...]


def wanted(settings: Settings) -> tuple[StreamConfig, ...]:
    """The three streams, jobs first."""

    def stream(name: str, token: str, days: float) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=[settings.subject(token, "*")],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=days * DAY,
            duplicate_window=DUPLICATES,
            num_replicas=settings.nats_replicas,
        )

    return (
        stream(settings.nats_stream, "execute", 1),
        stream(settings.nats_status_stream, "status", 7),
        stream(settings.nats_dead_letter_stream, "dead", 30),
    )


def consumer(settings: Settings) -> ConsumerConfig:
    """The durable pull consumer. Tries are counted in PostgreSQL: drains and delays raise the delivery count too."""
    return ConsumerConfig(
        durable_name=settings.nats_consumer,
        filter_subject=settings.subject("execute", "*"),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=settings.nats_ack_wait_seconds,
        max_deliver=-1,
        max_ack_pending=max(MAX_ACK_PENDING, 100 * settings.max_concurrent_jobs),
    )


async def ensure(jetstream: JetStreamContext, settings: Settings) -> Ready:
    """Make what is missing; `TemporaryError("nats_unavailable")` names what could not be made or looked at."""
    place = "streams"
    try:
        for config in wanted(settings):
            place = f"stream {config.name}"
            try:
                await jetstream.stream_info(str(config.name))
            except nats.js.errors.NotFoundError:
                await jetstream.add_stream(config)
        place = f"consumer {settings.nats_consumer}"
        try:
            info = await jetstream.consumer_info(settings.nats_stream, settings.nats_consumer)
        except nats.js.errors.NotFoundError:
            info = await jetstream.add_consumer(settings.nats_stream, consumer(settings))
        return Ready(info.config.ack_wait or settings.nats_ack_wait_seconds, tuple(await drift(jetstream, settings)))
    except nats.js.errors.APIError as error:
        raise TemporaryError("nats_unavailable", f"{place}: {error.description or type(error).__name__}") from error
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise TemporaryError("nats_unavailable", f"{place}: no answer ({type(error).__name__})") from error


async def drift(jetstream: JetStreamContext, settings: Settings) -> list[str]:
    """Every difference from what is wanted, as `what: is this, and would be right as that`."""
    found: list[str] = []
    for config in wanted(settings):
        try:
            info = await jetstream.stream_info(str(config.name))
        except nats.js.errors.NotFoundError:
            found.append(f"stream {config.name}: {_NOT_FOUND}")
            continue
        found += _differences(f"stream {config.name}", info.config, config, _STREAM)
        found += _missing_subjects(info.config, config)
    place = f"consumer {settings.nats_consumer}"
    try:
        held = await jetstream.consumer_info(settings.nats_stream, settings.nats_consumer)
    except nats.js.errors.NotFoundError:
        return [*found, f"{place}: {_NOT_FOUND}"]
    found += _differences(place, held.config, consumer(settings), _CONSUMER)
    # How many pods there may be is not known here, so more is right too; -1 is without a limit.
    most, least = held.config.max_ack_pending or 0, PODS * settings.max_concurrent_jobs
    if 0 <= most < least:
        found.append(f"{place}: max_ack_pending is {most}, and would be right as {least}, or more")
    return found


_STREAM = ("retention", "storage", "discard", "max_age", "duplicate_window", "num_replicas")
_CONSUMER = ("filter_subject", "ack_policy", "ack_wait", "max_deliver", "deliver_policy")
_SECONDS = ("max_age", "duplicate_window", "ack_wait")


def _differences(place: str, held: object, config: object, names: tuple[str, ...]) -> list[str]:
    pairs = [(name, getattr(held, name), getattr(config, name)) for name in names]
    return [
        f"{place}: {name} is {_text(name, is_)}, and would be right as {_text(name, right)}"
        for name, is_, right in pairs
        if is_ != right
    ]


def _missing_subjects(held: StreamConfig, config: StreamConfig) -> list[str]:
    missing = set(config.subjects or ()) - set(held.subjects or ())
    return [f"stream {config.name}: does not take {subject}, and would be right with it" for subject in sorted(missing)]


def _text(name: str, value: object) -> str:
    if name in _SECONDS and isinstance(value, int | float):
        return f"{value:g} s"
    return str(getattr(value, "value", value))
