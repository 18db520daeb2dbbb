"""A stop comes to its end, whatever hangs, fails or does not hear of it."""

import asyncio
import contextlib
import time

import psycopg_pool
import pytest

from agent_executor import settings
from agent_executor.api import closing, upkeep
from agent_executor.api.service import Service
from agent_executor.api.upkeep import Upkeep
from agent_executor.services import broker
from agent_executor.services.nats_consumer import Consumer
from agent_executor.services.outbox import Outbox
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.telemetry import traces
from agent_executor.telemetry.metrics import Metrics
from tests.support.api import plan, serving
from tests.support.proxies import proxied
from tests.support.runtime import until

GRACE = 30.0  # that a pod has beyond DRAIN_SECONDS


async def stopped(api, seconds=40.0):
    """The exit status, and how long it took."""
    asked = time.monotonic()
    api.stop.set()
    status = await asyncio.wait_for(asyncio.shield(api.serving), seconds)
    return status, time.monotonic() - asked


async def test_a_task_that_does_not_end_is_left_behind(env, monkeypatch, capsys):
    release = asyncio.Event()

    async def deaf(_):
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    monkeypatch.setattr(Outbox, "run", deaf)
    async with serving(env) as api:
        asked = time.monotonic()
        api.stop.set()
        await until(lambda: "tasks that do not end" in capsys.readouterr().out, 10)
        status = await asyncio.wait_for(asyncio.shield(api.serving), 10)
        assert (status, time.monotonic() - asked < 10) == (0, True)
        release.set()


async def test_the_outbox_ends_though_a_cancellation_is_lost():
    relay = Outbox(None, None)
    asked = asyncio.Event()

    async def relayed(**_):
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    relay.relay = relayed
    running = asyncio.create_task(relay.run())
    await asked.wait()
    relay.close()
    running.cancel()
    await asyncio.wait_for(running, 2)


async def test_so_does_what_a_service_does_beside_its_jobs(monkeypatch):
    for name in ("FIRST_PURGE_SECONDS", "SWEEP_SECONDS"):
        monkeypatch.setattr(upkeep, name, (0.0, 0.0))
    for name in ("LOOK_SECONDS", "LAG_SECONDS"):
        monkeypatch.setattr(upkeep, name, 0.0)
    lost = []

    class Loses:
        def __getattr__(self, name):
            return self

        def __call__(self, *_):
            return None

        async def depth(self):
            with contextlib.suppress(asyncio.CancelledError):
                lost.append(await asyncio.sleep(60))
            return 0

        async def sweep(self):
            await self.depth()

        async def purge(self, **_):
            return await self.depth()

    parts = Loses()
    made = Upkeep(parts, parts, parts, parts, parts)
    tasks = [asyncio.create_task(work) for work in made.tasks()]
    await asyncio.sleep(0.1)
    made.close()
    for task in tasks:
        task.cancel()
    _, left = await asyncio.wait(tasks, timeout=2)
    assert not left


async def test_a_task_is_cancelled_once_more():
    async def hard_of_hearing():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(hard_of_hearing())
    await asyncio.sleep(0)
    await closing.end({task})
    assert task.cancelled()


async def test_a_connection_that_is_being_made_holds_no_stop_up_though_it_loses_the_cancellation(env, monkeypatch):
    connecting = asyncio.Event()

    async def connect(*_):
        connecting.set()
        with contextlib.suppress(asyncio.CancelledError):  # as `asyncio.wait_for` does if the refusal comes just then
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    monkeypatch.setattr(broker, "open_", connect)
    given = settings.load({**env, "DRAIN_SECONDS": "60"})
    service = Service(given, Metrics(), traces.configure(given))
    await service.start()
    try:
        await connecting.wait()
        await asyncio.wait_for(service.stop(), 20)
    finally:
        await service.close()


async def test_a_part_that_fails_or_hangs_keeps_no_other_from_being_closed(env, monkeypatch, capsys):
    closed, close = [], psycopg_pool.AsyncConnectionPool.close

    async def noted(self, *arguments):
        closed.append(self)
        await close(self, *arguments)

    async def fails(_):
        raise RuntimeError("no such file")

    monkeypatch.setattr(psycopg_pool.AsyncConnectionPool, "close", noted)
    monkeypatch.setattr(ToolRunner, "close", fails)
    async with serving(env) as api:
        assert (await stopped(api))[0] == 0
    assert "not closed" in capsys.readouterr().out
    assert len(closed) == 1


async def test_steps_have_one_time_for_all_of_them():
    taken = []

    async def hangs():
        taken.append("hangs")
        await asyncio.sleep(60)

    async def quick():
        taken.append("quick")

    began = time.monotonic()
    await closing.each({"one": hangs, "two": hangs, "three": quick}, 1.0)
    assert taken == ["hangs", "hangs", "quick"]
    assert 1.4 < time.monotonic() - began < 3


@pytest.mark.parametrize(("part", "name"), [(Consumer, "stop"), (Service, "close")])
async def test_a_stop_that_fails_is_told_by_the_exit_status(env, monkeypatch, part, name):
    real = getattr(part, name)

    async def fails(self):
        await real(self)
        raise RuntimeError("no such file")

    monkeypatch.setattr(part, name, fails)
    async with serving(env) as api:
        assert (await stopped(api))[0] == 1


@pytest.mark.slow
async def test_a_stop_is_over_in_time_though_every_dependency_hangs(env):
    host, _, nats = env["NATS_URL"].rpartition(":")
    slow = plan(
        *[{"text": "step", "tool_calls": [{"name": "write_todos", "args": {"todos": []}}], "delay_ms": 300}] * 99
    )
    with (
        proxied(int(env["POSTGRES_PORT"])) as one,
        proxied(int(nats)) as two,
        proxied(int(env["DRAGONFLY_PORT"])) as three,
    ):
        ports = {"POSTGRES_PORT": str(one.port), "NATS_URL": f"{host}:{two.port}", "DRAGONFLY_PORT": str(three.port)}
        async with serving(env, **ports, DRAIN_SECONDS="2") as api:
            job_id = await api.submit(slow)
            await api.reaches(job_id, "running")
            for proxy in (one, two, three):
                proxy.freeze()
            status, seconds = await stopped(api, 60)
            assert status == 0
            assert seconds < 2 + GRACE - 5


async def test_a_service_that_never_came_to_connect_is_closed_without_trouble(env, capsys):
    given = settings.load(env)
    await Service(given, Metrics(), traces.configure(given)).close()
    assert "not closed" not in capsys.readouterr().out
