"""What is there beside what is expected: stream, consumer, schema, settings, kernel; each difference with what to do.

Changes nothing. A finding never holds a secret, an address or a user; a client's own text may, so only its kind is
told.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import nats.errors
import psycopg
import redis.exceptions

from agent_executor.services import broker, database, migrations, sandbox, streams
from agent_executor.services import redis as live
from agent_executor.settings import Settings

SECONDS = 5.0
MIGRATE = "run `agent-executor migrate`"
CHANGED = "run the image that this schema was made with, or a later one whose migrations are the same"
Verdict = Literal["ok", "differs", "missing", "weaker"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` is what to do about it."""

    what: str
    verdict: Verdict
    text: str
    advice: str = ""

    @property
    def bad(self) -> bool:
        """Whether jobs may suffer from it."""
        return self.verdict in ("differs", "missing")


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which one would look."""
    return [
        *await asyncio.to_thread(lambda: list(_postgresql(settings))),
        *await _nats(settings),
        await _dragonfly(settings),
        *_settings(settings),
        *_kernel(),
    ]


def _postgresql(settings: Settings) -> Iterator[Finding]:
    try:
        lines = migrations.drift(database.dsn(settings), schema=settings.postgres_schema)
    except psycopg.Error as error:
        names = ", ".join(f"POSTGRES_{name}" for name in ("HOST", "PORT", "DB", "USER"))
        advice = f"check {names} and POSTGRES_PASSWORD, and the NetworkPolicy"
        yield Finding("postgresql", "missing", f"no connection ({type(error).__name__})", advice)
        return
    for line in lines:
        # A file that was changed is refused by `migrate`, too.
        advice = MIGRATE if migrations.MISSING in line else CHANGED
        yield Finding(f"schema {settings.postgres_schema}", "differs", line, advice)
    if not lines:
        yield Finding(f"schema {settings.postgres_schema}", "ok", "every migration is applied, unchanged")


async def _nats(settings: Settings) -> list[Finding]:
    place = f"stream {settings.nats_stream}"
    try:
        async with asyncio.timeout(SECONDS):
            client = await broker.connect(settings)
    except TimeoutError:
        advice = "check NATS_URL and the NetworkPolicy"
        return [Finding("nats", "missing", f"no connection within {SECONDS:g} s", advice)]
    try:
        async with asyncio.timeout(SECONDS):
            lines = await streams.drift(client.jetstream(), settings)
    except (nats.errors.Error, TimeoutError) as error:
        return [Finding("nats", "missing", f"JetStream: {type(error).__name__}", "switch JetStream on in the server")]
    finally:
        await client.close()
    advice = "edit it with `nats stream edit` or `nats consumer edit`, or in the Job that makes it"
    made = "start the service, or run the Job that makes it"
    found = [
        Finding(what, "differs", text.strip(), made if "is missing" in text else advice)
        for what, _, text in (line.partition(":") for line in lines)
    ]
    return found or [Finding(place, "ok", "streams and consumer are as wanted")]


async def _dragonfly(settings: Settings) -> Finding:
    client = live.connect(settings, connections=1)
    try:
        async with asyncio.timeout(SECONDS):
            await client.ping()
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        advice = "check DRAGONFLY_HOST, DRAGONFLY_PORT and DRAGONFLY_PASSWORD; jobs go on without live events"
        return Finding("dragonfly", "missing", f"no connection ({type(error).__name__})", advice)
    finally:
        await client.aclose()
    return Finding("dragonfly", "ok", "answers")


def _settings(settings: Settings) -> Iterator[Finding]:
    if not (settings.openai_api_key or settings.anthropic_api_key or settings.ollama_base_url):
        advice = "set OPENAI_API_KEY, ANTHROPIC_API_KEY or OLLAMA_BASE_URL"
        yield Finding("models", "weaker", "no provider has a key or an address", advice)
    if settings.allow_scripted_model:
        advice = "unset it in production: anybody's definition may use the scripted model"
        yield Finding("ALLOW_SCRIPTED_MODEL", "weaker", "is set", advice)
    if settings.tool_network:
        advice = "unset it, unless anybody's script may reach what this pod reaches: databases and NATS too"
        yield Finding("TOOL_NETWORK", "weaker", "is set", advice)
    if not settings.agent_executor_api_token:
        advice = "set it where more than the cluster's own network reaches the API"
        yield Finding("AGENT_EXECUTOR_API_TOKEN", "weaker", "is not set: the API asks nobody who they are", advice)
    if settings.job_lease_seconds > settings.nats_ack_wait_seconds:
        advice = "make it shorter, or a killed pod's job is delivered before it is free"
        text = f"{settings.job_lease_seconds:g} s is above NATS_ACK_WAIT_SECONDS, {settings.nats_ack_wait_seconds:g} s"
        yield Finding("JOB_LEASE_SECONDS", "differs", text, advice)


def _kernel() -> Iterator[Finding]:
    gaps = sandbox.report()
    for gap in gaps:
        yield Finding("sandbox", "weaker", gap, "tool scripts run behind the walls that are left")
    if not gaps:
        yield Finding("sandbox", "ok", "the kernel gives every wall")
