"""What a service does beside its jobs: old ones are removed, and those that were left are ended."""

import psycopg
import pytest

from agent_executor.api import upkeep
from agent_executor.services.jobs import Jobs
from agent_executor.services.outbox import Outbox
from tests.support.api import ECHO, serving
from tests.support.runtime import until


async def test_a_service_removes_old_jobs_soon_after_its_start(
    env: dict[str, str], migrated: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(env) as api:
        old, young = [await api.submit(ECHO) for _ in range(2)]
        for job_id in (old, young):
            assert await api.ended(job_id) == "completed"
    with psycopg.connect(migrated.dsn) as connection:  # type: ignore[attr-defined]
        connection.execute(
            "UPDATE agent_executor.jobs SET finished_at = now() - interval '1 year' WHERE job_id = %s", (old,)
        )
    monkeypatch.setattr(upkeep, "FIRST_PURGE_SECONDS", (0.1, 0.2), raising=False)
    purge, failures = Jobs.purge, [psycopg.OperationalError("the server is starting up")]

    async def fails_at_first(self: Jobs, **days: float) -> int:
        if failures:
            raise failures.pop()
        return await purge(self, **days)

    monkeypatch.setattr(Jobs, "purge", fails_at_first)
    async with serving(env) as api:

        async def gone() -> bool:
            return await api.state(old) == "404"

        await until(gone)
        assert await api.state(young) == "completed"


async def test_a_service_ends_what_was_cancelled_and_left(
    env: dict[str, str], migrated: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(env) as api:
        left = await api.submit(ECHO)
        assert await api.ended(left) == "completed"
    with psycopg.connect(migrated.dsn) as connection:  # type: ignore[attr-defined]
        connection.execute(
            "UPDATE agent_executor.jobs SET state = 'queued', cancel_requested = true, finished_at = NULL, "
            "updated_at = now() - interval '1 minute' WHERE job_id = %s",
            (left,),
        )
    monkeypatch.setattr(upkeep, "SWEEP_SECONDS", (0.1, 0.2))
    async with serving(env) as api:
        assert await api.ended(left) == "cancelled"


async def test_jobs_that_were_left_are_looked_for_less_often_than_the_outbox(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = {"outbox": 0, "strays": 0}

    async def look(what: str, found: int | list[object]) -> int | list[object]:
        looks[what] += 1
        return found

    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(Outbox, "depth", lambda _: look("outbox", 0))
    monkeypatch.setattr(Jobs, "take_strays", lambda *_, **__: look("strays", []))
    async with serving(env):
        await until(lambda: looks["outbox"] > 10)
    assert looks["strays"] == 0
    first, last = upkeep.SWEEP_SECONDS
    assert first < 60 < last, "once a minute, and not for every pod at the same time"


def test_the_first_time_is_soon_and_not_the_same_for_every_pod() -> None:
    first, last = upkeep.FIRST_PURGE_SECONDS
    assert 1 <= first < last / 2 < 60
