"""No more scripts run at a time than there is memory for, and the rest of the calls lose nothing by waiting."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from agent_executor.services.tools import memory
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import MEGABYTE, Content, Limits

GIGABYTE = 1024 * MEGABYTE
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
NONE_V1 = "9223372036854771712\n"  # what version 1 says for none
SMALL, LARGE = 16 * MEGABYTE, 32 * MEGABYTE  # less than any machine has
V1 = "4:memory:/kubepods/pod1\n1:cpu:/\n0::/\n"
# What /proc/self/cgroup says, the files below /sys/fs/cgroup, and the limit; None for the machine's own memory.
GROUPS: dict[str, tuple[str, dict[str, str], int | None]] = {
    "a container, version 2": ("0::/\n", {"memory.max": f"{SMALL}\n"}, SMALL),
    "a container without a limit": ("0::/\n", {"memory.max": "max\n"}, None),
    "a group of the host": ("0::/a/b\n", {"a/b/memory.max": f"{SMALL}\n", "a/memory.max": "max\n"}, SMALL),
    "a group with a smaller one around it": (
        "0::/a/b\n",
        {"a/b/memory.max": f"{LARGE}\n", "a/memory.max": f"{SMALL}\n"},
        SMALL,
    ),
    "a name that only the host sees": ("0::/kubepods/pod1\n", {"memory.max": f"{SMALL}\n"}, SMALL),
    "version 1": (V1, {"memory/kubepods/pod1/memory.limit_in_bytes": f"{SMALL}\n"}, SMALL),
    "a container, version 1": (V1, {"memory/memory.limit_in_bytes": f"{SMALL}\n"}, SMALL),
    "version 1 without a limit": (V1, {"memory/memory.limit_in_bytes": NONE_V1}, None),
    "another controller's file": ("1:cpu:/a\n", {"a/memory.max": f"{SMALL}\n"}, None),
    "rubbish": ("0::/\n", {"memory.max": "\n"}, None),
    "nothing": ("", {}, None),
}


@pytest.mark.parametrize(("own", "files", "limit"), GROUPS.values(), ids=GROUPS)
def test_the_memory_of(tmp_path: Path, own: str, files: dict[str, str], limit: int | None) -> None:
    groups = tmp_path / "groups"
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    (tmp_path / "own").write_text(own)

    assert memory.available(groups, tmp_path / "own") == (MACHINE if limit is None else limit)


def test_the_memory_where_the_kernel_does_not_say(tmp_path: Path) -> None:
    assert memory.available(tmp_path, tmp_path / "missing") == MACHINE


@pytest.mark.parametrize(("gigabytes", "most"), [(0.25, 1), (1, 1), (2, 2), (4, 6), (8, 13)])
def test_as_many_workers_as_fit_beside_the_service(gigabytes: float, most: int) -> None:
    each = Limits().memory_bytes

    assert memory.workers(int(gigabytes * GIGABYTE), each) == most
    assert most == 1 or most * (each + memory.COPIED) + memory.RESERVE <= gigabytes * GIGABYTE


@pytest.mark.parametrize(("megabytes", "said"), [(4096, [("info", 6)]), (900, [("info", 1), ("warning", None)])])
def test_the_start_says_how_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, megabytes: int, said: list[tuple[str, int | None]]
) -> None:
    monkeypatch.setattr(memory, "available", lambda: megabytes * MEGABYTE)

    with capture_logs() as logs:
        ToolRunner(Limits(), tmp_path)

    assert [(each["log_level"], each.get("most")) for each in logs] == said
    assert logs[0] == {
        "event": "tools: scripts at a time", "log_level": "info", "most": said[0][1], "megabytes": megabytes
    }  # fmt: skip


def script(seconds: float) -> str:
    return f"""
import time
from langchain_core.tools import tool

@tool
def t() -> str:
    "Take a while."
    time.sleep({seconds})
    return "done"
"""


@pytest.fixture
async def one_at_a_time(tmp_path: Path) -> AsyncIterator[ToolRunner]:
    runner = ToolRunner(replace(Limits(), wall_seconds=4.0), tmp_path, most=1)
    await call(runner, 0, "first")  # the template is there
    yield runner
    await runner.close()
    assert list(tmp_path.iterdir()) == []


async def call(runner: ToolRunner, seconds: float, job: str) -> Any:
    return await runner.call(script(seconds), {}, job_id=job, tool_call_id="c", state={})


@pytest.mark.slow
async def test_jobs_wait_for_each_other_and_a_call_has_all_its_time_when_its_turn_comes(
    one_at_a_time: ToolRunner,
) -> None:
    calls = [asyncio.create_task(call(one_at_a_time, 1.5, f"job {i}")) for i in range(4)]
    began, most = time.monotonic(), 0
    while not all(each.done() for each in calls):
        most = max(most, busy(one_at_a_time))
        await asyncio.sleep(0.02)

    assert [each.result() for each in calls] == [Content("done")] * 4
    assert time.monotonic() - began > 4 * 1.5  # longer than a call may take
    assert most <= 2  # one at work, and one that waits for the next call


async def test_a_description_says_how_long_it_waits_for_its_turn(one_at_a_time: ToolRunner) -> None:
    spans: list[float] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        began = time.monotonic()
        yield
        spans.append(time.monotonic() - began)

    other = asyncio.create_task(call(one_at_a_time, 1.5, "other"))
    await until(one_at_a_time._pool._places.locked)
    spec = await one_at_a_time.describe(script(0), where="here", waiting=waiting)

    assert (spec.name, await other) == ("t", Content("done"))
    assert [span > 1 for span in spans] == [True]


async def test_calls_have_their_turns_in_the_order_they_came(one_at_a_time: ToolRunner) -> None:
    pool = one_at_a_time._pool
    calls = [asyncio.create_task(pool.take()) for _ in range(4)]

    for i, each in enumerate(calls):
        worker = await each
        pool.warm()
        assert pool._spare is not None
        await asyncio.shield(pool._spare)  # one is ready, so whoever may have it has it
        await asyncio.sleep(0)
        assert [one.done() for one in calls] == [j <= i for j in range(4)]
        await pool.end(worker)


async def test_a_call_that_is_given_up_leaves_its_place_to_the_next(one_at_a_time: ToolRunner) -> None:
    works, waits = (asyncio.create_task(call(one_at_a_time, 60, job)) for job in "ab")
    await until(lambda: busy(one_at_a_time) == 2)
    last = asyncio.create_task(call(one_at_a_time, 0, "c"))
    for each in (waits, works):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each

    assert await last == Content("done")
    assert await call(one_at_a_time, 0, "d") == Content("done")


@pytest.mark.slow
async def test_no_place_is_lost_to_workers_that_end_badly(one_at_a_time: ToolRunner) -> None:
    source = script(0).replace("return", "import os; os._exit(3); return")
    for _ in range(3):
        said = await one_at_a_time.call(source, {}, job_id="j", tool_call_id="c", state={})
        assert "exit status 3" in said.content
    assert await call(one_at_a_time, 5, "slow") == Content(
        "The tool failed: it was stopped: no answer after 4 s", "error"
    )

    assert await call(one_at_a_time, 0, "j") == Content("done")


async def test_whoever_waits_is_told_when_the_service_stops(tmp_path: Path) -> None:
    runner = ToolRunner(Limits(), tmp_path, most=1)
    calls = [asyncio.create_task(call(runner, 60, job)) for job in "ab"]
    await until(lambda: busy(runner) == 2)
    await runner.close()

    async with asyncio.timeout(10):
        said = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each).__name__ for each in said] == ["TemporaryError"] * 2


def busy(runner: ToolRunner) -> int:
    """Workers that the runner's template forked and that live."""
    template = runner._pool._template
    children = psutil.Process(template.pid).children() if template else []
    alive = 0
    for each in children:
        try:
            alive += each.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
    return alive


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
