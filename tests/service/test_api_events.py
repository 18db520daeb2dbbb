"""Live events over HTTP: in order, without a gap, to the end, whatever goes away meanwhile."""

import asyncio
import contextlib
import datetime
from typing import Any

import httpx
import pytest
import redis.asyncio

from agent_executor.api import events
from tests.support.api import ECHO, Api, path, plan, serving
from tests.support.runtime import caller, job, until
from tests.support.servers import own_servers

SLOW = plan(
    *(
        {"text": f"turn {n}", "delay_ms": 700, "tool_calls": [{"name": "write_todos", "args": {"todos": []}}]}
        for n in range(2)
    ),
    {"text": "done"},
)
ODD = ("a/events", "a/b c?d#e%2F", "..", ".", "jobs", "ünï 🎉", "result", "x" * 512, "%", "a+b", "https://x/y", "*>.")


def parsed(text: str) -> list[dict[str, str]]:
    """Events as a browser would see them."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n") if ": " in line) for block in text.split("\n\n")]
    return [block for block in blocks if "data" in block]


async def test_a_stream_has_every_event_once_in_order_with_its_seq_as_id_and_ends_with_end(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit(ECHO, "one two three")
        answer = await api.http.get(path(job_id, "/events"))
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.startswith("retry: 1000\n\n")
        seen = parsed(answer.text)
        told = await api.events(job_id)
        assert [int(event["id"]) for event in seen] == [event["seq"] for event in told]
        assert [event["event"] for event in seen] == [event["event_type"] for event in told]
        assert [event["seq"] for event in told] == sorted({event["seq"] for event in told})
        assert told[-1]["event_type"] == "end"
        assert {event["job_id"] for event in told} == {job_id}


async def test_a_stream_resumes_after_any_event_without_a_gap(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit(ECHO, "one two three four")
        told = await api.events(job_id)
        for at, event in enumerate(told[:-1]):
            assert await api.events(job_id, str(event["seq"])) == told[at + 1 :]


async def test_a_client_that_reconnects_all_the_time_misses_nothing_while_the_job_runs(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit(SLOW)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event_type"] != "end":
            stream = api.follow(job_id, str(seen[-1]["seq"]) if seen else None)
            seen.append(await anext(stream))
            await stream.aclose()
        assert seen == await api.events(job_id)


@pytest.mark.parametrize("last", ["9" * 32, str(2**63), str(2**64), "12345678901234567890"])
async def test_a_last_event_id_above_everything_ends_with_the_row(env: dict[str, str], last: str) -> None:
    async with serving(env) as api:
        job_id = await api.submit(SLOW)
        told = await asyncio.wait_for(api.events(job_id, last), 20)
        assert [(event["event_type"], event["data"]) for event in told] == [("end", {"status": "completed"})]


@pytest.mark.parametrize("last", ["-1", "abc", "1-0", "1.5", "1" * 33])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(env: dict[str, str], last: str) -> None:
    async with serving(env) as api:
        answer = await api.http.get(path("x", "/events"), headers={b"Last-Event-ID": last.encode()})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"


async def test_when_the_events_have_expired_the_row_says_how_it_ended(env: dict[str, str]) -> None:
    async with serving(env) as api, contextlib.aclosing(_redis(env)) as client:
        job_id = await api.submit(ECHO)
        told = await api.events(job_id)
        await client.delete(f"langgraph:stream:{job_id}:log")
        (only,) = await api.events(job_id)
        assert (only["event_type"], only["data"], only["trace_id"]) == ("end", {"status": "completed"}, "trace-1")
        (rest,) = await api.events(job_id, str(told[0]["seq"]))
        assert rest["seq"] > told[0]["seq"]


async def test_a_job_with_any_id_has_a_stream_of_its_own(env: dict[str, str]) -> None:
    async with serving(env, MAX_CONCURRENT_JOBS="10") as api:
        for job_id in ODD:
            await api.submit(ECHO, job_id, job_id)
        for job_id in ODD:
            told = await api.events(job_id)
            assert {event["job_id"] for event in told} == {job_id}
            assert (await api.http.get(path(job_id, "/result"))).json()["result"]["output"] == job_id
        assert (await api.http.get("/jobs/nobody/events")).status_code == 404


async def test_an_interrupt_ends_a_stream_until_it_is_answered_and_then_only_the_last_end_counts() -> None:
    told = [
        _event(1, "on_llm_stream"),
        _event(2, "end", "interrupted"),
        _event(2**32 + 1, "on_llm_stream"),
        _event(2**32 + 2, "end", "completed"),
    ]
    assert [event["seq"] for event in await _streamed(told[:2], "interrupted", 0)] == [1, 2]
    assert [event["seq"] for event in await _streamed(told, "completed", 0)] == [1, 2**32 + 1, 2**32 + 2]
    assert [event["seq"] for event in await _streamed(told, "completed", 2)] == [2**32 + 1, 2**32 + 2]
    assert [event["data"] for event in await _streamed([], "interrupted", 0)] == [{"status": "interrupted"}]


async def test_a_job_whose_event_was_refused_before_it_was_right_has_a_stream_of_its_own(env: dict[str, str]) -> None:
    async with serving(env) as api:
        given = job(SLOW)
        refused = await api.http.post("/", json={**given, "trace_id": ""})
        assert refused.status_code == 400
        assert refused.json()["job_id"] == given["job_id"]
        assert (await api.http.post("/", json=given)).status_code == 202
        told = await api.events(given["job_id"])
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
        assert told[-1]["data"] == {"status": "completed"}


async def test_a_stream_survives_dragonfly_and_then_tells_what_the_row_knows(env: dict[str, str]) -> None:
    with own_servers() as own:
        changed = {"DRAGONFLY_HOST": "127.0.0.1", "DRAGONFLY_PORT": str(own.redis.port)}
        async with serving(env, **changed) as api:
            job_id = await api.submit(SLOW)
            stream = api.follow(job_id)
            first = await anext(stream)
            own.redis.stop()
            rest = [event async for event in stream]
            assert rest[-1]["event_type"] == "end"
            assert rest[-1]["data"] == {"status": "completed"}
            assert rest[-1]["seq"] > first["seq"]
            assert await api.state(job_id) == "completed"


async def test_a_short_absence_of_dragonfly_costs_a_reader_nothing(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(env) as api:
        job_id = await api.submit(ECHO)
        told = await api.events(job_id)
        follow, failures = events.event_log.follow, iter([True, True])

        def faulty(*arguments: Any) -> Any:
            if next(failures, False):
                raise redis.exceptions.ConnectionError
            return follow(*arguments)

        monkeypatch.setattr(events.event_log, "follow", faulty)
        assert await api.events(job_id) == told


@pytest.mark.slow
async def test_hundreds_of_streams_take_nothing_from_jobs_or_readiness(env: dict[str, str]) -> None:
    async with caller(env), serving(env) as api:
        limits = httpx.Limits(max_connections=400)
        job_id = await api.submit(plan({"text": "late", "delay_ms": 90_000}))
        async with httpx.AsyncClient(base_url=api.http.base_url, timeout=60, limits=limits, trust_env=False) as crowd:
            each = Api(crowd, api.serving, api.stop)
            opening = asyncio.Semaphore(5)  # each asks the database for the job once, and a busy machine has few turns
            opened = []

            async def watch() -> list[dict[str, Any]]:
                async with opening:
                    stream = each.follow(job_id)
                    opened.append(await anext(stream))
                return [event async for event in stream]

            streams = [asyncio.create_task(watch()) for _ in range(300)]
            await until(lambda: len(opened) == len(streams), 75)
            assert await api.ready()
            other = await api.submit(ECHO)
            assert await api.ended(other) == "completed"
            assert not any(stream.done() for stream in streams)
            await api.http.delete(path(job_id))
            told = await asyncio.gather(*streams)
        assert all(events[-1]["event_type"] == "end" for events in told)
        assert all(events[-1]["data"] == {"status": "cancelled"} for events in told)
        assert len({len(events) for events in told}) == 1


async def test_a_client_that_goes_away_leaves_nothing_behind(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit(plan({"text": "late", "delay_ms": 5000}))
        await api.reaches(job_id, "running")
        for _ in range(5):
            stream = api.follow(job_id)
            await anext(stream)
            await stream.aclose()
        assert await api.ready()
        await api.http.delete(path(job_id))
        assert (await api.events(job_id))[-1]["data"] == {"status": "cancelled"}


async def test_a_service_that_stops_closes_its_streams_and_stops_in_time(env: dict[str, str]) -> None:
    async with serving(env, DRAIN_SECONDS="0.5") as api:
        job_id = await api.submit(plan({"text": "late", "delay_ms": 20000}))
        await api.reaches(job_id, "running")
        stream = asyncio.create_task(api.events(job_id))
        await asyncio.sleep(0)
        api.stop.set()
        told = await asyncio.wait_for(stream, 8)
        assert all(event["event_type"] != "end" for event in told)  # the job goes on elsewhere
        assert await asyncio.wait_for(api.serving, 10) == 0


def _redis(env: dict[str, str]) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host=env["DRAGONFLY_HOST"], port=int(env["DRAGONFLY_PORT"]), protocol=2)


def _event(seq: int, kind: str, status: str = "") -> dict[str, Any]:
    return {"seq": seq, "event_type": kind, "job_id": "j", "data": {"status": status} if status else {}}


async def _streamed(log: list[dict[str, Any]], state: str, after: int) -> list[dict[str, Any]]:
    """What a reader sees of a log beside a row in that state."""

    class Job:
        job_id, trace_id = "j", "t"
        finished_at = updated_at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    Job.state = state  # type: ignore[attr-defined]

    class Service:
        stopping = asyncio.Event()
        watchers = None

        class jobs:  # noqa: N801
            @staticmethod
            async def get(_: str) -> type[Job]:
                return Job

    async def follow(_: object, __: str, since: int) -> Any:
        for message in log:
            if message["seq"] > since:
                yield message
        while True:
            yield None

    async def replay(_: object, __: str, since: int, count: int) -> list[dict[str, Any]]:
        return [message for message in log if message["seq"] > since][:count]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events.event_log, "follow", follow)
        patch.setattr(events.event_log, "replay", replay)
        return [each async for each in events._messages(Service, Job, after) if each]  # type: ignore[arg-type]
