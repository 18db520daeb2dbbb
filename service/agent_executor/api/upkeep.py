"""What a service does beside its jobs until it stops: old ones are removed, left ones ended, lags measured."""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from typing import Any

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from agent_executor.core.executor import Executor
from agent_executor.services.jobs import Jobs
from agent_executor.services.outbox import Outbox
from agent_executor.settings import Settings
from agent_executor.telemetry.metrics import Metrics

log = structlog.get_logger()

PURGE_SECONDS = 3600.0
FIRST_PURGE_SECONDS = (5.0, 30.0)  # after the start: few pods live for an hour, and many may start at once
SWEEP_SECONDS = (45.0, 75.0)  # between two looks for jobs that nobody will bring again: each pod has times of its own
LOOK_SECONDS = 5.0  # between two looks at the outbox
LAG_SECONDS = 0.5  # between two looks at the event loop


class Upkeep:
    """Each of `tasks` is one to own."""

    def __init__(self, settings: Settings, jobs: Jobs, outbox: Outbox, executor: Executor, metrics: Metrics) -> None:
        self._settings = settings
        self._jobs = jobs
        self._outbox = outbox
        self._executor = executor
        self._metrics = metrics
        self._closed = False

    def close(self) -> None:
        """End the tasks also if they do not hear of their cancellation."""
        self._closed = True

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run, side by side, as long as the service does."""
        return [self._purge(), self._watch_outbox(), self._watch_loop(), self._sweep()]

    async def _purge(self) -> None:
        """Remove what is older than the retention, now and then, beside other pods."""
        pause = random.uniform(*FIRST_PURGE_SECONDS)  # noqa: S311  # spreads the load
        while not self._closed:
            await asyncio.sleep(pause)
            try:
                purged = await self._jobs.purge(older_than_days=self._settings.job_retention_days)
            except psycopg.Error as error:  # the next time will do
                log.warning("service: old jobs not removed", error=type(error).__name__)
                continue
            pause = PURGE_SECONDS
            log.info("service: old jobs removed", jobs=purged)

    async def _sweep(self) -> None:
        """End jobs that nobody will bring again, now and then, beside other pods."""
        while not self._closed:
            await asyncio.sleep(random.uniform(*SWEEP_SECONDS))  # noqa: S311  # spreads the load
            await self._executor.sweep()

    async def _watch_outbox(self) -> None:
        while not self._closed:
            with contextlib.suppress(psycopg.Error, PoolTimeout):  # readiness says that the database is away
                self._metrics.outbox_depth.set(await self._outbox.depth())
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch_loop(self) -> None:
        while not self._closed:
            asked = time.monotonic()
            await asyncio.sleep(LAG_SECONDS)
            self._metrics.loop_lag.set(max(time.monotonic() - asked - LAG_SECONDS, 0.0))
