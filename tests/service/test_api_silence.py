"""Requests while PostgreSQL takes every packet and answers nothing."""

import asyncio
import time

import pytest

from agent_executor.api import health
from agent_executor.api.probes import NotReady
from tests.support.api import ECHO, path, serving
from tests.support.proxies import proxied

PATIENT = 6.0  # seconds that a caller waits at most


async def test_requests_are_refused_soon_as_a_problem(env: dict[str, str]) -> None:
    with proxied(int(env["POSTGRES_PORT"])) as proxy:
        async with serving(env, POSTGRES_PORT=str(proxy.port)) as api:
            job_id = await api.submit(ECHO)
            assert await api.ended(job_id) == "completed"
            proxy.freeze()
            began = time.monotonic()
            answer = await api.http.get("/ready")
            assert time.monotonic() - began < health.PROBE_SECONDS + 1
            assert (answer.status_code, answer.json()["checks"]["dragonfly"]) == (503, "ok")
            assert answer.json()["checks"]["postgresql"] != "ok"
            for method, where in (
                ("GET", path(job_id)),
                ("GET", path(job_id, "/result")),
                ("GET", path(job_id, "/events")),
                ("GET", "/jobs"),
                ("DELETE", path(job_id)),
            ):
                began = time.monotonic()
                answer = await api.http.request(method, where)
                assert time.monotonic() - began < PATIENT
                assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            proxy.thaw()
            assert await api.reaches(job_id, "completed")


async def test_a_probe_that_hangs_is_left_behind_and_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(health, "PROBE_SECONDS", 0.1)
    release, told = asyncio.Event(), []

    async def hangs() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            await release.wait()
        raise NotReady("too late")

    assert await asyncio.wait_for(health._asked(hangs), 1) == "no answer within 0.1 s"
    release.set()
    await asyncio.sleep(0)
    assert not told


async def test_what_a_probe_says_is_told() -> None:
    async def answers() -> None:
        return

    async def lacks() -> None:
        raise NotReady("no tables")

    assert await health._asked(answers) == "ok"
    assert await health._asked(lacks) == "no tables"
