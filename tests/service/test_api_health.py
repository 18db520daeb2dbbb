"""Liveness, readiness and their times, on servers that really go away."""

import time
from collections.abc import Iterator

import psutil
import pytest

from agent_executor import embedded
from agent_executor.services import migrations
from tests.support.api import ECHO, Api, plan, serving
from tests.support.runtime import until
from tests.support.servers import own_servers

LOST, BACK = 5.0, 10.0  # seconds, runtime.md "Ready"


@pytest.fixture
def own() -> Iterator[embedded.Servers]:
    with own_servers() as servers:
        migrations.apply(servers.postgres_dsn, schema="agent_executor")
        yield servers


def environment(own: embedded.Servers) -> dict[str, str]:
    return {**own.environment(), "ALLOW_SCRIPTED_MODEL": "true", "HTTP_HOST": "127.0.0.1"}


async def test_ready_names_every_dependency(env: dict[str, str]) -> None:
    async with serving(env) as api:
        answer = await api.http.get("/ready")
        assert answer.json() == {"status": "ready", "checks": {"postgresql": "ok", "dragonfly": "ok", "nats": "ok"}}
        assert (await api.http.get("/health")).json() == {"status": "ok"}


async def test_without_anything_the_service_lives_and_names_what_is_missing(env: dict[str, str]) -> None:
    away = {"POSTGRES_PORT": "9", "NATS_URL": "nats://user:secret@127.0.0.1:9", "DRAGONFLY_PORT": "9"}
    async with serving(env, wait=False, **away) as api:
        assert (await api.http.get("/health")).status_code == 200
        assert (await api.http.get("/metrics")).status_code == 200
        answer = await api.http.get("/ready")
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert set(problem["checks"]) == {"postgresql", "dragonfly", "nats"}
        assert all(name in problem["detail"] for name in problem["checks"])
        assert "secret" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["postgresql", "dragonfly", "nats"])
async def test_a_dependency_that_is_lost_is_named_within_5_s_and_forgotten_within_10(
    own: embedded.Servers, name: str
) -> None:
    server = {"postgresql": own.postgres, "dragonfly": own.redis, "nats": own.nats}[name]
    async with serving(environment(own)) as api:
        server.stop()
        await until(lambda: missing(api, name), LOST)
        assert (await api.http.get("/health")).is_success
        away = time.monotonic()
        await until(lambda: time.monotonic() - away > 8)  # longer than any patience within
        server.spawn()
        server.wait()
        await until(api.ready, BACK)
        assert await api.ended(await api.submit(ECHO)) == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["postgresql", "dragonfly", "nats"])
async def test_a_dependency_that_says_nothing_is_missing_too(own: embedded.Servers, name: str) -> None:
    server = {"postgresql": own.postgres, "dragonfly": own.redis, "nats": own.nats}[name]
    async with serving(environment(own)) as api:
        paused = paused_tree(server)
        try:
            await until(lambda: missing(api, name), LOST + 1)
        finally:
            for process in paused:
                process.resume()
        await until(api.ready, BACK)


async def test_a_service_that_stops_is_not_ready_and_still_answers(env: dict[str, str]) -> None:
    async with serving(env, DRAIN_SECONDS="5") as api:
        job_id = await api.submit(plan({"text": "late", "delay_ms": 20000}))
        await api.reaches(job_id, "running")
        api.stop.set()

        async def stopping() -> bool:
            return (await api.http.get("/ready")).status_code == 503

        await until(stopping)
        assert (await api.http.get("/health")).is_success
        assert (await api.http.get(f"/jobs/{job_id}")).is_success


async def missing(api: Api, name: str) -> bool:
    answer = await api.http.get("/ready")
    return answer.status_code == 503 and answer.json()["checks"].get(name, "ok") != "ok"


def paused_tree(server: embedded.Server) -> list[psutil.Process]:
    """A server's processes, which say nothing until resumed."""
    assert server.process
    root = psutil.Process(server.process.pid)
    processes = [root, *root.children(recursive=True)]
    for process in processes:
        process.suspend()
    return processes
