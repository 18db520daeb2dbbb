"""Every metric exists from the start, keeps its name, and moves when it should."""

import asyncio
import json
import time

import nats
import psycopg
import pytest

from agent_executor.api import main
from agent_executor.telemetry.metrics import MODELS, Metrics
from tests.support import llm_stub
from tests.support.api import ECHO, path, plan, serving
from tests.support.llm_stub import Reply
from tests.support.runtime import caller, until
from tests.support.servers import Database

CONTRACT = (
    'agent_executor_jobs_total{status="completed"} 0.0',
    'agent_executor_jobs_total{status="failed"} 0.0',
    "agent_executor_job_duration_seconds_count 0.0",
    "agent_executor_nats_messages_processed_total 0.0",
    "agent_executor_nats_messages_failed_total 0.0",
)
LATE = plan({"text": "late", "delay_ms": 3000})
STEPS = plan(
    *({"text": "", "tool_calls": [{"name": "write_todos", "args": {"todos": []}}], "delay_ms": 400} for _ in range(6)),
    {"text": "done"},
)


def test_the_names_of_the_contract_are_there_from_the_start() -> None:
    page = Metrics().page().decode().splitlines()
    assert set(CONTRACT) <= set(page)
    assert not [line for line in page if "_created" in line]


def test_every_metric_is_described_with_its_unit() -> None:
    described = list(Metrics().described())
    assert len({each.name for each in described}) == len(described) == 18
    for each in described:
        assert each.name.startswith("agent_executor_")
        assert each.text.endswith(".")
        assert each.kind != "counter" or each.name.endswith("_total")
        assert each.kind != "histogram" or each.name.endswith("_seconds")


def test_models_that_callers_name_have_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    for number in range(MODELS * 3):
        metrics.count_tokens(f"model-{number}" + "x" * 200, sent=1, received=2)
    series = [line for line in metrics.page().decode().splitlines() if line.startswith("agent_executor_tokens_total")]
    assert len(series) == 2 * (MODELS + 1)
    assert f'agent_executor_tokens_total{{direction="input",model="other"}} {MODELS * 2:.1f}' in series
    assert max(map(len, series)) < 200


async def test_what_jobs_do_is_counted(env: dict[str, str]) -> None:
    async with serving(env) as api:
        late = await api.submit(LATE)
        await api.reaches(late, "running")
        assert await api.metric("jobs_in_flight") == 1
        done, broken = await api.submit(ECHO), await api.submit({"nodes": []})
        assert (await api.ended(done), await api.ended(broken)) == ("completed", "failed")
        await api.http.delete(path(late))
        assert await api.ended(late) == "cancelled"

        async def settled() -> bool:
            return await api.metric("nats_messages_processed_total") == 3

        await until(settled)
        for name, labels, value in (
            ("jobs_total", {"status": "completed"}, 1),
            ("jobs_total", {"status": "failed"}, 1),
            ("jobs_total", {"status": "cancelled"}, 1),
            ("job_duration_seconds_count", {}, 3),
            ("nats_messages_failed_total", {}, 1),
            ("dead_letters_total", {}, 1),
            ("queue_wait_seconds_count", {}, 3),
            ("jobs_in_flight", {}, 0),
        ):
            assert await api.metric(name, **labels) == value, (name, labels)
        assert await api.metric("first_event_seconds_count") >= 1
        assert await api.metric("checkpoint_seconds_count") >= 1
        assert 0 < await api.metric("checkpoint_seconds_sum") < 30


@pytest.mark.slow
async def test_tokens_are_counted_by_model_and_an_attempt_that_failed_is_a_retry(env: dict[str, str]) -> None:
    failing = [Reply(status=500)] * 12
    async with llm_stub.serve(*failing, Reply("fine")) as stub:
        given = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.openai, "JOB_MAX_ATTEMPTS": "20"}
        async with serving(env, **given) as api:
            definition = json.loads(json.dumps(ECHO))
            definition["nodes"][0]["config"]["model"] = {"provider": "openai", "model": "gpt-x"}
            job_id = await api.submit(definition)
            assert await asyncio.wait_for(api.ended(job_id), 60) == "completed"
            assert await api.metric("tokens_total", model="gpt-x", direction="input") == 11
            assert await api.metric("tokens_total", model="gpt-x", direction="output") == 7
            assert await api.metric("retries_total") >= 1


async def test_a_hand_over_is_a_drain_here_and_a_redelivery_and_a_resume_there(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A service that has handed its jobs over is gone in a moment, so its metrics are read from the inside.
    made: list[Metrics] = []
    monkeypatch.setattr(main, "Metrics", lambda: made.append(Metrics()) or made[-1])
    async with serving(env) as here:
        job_id = await here.submit(STEPS)
        stream = here.follow(job_id)
        async for event in stream:
            if event["event_type"] == "on_tool_end":
                break
        await stream.aclose()
        async with serving(env) as there:
            here.stop.set()
            await here.serving
            assert b"agent_executor_drains_total 1.0\n" in made[0].page()
            assert await there.ended(job_id) == "completed"
            assert await there.metric("resumes_total") == 1
            assert await there.metric("redeliveries_total") == 1


async def test_a_lease_that_somebody_else_took_is_counted(env: dict[str, str], migrated: Database) -> None:
    async with serving(env) as api:
        job_id = await api.submit(LATE)
        await api.reaches(job_id, "running")
        with psycopg.connect(migrated.dsn, autocommit=True) as connection:
            connection.execute("UPDATE agent_executor.jobs SET epoch = epoch + 1, owner = 'thief'")

        async def lost() -> bool:
            return await api.metric("lost_leases_total") == 1

        await until(lost)


async def test_the_event_loop_says_how_late_it_was(env: dict[str, str]) -> None:
    async with serving(env, wait=False) as api:
        assert await api.metric("event_loop_lag_seconds") < 0.5

        async def late() -> bool:
            time.sleep(0.9)
            return await api.metric("event_loop_lag_seconds") > 0.3

        await until(late)


@pytest.mark.slow
async def test_results_that_cannot_leave_are_the_outbox_depth(
    env: dict[str, str], nats_client: nats.NATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_executor.api.upkeep.LOOK_SECONDS", 0.2)
    async with caller(env), serving(env) as api:

        async def refused(*_: object) -> None:
            from agent_executor.errors import TemporaryError

            raise TemporaryError("nats_unavailable", "not now")

        with monkeypatch.context() as patch:
            patch.setattr("agent_executor.services.broker.Broker.publish", refused)
            patch.setattr("agent_executor.services.outbox.Outbox.send", refused_quietly)
            assert await api.ended(await api.submit(ECHO)) == "completed"

            async def deep() -> bool:
                return await api.metric("outbox_depth") == 1

            await until(deep)


async def refused_quietly(*_: object) -> None:
    """The relay's turn, which never comes."""
