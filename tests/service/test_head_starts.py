"""A new job's run begins while its claim is on its way; of every other job nothing is begun that could be seen."""

import asyncio
import json
from dataclasses import replace

import psycopg
import pytest
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt

from agent_executor.core import streaming
from agent_executor.core.launch import Launch
from agent_executor.services import cloudevents
from agent_executor.services.jobs import Jobs
from tests.service.test_executor import ended, log_of, query, slow
from tests.service.test_jobs import new_job
from tests.support.graphs import ECHO, Bench, agent, plan
from tests.support.runtime import caller, job, until, worker


@pytest.fixture
def begun(monkeypatch):
    """The jobs that were begun ahead, and those that were forgotten."""
    known = {"begun": [], "forgotten": []}
    begin, forget = Launch.begin, Launch.forget

    async def began(self, graph):
        known["begun"].append(self.job.job_id)
        await begin(self, graph)

    async def forgot(self):
        if self._begun:
            known["forgotten"].append(self.job.job_id)
        await forget(self)

    monkeypatch.setattr(Launch, "begin", began)
    monkeypatch.setattr(Launch, "forget", forgot)
    return known


@pytest.fixture
def gate(monkeypatch):
    """Claims that reach the database at once, and whose answers come when the gate is opened."""
    opened, claim = asyncio.Event(), Jobs.claim
    opened.set()

    async def kept_waiting(self, *arguments, **more):
        answer = await claim(self, *arguments, **more)
        await opened.wait()
        return answer

    monkeypatch.setattr(Jobs, "claim", kept_waiting)
    return opened


async def checkpoints(env, job_id):
    ((count,),) = await query(env, "SELECT count(*) FROM checkpoints WHERE thread_id = %s", job_id)
    return count


async def done(outside, definition):
    """A job that has ended, so that its definition's graph is there."""
    asked = job(definition)
    await outside.send(asked)
    await outside.told(asked["job_id"])
    return asked


async def begun_at_the_gate(outside, begun, gate):
    """A job that is begun, and whose claim's answer waits for the gate."""
    await done(outside, agent(ECHO))
    gate.clear()
    asked = job(agent(ECHO))
    await outside.send(asked)
    await until(lambda: begun["begun"] == [asked["job_id"]])
    return asked


async def test_a_job_is_begun_before_its_claim_is_known_and_seen_by_nobody(env, begun, gate):
    async with caller(env) as outside, worker(env):
        first = await done(outside, agent(ECHO))
        assert begun["begun"] == [], "there was no graph yet"
        gate.clear()
        asked = job(agent(ECHO))
        await outside.send(asked)
        await until(lambda: begun["begun"] == [asked["job_id"]])
        await asyncio.sleep(0.2)  # longer than checkpoints are held for, and events for their batch
        assert (await checkpoints(env, asked["job_id"]), await log_of(env, asked["job_id"])) == (0, [])
        gate.set()
        event = await outside.told(asked["job_id"])
        assert event["data"]["result"]["output"] == "hello"
        assert begun["forgotten"] == []
        kinds = [[one["event_type"] for one in await ended(env, asked["job_id"])] for asked in (first, asked)]
        assert kinds[0] == kinds[1]


async def test_a_job_that_is_not_new_after_all_runs_no_second_time(env, begun):
    async with caller(env) as outside, worker(env) as inside:
        asked = await done(outside, agent(ECHO))
        before = await checkpoints(env, asked["job_id"]), await ended(env, asked["job_id"])
        await outside.send(asked)
        await until(lambda: inside.observer.counts.get("processed") == 2)
        assert begun == {"begun": [asked["job_id"]], "forgotten": [asked["job_id"]]}
        assert (await checkpoints(env, asked["job_id"]), await log_of(env, asked["job_id"])) == before
        assert inside.observer.ended == ["completed"]


async def test_a_definition_that_another_event_changed_is_not_the_one_that_runs(env, begun):
    async with caller(env) as outside, worker(env) as inside:
        quiet, loud = agent(plan({"text": "quiet"})), agent(plan({"text": "loud"}))
        await done(outside, loud)
        asked = job(quiet)
        # Its row is there, with the definition of the first event, and nobody has begun it.
        await outside.send(asked)
        await outside.told(asked["job_id"])
        await query(
            env,
            "UPDATE jobs SET state = 'queued', owner = NULL, finished_at = NULL, epoch = 0 WHERE job_id = %s",
            asked["job_id"],
        )
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            await query(env, f"DELETE FROM {table} WHERE thread_id = %s", asked["job_id"])
        await query(env, "DELETE FROM outbox WHERE job_id = %s", asked["job_id"])
        await outside.send(job(loud, job_id=asked["job_id"]))
        await until(lambda: len(inside.observer.ended) == 3)
        assert asked["job_id"] in begun["forgotten"]
        ((result,),) = await query(env, "SELECT result FROM jobs WHERE job_id = %s", asked["job_id"])
        assert result["output"] == "quiet"


async def test_a_job_that_was_noted_when_it_came_over_http_is_new_all_the_same(env, begun):
    async with caller(env) as outside, worker(env) as inside:
        await done(outside, agent(ECHO))
        asked = job(agent(ECHO), "say this")
        incoming = cloudevents.parse(json.dumps(asked).encode(), {"user-agent": "a browser"}, "http")
        await inside.jobs.enqueue(cloudevents.new_job(incoming, incoming.event))
        await outside.send(asked)
        assert (await outside.told(asked["job_id"]))["data"]["result"]["output"] == "say this"
        assert begun == {"begun": [asked["job_id"]], "forgotten": []}


@pytest.mark.parametrize("noted", [True, 1.0, 100], ids=repr)
async def test_a_value_that_is_equal_and_not_the_same_is_the_rows(env, begun, noted):
    """The input of the first event counts, whatever a later one says in its place."""
    async with caller(env) as outside, worker(env) as inside:
        definition = agent(ECHO, state_schema={"given": {"type": "any"}})
        await done(outside, definition)
        asked = job(definition, given=noted)
        incoming = cloudevents.parse(json.dumps(asked).encode(), {}, "http")
        await inside.jobs.enqueue(cloudevents.new_job(incoming, incoming.event))
        await outside.send(job(definition, job_id=asked["job_id"], given=100.0 if noted == 100 else 1))
        result = (await outside.told(asked["job_id"]))["data"]["result"]
        assert repr(result["given"]) == repr(noted)
        assert begun["forgotten"] == [asked["job_id"]]


async def test_the_wait_for_a_claim_is_none_of_the_jobs_time(env, begun, gate):
    async with caller(env) as outside, worker(env) as inside:
        asked = await begun_at_the_gate(outside, begun, gate)
        await asyncio.sleep(1)
        gate.set()
        await outside.told(asked["job_id"])
        assert len(inside.observer.measured["first_event"]) == 2
        assert inside.observer.measured["first_event"][1] < 1


async def test_a_worker_that_is_ended_while_a_claim_is_on_its_way_leaves_nothing_begun(env, begun, gate):
    async with caller(env) as outside, worker(env) as inside:
        asked = await begun_at_the_gate(outside, begun, gate)
        inside.tasks["consumer"].cancel()
        await asyncio.wait([inside.tasks["consumer"]])
        assert begun["forgotten"] == [asked["job_id"]]


async def test_a_begin_that_fails_is_said_and_the_job_runs_all_the_same(env, monkeypatch, capfd):
    async with caller(env) as outside, worker(env):
        await done(outside, agent(ECHO))

        async def fails(_self):
            raise ZeroDivisionError("of a secret")

        monkeypatch.setattr(streaming.Run, "begin", fails)
        asked = job(agent(ECHO), "say this")
        await outside.send(asked)
        assert (await outside.told(asked["job_id"]))["data"]["result"]["output"] == "say this"
    out = "".join(capfd.readouterr())
    assert "job: not begun ahead" in out
    assert "ZeroDivisionError" in out
    assert "of a secret" not in out


async def test_a_drain_is_heard_while_a_persons_answer_is_looked_up():
    table, ran = Bench(), []

    async def ask(_):
        interrupt("may I?")
        ran.append("asked")

    async def second(_):
        ran.append("second")

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("second", second)
    graph.set_entry_point("ask")
    graph.add_edge("ask", "second")
    compiled = graph.compile(checkpointer=table.saver)
    table.builder.build = lambda _: asyncio.sleep(0, compiled)
    new = new_job()
    await table.run({}, "hello", job=new.job_id)
    asked = [{"id": "0" * 32, "value": "may I?"}]
    waiting = replace(new.presumed(), epoch=2, has_checkpoint=True, interrupt=asked, resume={"value": "yes"})
    launch = Launch(table.settings, table.builder, waiting, lambda *_: None)
    looked, go_on, find = asyncio.Event(), asyncio.Event(), table.saver.aget_tuple

    async def slowly(config):
        looked.set()
        await go_on.wait()
        return await find(config)

    table.saver.aget_tuple = slowly
    running = asyncio.create_task(launch.run())
    await looked.wait()
    launch.drain()
    go_on.set()
    assert isinstance(await running, streaming.Drained)
    assert ran == []


async def test_a_claim_that_fails_leaves_nothing_begun(env, begun, monkeypatch):
    async with caller(env) as outside, worker(env) as inside:
        await done(outside, agent(ECHO))
        claim, failing = Jobs.claim, [psycopg.OperationalError("the server is starting up")]

        async def fails_once(self, *arguments, **more):
            if failing:
                raise failing.pop()
            return await claim(self, *arguments, **more)

        monkeypatch.setattr(Jobs, "claim", fails_once)
        asked = job(agent(ECHO), "say this")
        await outside.send(asked)
        await until(lambda: begun["forgotten"] == [asked["job_id"]])
        assert (await outside.told(asked["job_id"]))["data"]["result"]["output"] == "say this"
        assert inside.observer.counts["redeliveries"] == 1


async def test_a_job_that_was_begun_is_handed_over_by_a_worker_that_stops(env, begun, gate):
    async with caller(env) as outside:
        async with worker(env) as inside:
            await done(outside, slow(1, 0))
            gate.clear()
            asked = job(slow(1, 0), "hand me over")
            await outside.send(asked)
            await until(lambda: asked["job_id"] in begun["begun"])
            stopping = asyncio.create_task(inside.stop())
            await until(lambda: inside.executor._running.draining)
            gate.set()
            await stopping
            assert asked["job_id"] in begun["forgotten"]
            ((state, failures),) = await query(
                env, "SELECT state, failures FROM jobs WHERE job_id = %s", asked["job_id"]
            )
            assert (state, failures) == ("queued", 0)
        async with worker(env):
            assert (await outside.told(asked["job_id"]))["data"]["result"]["output"] == "done"
