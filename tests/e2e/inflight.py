"""Jobs that are being done while their pods come and go, and what proves that none was lost or done twice."""

from agent_executor.services.event_log import replay
from agent_executor.services.redis import EPOCH_BITS
from tests.support.observer import Observer, plan, turn, until

SCRIPT = (
    'from langchain_core.tools import tool\n\n\n@tool\ndef step() -> str:\n    """Do a step."""\n    return "done"\n'
)


def slow(steps: int, seconds: float = 1) -> dict[str, object]:
    """A definition that takes so many steps, each of so many seconds: a pod that goes is left at the end of one."""
    turns = [turn("step", delay_ms=int(seconds * 1000)) for _ in range(steps)]
    return plan(*turns, turn(text="done"), scripts={"step": SCRIPT})


async def all_begun(observer: Observer, jobs: list[str]) -> None:
    """Return once every job has begun its first step, in some pod: one that was only taken has nothing to hand over."""

    async def begun() -> bool:
        return all(await steps(observer, jobs))

    await until(begun, 120, f"{len(jobs)} jobs at work")


async def each_once(observer: Observer, jobs: list[str], seconds: float = 180) -> None:
    """Every job has completed, and none was reported twice."""
    for job_id in jobs:
        assert (await observer.result(job_id, seconds))["type"] == "dev.my-platform.agent.completed"
    await observer.settled(60)
    subjects = [result["subject"] for result in await observer.results()]
    assert sorted(subjects) == sorted(jobs)


async def steps(observer: Observer, jobs: list[str]) -> list[int]:
    """How many steps each of `slow`'s jobs has begun, in whatever pods: more than it has would be one done twice."""
    told = [await replay(observer.redis, job_id) for job_id in jobs]
    return [[event["event_type"] for event in events].count("on_tool_start") for events in told]


async def taken_over(observer: Observer, jobs: list[str]) -> set[str]:
    """The jobs that one pod began and another went on with: each claim counts its events from its own epoch on."""
    told = {job_id: await replay(observer.redis, job_id) for job_id in jobs}
    return {job_id for job_id, events in told.items() if len({event["seq"] >> EPOCH_BITS for event in events}) > 1}
