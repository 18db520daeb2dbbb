"""What the routes work with: the parts of one running service, put together in `main`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import redis.asyncio
from fastapi import Request

from agent_executor.api.probes import Probe
from agent_executor.models.jobs import State
from agent_executor.services.broker import Broker
from agent_executor.services.dead_letters import DeadLetters
from agent_executor.services.jobs import Jobs
from agent_executor.settings import Settings
from agent_executor.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Parts:
    """Handed to every route by `of`."""

    settings: Settings
    metrics: Metrics
    jobs: Jobs
    broker: Broker
    watchers: redis.asyncio.Redis
    """For streams of events, each of which holds a connection: they must not take those of the jobs."""
    cancel: Callable[[str], Awaitable[State | None]]
    """Asks for the end of a job, wherever it is; None if the job is not known."""
    dead_letters: DeadLetters
    probes: Mapping[str, Probe]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def of(request: Request) -> Parts:
    """The parts of the service that answers this request."""
    parts: Parts = request.app.state.parts
    return parts
