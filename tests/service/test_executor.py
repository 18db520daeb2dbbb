"""The whole runtime on real servers: events go in over NATS, results come out on the status stream, once each."""

import asyncio
import base64
import functools
import json
import os
import sys
from types import SimpleNamespace

import psycopg
import pytest

from agent_executor import settings
from agent_executor.core import attempt, executor
from agent_executor.errors import TemporaryError
from agent_executor.services import event_log, redis
from agent_executor.services.broker import Broker
from tests.service import malformed
from tests.support.graphs import ECHO, agent, call, calls, configured, plan
from tests.support.llm_stub import Reply, serve
from tests.support.runtime import HURRY, caller, job, until, worker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STEP = calls(call("write_todos", todos=[]))


def slow(steps, milliseconds=200):
    """A job of so many steps, each of which takes a while."""
    return agent(plan(*({**STEP, "delay_ms": milliseconds} for _ in range(steps)), {"text": "done"}))


def resume(job_id, answer, id_="resume-1"):
    data = {"job_id": job_id, "resume": answer}
    return malformed.ENVELOPE | malformed.RESUME | {"id": id_, "data": data}


def cancel(job_id):
    return malformed.ENVELOPE | malformed.CANCEL | {"id": f"cancel-{job_id}", "data": {"job_id": job_id}}


async def query(env, statement, *parameters):
    given = settings.load(env)
    async with await psycopg.AsyncConnection.connect(
        host=given.postgres_host,
        port=given.postgres_port,
        dbname=given.postgres_db,
        user=given.postgres_user,
        password=given.postgres_password.get_secret_value(),
        options="-c search_path=agent_executor",
        autocommit=True,
    ) as connection:
        cursor = await connection.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []


async def log_of(env, job_id):
    client = redis.connect(settings.load(env))
    try:
        return await event_log.replay(client, job_id)
    finally:
        await client.aclose()


async def ended(env, job_id):
    """A job's whole log, once it has its end."""

    async def whole():
        messages = await log_of(env, job_id)
        return messages if messages and messages[-1]["event_type"] == "end" else None

    return await until(whole)


DELAYS = {
    "the first delay is the settings'": (TemporaryError("x", "y"), 1, (2.5, 5)),
    "it doubles": (TemporaryError("x", "y"), 3, (10, 20)),
    "it is bounded": (TemporaryError("x", "y"), 50, (150, 300)),
    "an error may have its own": (TemporaryError("x", "y", delay=1), 2, (1, 2)),
    "a server that asks for more gets more": (TemporaryError("x", "y", retry_after=900), 1, (900, 900)),
    "and for less gets no less": (TemporaryError("x", "y", retry_after=0.1), 1, (2.5, 5)),
}


@pytest.mark.parametrize(("error", "attempts", "seconds"), DELAYS.values(), ids=DELAYS)
def test_a_failed_job_is_left_alone_for_a_while(error, attempts, seconds):
    made = executor.Executor(SimpleNamespace(settings=configured()), None)
    delays = [made._backoff(error, attempts) for _ in range(100)]
    assert seconds[0] <= min(delays) <= max(delays) <= seconds[1]
    assert len(set(delays)) > 1 or seconds[0] == seconds[1]


async def test_an_event_becomes_a_result(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(agent(ECHO), "say this")
        await outside.send(asked)
        event = await outside.told(asked["job_id"])
        assert event["type"] == "dev.my-platform.agent.completed"
        assert event["id"] == f"{asked['job_id']}/completed"
        assert event["data"]["job_id"] == asked["job_id"]
        assert event["data"]["result"]["output"] == "say this"
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert inside.observer.ended == ["completed"]
        rows = await query(env, "SELECT DISTINCT thread_id, metadata->>'run_id' FROM checkpoints")
        assert rows == [(asked["job_id"], asked["job_id"])]


async def test_every_mode_of_event_is_run_and_its_trace_goes_on(env):
    async with caller(env) as outside, worker(env):
        bare, structured, binary = (job(agent(ECHO), name) for name in ("bare", "structured", "binary"))
        await outside.send(bare, {"traceparent": TRACE})
        await outside.send(malformed.ENVELOPE | {"data": structured, "traceparent": TRACE}, malformed.STRUCTURED)
        await outside.send(binary, malformed.BINARY | {"ce-traceparent": TRACE})
        for asked in (bare, structured, binary):
            event = await outside.told(asked["job_id"], "completed")
            assert event["data"]["result"]["output"] == asked["input_payload"]["messages"][0]["content"]
            assert event["traceparent"].split("-")[1] == TRACE.split("-")[1]


async def test_live_events_come_in_order_and_end(env):
    async with caller(env) as outside, worker(env):
        asked = job(agent(plan(STEP, {"text": "all done"})))
        client = redis.connect(settings.load(env))
        heard = []
        async with client.pubsub() as channel:
            await channel.subscribe(redis.channel(asked["job_id"]))
            await outside.send(asked)
            await outside.told(asked["job_id"], "completed")
            while not heard or heard[-1]["event_type"] != "end":
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
                heard += [json.loads(message["data"])] if message else []
        await client.aclose()
        assert heard == await log_of(env, asked["job_id"])
        assert [message["seq"] for message in heard] == list(range(1, len(heard) + 1))
        kinds = {message["event_type"] for message in heard}
        assert kinds == {"on_state_update", "on_llm_stream", "on_tool_start", "on_tool_end", "end"}
        assert heard[-1]["data"] == {"status": "completed"}
        assert {(message["job_id"], message["trace_id"]) for message in heard} == {(asked["job_id"], "trace-1")}


async def test_the_same_event_again_is_one_result(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(agent(ECHO))
        for _ in range(3):
            await outside.send(asked)
        await until(lambda: inside.observer.counts.get("processed") == 3)
        await outside.send(asked)
        await until(lambda: inside.observer.counts.get("processed") == 4)
        assert len(outside.all(asked["job_id"])) == 1
        assert inside.observer.ended == ["completed"]


async def test_a_malformed_event_is_one_failure_and_one_dead_letter(env):
    cases = {}
    for number, (payload, headers, reason) in enumerate(malformed.CASES.values()):
        # Each under ids of its own: two failures of one job would be one event.
        own = payload.replace(b"job-1", f"job-{number}".encode()).replace(b"event-1", f"event-{number}".encode())
        named = {k: v.replace("event-1", f"event-{number}") for k, v in headers.items()}
        cases[number] = (own, named, reason)
    async with caller(env) as outside, worker(env) as inside:
        for number, (payload, headers, _) in cases.items():
            await outside.send(payload, headers | {"X-Case": str(number)})
        good = job(agent(ECHO))
        await outside.send(good)
        await outside.told(good["job_id"], "completed", 60)  # it is behind all of them
        await until(lambda: len(outside.dead()) == len(cases))
        letters = {int(message.headers["X-Case"]): message for message in outside.dead()}
        for number, (payload, headers, reason) in cases.items():
            assert letters[number].data == payload
            assert headers.items() <= letters[number].headers.items()
            assert letters[number].headers["Agent-Executor-Reason"].startswith(reason)
            assert letters[number].subject == f"{env['NATS_SUBJECT_PREFIX']}.dead.test"
        failures = [event for subject, event, _ in outside.seen if subject.endswith(".failed")]
        assert {event["data"]["error"]["type"] for event in failures} == {"invalid_event"}
        assert len({event["id"] for event in failures}) == len(failures)
        assert malformed.CANARY not in json.dumps(failures)
        await until(lambda: inside.observer.counts.get("processed") == len(cases) + 1)
        assert inside.observer.counts["failed"] == inside.observer.counts["dead_letters"] == len(cases)


BROKEN = {
    "an unknown provider": (agent({"provider": "none", "model": "x"}), "nodes[0].config.model.provider"),
    "no nodes": ({"name": "x", "nodes": []}, "nodes"),
    "an input that is no conversation": (agent(ECHO), "messages"),
}


@pytest.mark.parametrize(("definition", "path"), BROKEN.values(), ids=BROKEN)
async def test_what_can_never_run_fails_at_once_and_is_kept(env, definition, path):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(definition) if path != "messages" else job(definition) | {"input_payload": {"messages": 7}}
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "failed")
        error = event["data"]["error"]
        assert path in error["message"]
        assert (error["type"][:8], error["retryable"], error["attempts"]) == ("invalid_", False, 1)
        letter = (await until(outside.dead))[0]
        assert json.loads(letter.data) == asked
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert inside.observer.counts["dead_letters"] == 1
        assert (await ended(env, asked["job_id"]))[-1]["event_type"] == "end"


async def test_a_job_longer_than_three_ack_waits_is_delivered_once(env):
    env |= {"NATS_ACK_WAIT_SECONDS": "0.5"}
    async with caller(env) as outside, worker(env) as inside:
        asked = job(slow(1, 2000))
        await outside.send(asked)
        await outside.told(asked["job_id"], "completed")
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert "redeliveries" not in inside.observer.counts


async def test_a_draining_worker_hands_its_job_over(env):
    async with caller(env) as outside, worker(env) as first:
        asked = job(slow(8))
        await outside.send(asked)
        await until(lambda: first.executor.in_flight)
        async with worker(env) as second:
            await until(lambda: query(env, "SELECT 1 FROM checkpoints WHERE (metadata->>'step')::int > 4"))
            stopping = asyncio.get_running_loop().time()
            await first.stop()
            await until(lambda: second.executor.in_flight, 3)
            assert asyncio.get_running_loop().time() - stopping < 2
            event = await outside.told(asked["job_id"], "completed")
        roles = [message["role"] for message in event["data"]["result"]["messages"]]
        assert roles == ["user", *["assistant", "tool"] * 8, "assistant"]
        assert (first.observer.counts["drains"], second.observer.counts["resumes"]) == (1, 1)
        assert await query(env, "SELECT failures FROM jobs") == [(0,)]
        sequence = [message["seq"] for message in await ended(env, asked["job_id"])]
        assert sequence == sorted(set(sequence))


async def test_a_job_that_cannot_reach_a_checkpoint_in_time_is_handed_over_too(env):
    async with caller(env) as outside, worker(env, DRAIN_SECONDS="0.3") as first:
        asked = job(slow(1, 2500))
        await outside.send(asked)
        await until(lambda: first.executor.in_flight)
        async with worker(env):
            await first.stop()
            assert first.observer.counts["drains"] == 1
            await outside.told(asked["job_id"], "completed")
        assert await query(env, "SELECT failures FROM jobs") == [(0,)]


@pytest.mark.slow
async def test_a_killed_worker_is_replaced_and_nothing_done_is_done_again(env):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.runtime", env={**os.environ, **env}, stdout=asyncio.subprocess.PIPE
    )
    async with caller(env) as outside:
        while (line := await process.stdout.readline()) != b"ready\n":
            assert line, "it ended before it was ready"  # else it is the log's
        asked = job(slow(10, 300))
        await outside.send(asked)
        await until(lambda: query(env, "SELECT 1 FROM checkpoints WHERE (metadata->>'step')::int > 6"))
        process.kill()
        await process.wait()
        async with worker(env) as second:
            event = await outside.told(asked["job_id"], "completed", 10)
            assert second.observer.counts["resumes"] == 1
        roles = [message["role"] for message in event["data"]["result"]["messages"]]
        assert roles == ["user", *["assistant", "tool"] * 10, "assistant"]
        assert await query(env, "SELECT failures FROM jobs") == [(1,)]
        assert len(outside.all(asked["job_id"])) == 1


async def test_a_job_that_kills_its_workers_is_buried(env):
    async with caller(env) as outside:
        asked = job(agent(ECHO))
        async with worker(env) as inside:
            # As three dead workers leave it: running, its lease run out, two deaths counted and one to count.
            await outside.send(asked)
            await outside.told(asked["job_id"], "completed")
            await inside.stop()
        other = job(agent(ECHO))
        await query(
            env,
            "INSERT INTO jobs (job_id, trace_id, received, headers, subject, definition, definition_hash, input, state,"
            " epoch, failures, lease_expires) SELECT %s, trace_id, received, headers, subject, definition,"
            " definition_hash, input, 'running', 3, 2, now() - interval '1 s' FROM jobs",
            other["job_id"],
        )
        await outside.send(other)
        async with worker(env):
            event = await outside.told(other["job_id"], "failed")
            assert event["data"]["error"]["type"] == "attempts_exhausted"
            assert event["data"]["error"]["attempts"] == 3
            assert json.loads((await until(outside.dead))[0].data) == other


OPENAI = agent({"provider": "openai", "model": "gpt-4.1-mini"})
MODEL_ENV = {"OPENAI_API_KEY": "sk-canary", "MODEL_TIMEOUT_SECONDS": "1"}


async def test_a_model_that_recovers_costs_no_attempt(env):
    async with (
        serve(Reply(status=503), Reply("fine again")) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, **MODEL_ENV),
    ):
        asked = job(OPENAI)
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "completed")
        assert event["data"]["result"]["output"] == "fine again"
        assert await query(env, "SELECT failures FROM jobs") == [(0,)]


async def test_a_model_that_stays_away_is_tried_so_often_and_then_the_job_is_buried(env, monkeypatch):
    monkeypatch.setattr(attempt, "PAUSE_IN_PLACE", 0.05)
    async with (
        serve(Reply(status=503)) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, JOB_MAX_ATTEMPTS="2", **MODEL_ENV) as inside,
    ):
        asked = job(OPENAI)
        await outside.send(asked)
        error = (await outside.told(asked["job_id"], "failed"))["data"]["error"]
        assert (error["type"], error["attempts"], error["retryable"]) == ("model_unavailable", 2, True)
        await until(outside.dead)
        assert inside.observer.counts["retries"] == 1


async def test_a_wrong_key_is_final_and_quoted_nowhere(env):
    async with (
        serve(Reply(status=401)) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, **MODEL_ENV) as inside,
    ):
        asked = job(OPENAI)
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "failed")
        assert event["data"]["error"]["type"] == "model_unauthorized"
        assert event["data"]["error"]["attempts"] == 1
        assert "sk-canary" not in json.dumps(event)
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert outside.dead() == []


LIMITS = {
    "wall clock": ({"JOB_TIMEOUT_SECONDS": "0.8"}, slow(1, 5000)),
    "recursion": ({"JOB_RECURSION_LIMIT": "8"}, slow(10, 1)),
    "tool calls": ({"JOB_MAX_TOOL_CALLS": "2"}, slow(10, 1)),
    "model calls": ({"JOB_MAX_MODEL_CALLS": "2"}, slow(10, 1)),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_job_over_a_limit_fails_and_says_which(env, limit):
    changes, definition = LIMITS[limit]
    async with caller(env) as outside, worker(env, **changes):
        asked = job(definition)
        await outside.send(asked)
        error = (await outside.told(asked["job_id"], "failed"))["data"]["error"]
        assert (error["type"], error["retryable"]) == ("limit_exceeded", False)
        assert error["message"].startswith(limit)


async def test_a_running_job_is_cancelled(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(slow(1, 60_000))
        await outside.send(asked)
        await until(lambda: inside.executor.in_flight)
        await outside.send(cancel(asked["job_id"]))
        event = await outside.told(asked["job_id"])
        assert (event["type"], event["data"]) == ("dev.my-platform.agent.cancelled", {"job_id": asked["job_id"]})
        await until(lambda: inside.observer.counts.get("processed") == 2)
        assert (await ended(env, asked["job_id"]))[-1]["data"] == {"status": "cancelled"}


async def test_a_job_on_another_worker_is_cancelled(env):
    async with caller(env) as outside, worker(env) as first:
        asked = job(slow(1, 60_000))
        await outside.send(asked)
        await until(lambda: first.executor.in_flight)
        async with worker(env) as second:
            assert await second.executor.cancel(asked["job_id"]) == "running"
            await outside.told(asked["job_id"], "cancelled")


async def test_what_names_no_job_is_refused_after_a_while(env, monkeypatch):
    monkeypatch.setattr(executor, "STRANGER_SECONDS", 0.1)
    async with caller(env) as outside, worker(env):
        await outside.send(cancel("nobody"))
        error = (await outside.told("nobody", "failed"))["data"]["error"]
        assert error["type"] == "unknown_job"
        await until(outside.dead)
        assert [message["event_type"] for message in await ended(env, "nobody")] == ["end"]


async def test_a_job_that_a_cancel_named_too_early_fails_under_an_id_of_its_own(env, monkeypatch):
    monkeypatch.setattr(executor, "STRANGER_SECONDS", 0.1)
    async with caller(env) as outside, worker(env):
        await outside.send(cancel("early"))
        refused = await outside.told("early", "failed")
        await outside.send(job({"nodes": []}) | {"job_id": "early"})
        event = await until(functools.partial(outside.event, "early/failed"))
        assert (refused["data"]["error"]["type"], event["data"]["error"]["type"]) == (
            "unknown_job",
            "invalid_definition",
        )
        assert refused["id"].startswith("early/refused/")


async def test_an_interrupted_job_waits_without_a_worker_and_goes_on(env):
    writing = calls(call("write_file", file_path="/a.txt", content="one\ntwo"))
    definition = agent(plan(writing, {"text": "written"}), interrupt_on={"write_file": True})
    async with caller(env) as outside, worker(env) as inside:
        asked = job(definition)
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "interrupted")
        assert event["id"] == f"{asked['job_id']}/interrupted/1"
        assert event["data"]["interrupts"][0]["value"]["action_requests"][0]["name"] == "write_file"
        await until(lambda: inside.observer.counts.get("processed") == 1 and not inside.executor.in_flight)
        for _ in range(2):
            await outside.send(resume(asked["job_id"], {"decisions": [{"type": "approve"}]}))
        done = await outside.told(asked["job_id"], "completed")
        assert done["data"]["result"]["files"]["/a.txt"]["content"] == ["one", "two"]
        await until(lambda: inside.observer.counts.get("processed") == 3)
        assert len(outside.all(asked["job_id"])) == 2


async def test_an_answer_is_not_taken_for_the_next_question_of_a_sub_agent(env):
    first, second = (call("write_file", file_path=f"/{name}.txt", content=name) for name in "ab")
    scout = {"id": "scout", "model": plan(calls(first), {**calls(second), "delay_ms": 1500}, {"text": "both"})}
    boss = plan(calls(call("task", description="write", subagent_type="scout")), {"text": "done"})
    definition = agent(boss, scout, interrupt_on={"write_file": True})
    approval = {"decisions": [{"type": "approve"}]}
    stored = "SELECT count(*) FROM checkpoints WHERE checkpoint_ns <> ''"
    async with caller(env) as outside:
        async with worker(env) as inside:
            asked = job(definition)
            await outside.send(asked)
            await outside.told(asked["job_id"], "interrupted")
            before = (await query(env, stored))[0][0]
            await outside.send(resume(asked["job_id"], approval, "first"))
            await until(lambda: inside.executor.in_flight)

            async def goes_on():
                return (await query(env, stored))[0][0] > before

            await until(goes_on)  # the first call is done, and the model thinks about the second
        async with worker(env):  # after a drain in the middle of the sub-agent
            asking = f"{asked['job_id']}/interrupted/2"
            await until(lambda: any(event["id"] == asking for event in outside.all(asked["job_id"])))
            await outside.send(resume(asked["job_id"], approval, "second"))
            done = await outside.told(asked["job_id"], "completed")
            assert done["data"]["result"]["files"].keys() == {"/a.txt", "/b.txt"}


async def test_a_cancel_that_comes_just_before_an_interrupt_ends_the_job(env):
    writing = {**calls(call("write_file", file_path="/a.txt", content="")), "delay_ms": 800}
    definition = agent(plan(writing, {"text": "written"}), interrupt_on={"write_file": True})
    async with caller(env) as outside, worker(env, JOB_LEASE_SECONDS="30") as inside:
        asked = job(definition)
        await outside.send(asked)
        await until(lambda: inside.executor.in_flight)
        await query(env, "UPDATE jobs SET cancel_requested = true")  # as another pod does
        await outside.told(asked["job_id"], "cancelled")
        assert len(outside.all(asked["job_id"])) == 1


async def test_a_cancel_while_an_interrupt_is_being_told_ends_the_job(env, monkeypatch):
    publish, telling, go_on = Broker.publish, asyncio.Event(), asyncio.Event()

    async def held_up(self, event):
        if event.id.endswith("/interrupted/1"):
            telling.set()
            await go_on.wait()
        await publish(self, event)

    monkeypatch.setattr(Broker, "publish", held_up)
    definition = agent(
        plan(calls(call("write_file", file_path="/a.txt", content="")), {"text": "written"}),
        interrupt_on={"write_file": True},
    )
    async with caller(env) as outside, worker(env) as inside:
        asked = job(definition)
        await outside.send(asked)
        async with asyncio.timeout(20):
            await telling.wait()
        assert await inside.executor.cancel(asked["job_id"]) == "cancelled"
        go_on.set()
        await outside.told(asked["job_id"], "cancelled")


async def test_a_job_that_takes_long_to_publish_is_not_lost_to_anybody(env, monkeypatch):
    publish = Broker.publish

    async def slowly(self, event):
        await asyncio.sleep(1.2)
        await publish(self, event)

    monkeypatch.setattr(Broker, "publish", slowly)
    async with caller(env) as outside, worker(env, JOB_LEASE_SECONDS="1.5") as inside:
        asked = job(agent(ECHO))
        await outside.send(asked)
        await outside.told(asked["job_id"], "completed")
        await until(lambda: inside.observer.counts.get("processed") == 1)
        assert "lost_leases" not in inside.observer.counts


async def test_a_worker_that_lost_its_lease_says_nothing(env):
    async with caller(env) as outside, worker(env) as inside:
        asked = job(slow(20))
        await outside.send(asked)
        await until(lambda: inside.executor.in_flight)
        await query(env, "UPDATE jobs SET epoch = epoch + 1, owner = 'other', lease_expires = now() + interval '60 s'")
        await until(lambda: inside.observer.counts.get("lost_leases") == 1)
        assert not inside.executor.in_flight
        assert outside.all(asked["job_id"]) == []


async def test_a_deleted_stream_is_made_again_and_its_jobs_are_not_run_again(env):
    async with caller(env) as outside, worker(env) as inside:
        asked, after = job(agent(ECHO)), job(agent(ECHO))
        await outside.send(asked)
        await outside.told(asked["job_id"], "completed")
        await outside.client.jetstream().delete_consumer(env["NATS_STREAM"], env["NATS_CONSUMER"])
        await until(lambda: inside.observer.counts.get("processed") == 2)  # the recreated consumer replays it
        await outside.client.jetstream().delete_stream(env["NATS_STREAM"])
        await until(lambda: outside.accepted(after))
        await outside.told(after["job_id"], "completed")
        await until(lambda: inside.observer.counts.get("processed") == 3)
        assert len(outside.all(asked["job_id"])) == 1
        assert inside.observer.ended == ["completed", "completed"]


async def test_never_more_jobs_than_slots(env):
    async with caller(env) as outside, worker(env, MAX_CONCURRENT_JOBS="2") as inside:
        asked = [job(slow(1, 300)) for _ in range(6)]
        for one in asked:
            await outside.send(one)
        most = 0
        while not all(outside.all(one["job_id"], "completed") for one in asked):
            most = max(most, inside.executor.in_flight)
            await asyncio.sleep(0.01)
        assert most == 2


async def test_without_dragonfly_jobs_go_on(env):
    async with caller(env) as outside, worker(env, DRAGONFLY_PORT="1") as inside:
        asked = job(slow(3, 1))
        await outside.send(asked)
        await outside.told(asked["job_id"], "completed")
        await until(lambda: inside.observer.counts.get("processed") == 1)


IDS = ["a b  c", "a/b/../c", "*.>", "100%", "Jürgen 🚀", "x" * 512, "🚀" * 512, "-", '"quoted"', "a\u2028b"]


async def test_any_job_id_that_is_allowed_works(env):
    async with caller(env) as outside, worker(env):
        for job_id in IDS:
            await outside.send(job(agent(ECHO), job_id=job_id))
        for job_id in IDS:
            event = await outside.told(job_id, "completed")
            assert event["id"] == f"{job_id}/completed"
            assert (await ended(env, job_id))[-1]["job_id"] == job_id


async def test_a_result_that_is_too_large_is_a_reference(env):
    async with caller(env) as outside, worker(env):
        asked = job(agent(plan({"text": "x" * 700_000})))
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "completed")
        assert event["dataref"] == f"/jobs/{asked['job_id']}/result"
        assert "data" not in event
        [(output,)] = await query(env, "SELECT length(result->>'output') FROM jobs")
        assert output == 700_000


async def test_values_that_postgresql_cannot_hold_do_not_fail_a_job(env):
    async with (
        serve(Reply("a\0b \ud800 c")) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, **MODEL_ENV),
    ):
        asked = job(OPENAI)
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "completed")
        assert event["data"]["result"]["output"] == "a\ufffdb \ufffd c"


async def test_a_worker_starts_before_its_streams_and_takes_what_it_finds(env):
    async with worker(env) as inside, caller(env) as outside:
        encoded = base64.b64encode(json.dumps(asked := job(agent(ECHO))).encode()).decode()
        envelope = {k: v for k, v in malformed.ENVELOPE.items() if k != "data"} | {"data_base64": encoded}
        await outside.send(envelope)
        await outside.told(asked["job_id"], "completed")
        assert inside.consumer.ready
        info = await outside.client.jetstream().consumer_info(env["NATS_STREAM"], env["NATS_CONSUMER"])
        assert info.config.ack_wait == float(HURRY["NATS_ACK_WAIT_SECONDS"])


async def test_a_job_whose_end_cannot_be_written_at_first_is_not_run_again(env, monkeypatch):
    async with caller(env) as outside, worker(env) as inside:
        finish, failures = inside.jobs.finish, [psycopg.OperationalError("away")] * 2

        async def flaky(*arguments, **more):
            if failures:
                raise failures.pop()
            return await finish(*arguments, **more)

        monkeypatch.setattr(inside.jobs, "finish", flaky)
        asked = job(slow(1, 1))
        await outside.send(asked)
        event = await outside.told(asked["job_id"], "completed")
        roles = [message["role"] for message in event["data"]["result"]["messages"]]
        assert roles == ["user", "assistant", "tool", "assistant"]
        kinds = [message["event_type"] for message in await ended(env, asked["job_id"])]
        assert (kinds.count("on_tool_start"), kinds.count("end")) == (1, 1)


async def test_an_answer_is_given_once_even_if_what_follows_it_is_tried_again(env):
    first, second = (calls(call("write_file", file_path=path, content="x")) for path in ("/a", "/b"))
    definition = agent({"provider": "openai", "model": "x"}, interrupt_on={"write_file": True})
    replies = [Reply(calls=tuple((one["name"], one["args"]) for one in turn["tool_calls"])) for turn in (first, second)]
    replies.insert(1, Reply(status=503))
    async with (
        serve(*replies, Reply("done")) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, **MODEL_ENV),
    ):
        asked = job(definition)
        await outside.send(asked)
        for ordinal in (1, 2):
            await until(functools.partial(outside.event, f"{asked['job_id']}/interrupted/{ordinal}"))
            await outside.send(resume(asked["job_id"], {"decisions": [{"type": "approve"}]}, f"resume-{ordinal}"))
        event = await outside.told(asked["job_id"], "completed")
        assert sorted(event["data"]["result"]["files"]) == ["/a", "/b"]


async def test_a_malformed_event_does_not_end_the_stream_of_the_job_whose_id_it_bears(env):
    async with caller(env) as outside, worker(env):
        asked = job(slow(1, 500))
        await outside.send(asked)
        await until(lambda: log_of(env, asked["job_id"]))
        await outside.send(asked | {"input_payload": None})
        await until(outside.dead)
        await outside.told(asked["job_id"], "completed")
        kinds = [message["event_type"] for message in await ended(env, asked["job_id"])]
        assert kinds.count("end") == 1
        assert kinds[-1] == "end"
