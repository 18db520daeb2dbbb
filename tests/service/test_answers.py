"""An answer goes to the question that it was given for, or to none; a wrong one leaves the job waiting."""

import asyncio
import functools

import psycopg
import pytest

from agent_executor.core import answers, attempt
from agent_executor.errors import PermanentError
from agent_executor.services.jobs import Jobs
from tests.service.test_executor import MODEL_ENV, OPENAI, query, resume
from tests.support.api import path, serving
from tests.support.graphs import agent, call, calls, plan
from tests.support.llm_stub import Reply, serve
from tests.support.runtime import caller, until, worker
from tests.support.runtime import job as asked_for

YES = {"decisions": [{"type": "approve"}]}
A, B, GONE = "a" * 32, "b" * 32, "0" * 32
DECISIONS = ["approve", "edit", "reject", "respond"]


def approval(*allowed):
    return {"action_requests": [{"name": "t", "args": {}}] * len(allowed), "review_configs": list(map(review, allowed))}


def review(allowed):
    return {"action_name": "t", "allowed_decisions": allowed}


ONE = [{"id": A, "value": approval(DECISIONS)}]
TWO = [*ONE, {"id": B, "value": "may I?"}]
NO = {"type": "reject", "message": "no"}
EDIT = {"type": "edit", "edited_action": {"name": "t", "args": {"a": 1}}}


@pytest.mark.parametrize(
    ("asked", "answer", "given"),
    [
        (ONE, YES, {A: YES}),
        (ONE, {A: YES}, {A: YES}),
        (ONE, {A: YES, GONE: YES}, {A: YES}),
        (ONE, {GONE: "whatever"}, {}),
        (ONE, {"decisions": [EDIT]}, {A: {"decisions": [EDIT]}}),
        (ONE, {"decisions": [NO]}, {A: {"decisions": [NO]}}),
        (TWO, {B: None}, {B: None}),
        (TWO, {A: YES, B: {"any": "thing"}}, {A: YES, B: {"any": "thing"}}),
        ([{"id": B, "value": "may I?"}], None, {B: None}),
        ([{"id": B, "value": "may I?"}], {}, {B: {}}),
    ],
)  # fmt: skip
def test_an_answer_is_given_by_the_questions_name(asked, answer, given):
    assert answers.given(answer, asked) == given


@pytest.mark.parametrize(
    ("asked", "answer", "said"),
    [
        (ONE, "yes", "data.resume.decisions: "),
        (ONE, None, "data.resume.decisions: "),
        (ONE, {"decisions": []}, "a list of decisions, 1 in number"),
        (ONE, {"decisions": [{"type": "approve"}] * 2}, "a list of decisions, 1 in number"),
        (ONE, {"decisions": "approve"}, "data.resume.decisions: "),
        (ONE, {"decisions": ["approve"]}, "data.resume.decisions[0].type: "),
        (ONE, {"decisions": [{"type": "aprove"}]}, "one of approve, edit, reject, respond"),
        (ONE, {"decisions": [{"type": ["approve"]}]}, "data.resume.decisions[0].type: "),
        (ONE, {"decisions": [{"type": "edit"}]}, "data.resume.decisions[0].edited_action: "),
        (ONE, {"decisions": [{"type": "edit", "edited_action": {"name": "t"}}]}, "{name, args}"),
        (ONE, {"decisions": [{"type": "respond"}]}, "data.resume.decisions[0].message: "),
        (ONE, {"decisions": [{"type": "reject", "message": 1}]}, "data.resume.decisions[0].message: "),
        (ONE, {A: {"decisions": []}}, f"data.resume[{A}].decisions: "),
        ([{"id": A, "value": approval(["reject"])}], YES, "one of reject"),
        (TWO, YES, "data.resume: answers nothing, and would be right as a map from the ids of the 2 questions"),
        (TWO, {}, "a map from the ids"),
        (TWO, {A: YES, "secret": YES}, "a map from the ids"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_place(asked, answer, said):
    with pytest.raises(PermanentError) as refused:
        answers.given(answer, asked)
    assert refused.value.type == "invalid_answer"
    assert said in refused.value.message
    assert "secret" not in refused.value.message
    assert "aprove" not in refused.value.message


def changed(name):
    return {"decisions": [{"type": "edit", "edited_action": {"name": name, "args": {}}}]}


TEAM = agent(
    plan({"text": "x"}),
    {"id": "scout", "model": plan({"text": "x"}), "tools": ["t"]},
    scripts={"t": "script", "mine": "script"},
)
SERVED = {**TEAM, "tool_definitions": [{"name": name, "mcp": {"url": "http://a"}} for name in ("t", "mine")]}


@pytest.mark.parametrize(
    ("definition", "name", "right"),
    [
        (TEAM, "t", True),
        (TEAM, "write_file", True),
        (TEAM, "nope", False),
        (TEAM, "execute", False),
        (TEAM, "mine", False),
        (agent(plan({"text": "x"}), scripts={"t": "script", "mine": "script"}), "mine", True),
        (SERVED, "nope", True),
        (None, "nope", True),
    ],
)
def test_a_call_is_changed_to_a_tool_that_its_agent_has_whichever_that_is(definition, name, right):
    if right:
        assert answers.given(changed(name), ONE, definition) == {A: changed(name)}
    else:
        with pytest.raises(
            PermanentError, match=r"decisions\[0\]\.edited_action\.name: .* a tool of the agent"
        ) as refused:
            answers.given(changed(name), ONE, definition)
        assert refused.value.type == "invalid_answer"


def write(file_path, **more):
    return {**calls(call("write_file", file_path=file_path, content="x")), **more}


def scouts(**paths):
    """A boss whose sub-agents write these files, each of them only when a person has agreed."""
    team = [{"id": name, "model": plan(*map(write, files), {"text": "done"})} for name, files in paths.items()]
    boss = plan(calls(*(call("task", description="go", subagent_type=name) for name in paths)), {"text": "done"})
    return agent(boss, *team, interrupt_on={"write_file": True})


async def asks(outside, job, ordinal):
    """What the job asks the n-th time: the questions' ids by the files that are to be written."""
    event = await until(functools.partial(outside.event, f"{job['job_id']}/interrupted/{ordinal}"))
    return {one["value"]["action_requests"][0]["args"]["file_path"]: one["id"] for one in event["data"]["interrupts"]}


@pytest.fixture
def interrupts(monkeypatch):
    """What happens to each note that a job waits, by number from 1; without an entry it is written."""
    happens, noted, real = {}, [], Jobs.interrupt

    async def noting(self, *arguments, **more):
        noted.append(arguments)
        if one := happens.get(len(noted)):
            await one()
        return await real(self, *arguments, **more)

    monkeypatch.setattr(Jobs, "interrupt", noting)
    happens["noted"] = noted
    return happens


async def test_a_question_that_was_not_noted_is_not_answered_by_the_answer_before_it(env, interrupts):
    async def away():
        raise psycopg.OperationalError("away")

    interrupts[2] = away
    async with caller(env) as outside, worker(env):
        job = asked_for(scouts(scout=["/a", "/b"]))
        await outside.send(job)
        assert list(await asks(outside, job, 1)) == ["/a"]
        await outside.send(resume(job["job_id"], YES, "r1"))
        assert list(await asks(outside, job, 2)) == ["/b"], "tried again in place"
        await outside.send(resume(job["job_id"], YES, "r2"))
        assert set((await outside.told(job["job_id"], "completed"))["data"]["result"]["files"]) == {"/a", "/b"}


async def test_nor_when_its_worker_dies_before_it_is_noted(env, interrupts):
    forever = asyncio.Event()
    interrupts[2] = forever.wait
    async with caller(env) as outside:
        async with worker(env) as first:
            job = asked_for(scouts(scout=["/a", "/b"]))
            await outside.send(job)
            await asks(outside, job, 1)
            await outside.send(resume(job["job_id"], YES, "r1"))
            await until(lambda: len(interrupts["noted"]) == 2)
            await first.die()
        async with worker(env):
            assert list(await asks(outside, job, 2)) == ["/b"]
            assert not outside.all(job["job_id"], "completed")


async def test_of_several_questions_each_answer_goes_to_its_own(env):
    async with caller(env) as outside, worker(env):
        job = asked_for(scouts(one=["/a1"], two=["/b1", "/b2", "/b3"]))
        await outside.send(job)
        asked = await asks(outside, job, 1)
        assert set(asked) == {"/a1", "/b1"}
        await outside.send(resume(job["job_id"], {asked["/a1"]: YES}, "r1"))
        assert list(await asks(outside, job, 2)) == ["/b1"]
        await outside.send(resume(job["job_id"], YES, "r2"))
        asked = await asks(outside, job, 3)
        assert list(asked) == ["/b2"]
        await outside.send(resume(job["job_id"], {asked["/b2"]: YES}, "r3"))
        assert list(await asks(outside, job, 4)) == ["/b3"]
        await outside.send(resume(job["job_id"], YES, "r4"))
        files = (await outside.told(job["job_id"], "completed"))["data"]["result"]["files"]
        assert set(files) == {"/a1", "/b1", "/b2", "/b3"}


async def test_a_second_persons_answer_answers_no_later_question(env):
    definition = agent(
        plan(write("/a"), write("/b", delay_ms=500), {"text": "done"}), interrupt_on={"write_file": True}
    )
    async with caller(env) as outside, worker(env) as inside:
        job = asked_for(definition)
        await outside.send(job)
        first = (await asks(outside, job, 1))["/a"]
        await outside.send(resume(job["job_id"], YES, "alice"))
        await outside.send(resume(job["job_id"], YES, "bob"))
        await asks(outside, job, 2)
        await outside.send(resume(job["job_id"], {first: YES}, "carol"))  # by name, so also when it comes late
        await until(lambda: inside.observer.counts.get("processed") == 4)
        assert (await inside.jobs.get(job["job_id"])).state == "interrupted"
        await outside.send(resume(job["job_id"], YES, "dave"))
        assert set((await outside.told(job["job_id"], "completed"))["data"]["result"]["files"]) == {"/a", "/b"}


@pytest.mark.parametrize("wrong", [{"decisions": [{"type": "aprove"}]}, changed("nope")], ids=["shape", "tool"])
async def test_an_answer_that_is_none_is_buried_and_the_job_waits_on(env, wrong):
    async with caller(env) as outside, worker(env) as inside:
        job = asked_for(scouts(scout=["/a"]))
        await outside.send(job)
        await asks(outside, job, 1)
        await outside.send(resume(job["job_id"], wrong, "r1"))
        (letter,) = await until(outside.dead)
        assert "data.resume.decisions[0]." in str(letter.headers)
        assert (await inside.jobs.get(job["job_id"])).state == "interrupted"
        await outside.send(resume(job["job_id"], YES, "r2"))
        await outside.told(job["job_id"], "completed")
        assert [event["id"].rpartition("/")[2] for event in outside.all(job["job_id"])] == ["1", "completed"]


async def test_an_answer_that_nobody_waits_for_does_not_end_a_backoff(env, monkeypatch):
    monkeypatch.setattr(attempt, "PAUSE_IN_PLACE", 0.05)
    async with (
        serve(Reply(status=503)) as stub,
        caller(env) as outside,
        worker(env, OPENAI_BASE_URL=stub.openai, **MODEL_ENV, JOB_RETRY_DELAY_SECONDS="60") as inside,
    ):
        job = asked_for(OPENAI)
        await outside.send(job)
        await until(lambda: inside.observer.counts.get("retries"))
        await outside.send(resume(job["job_id"], YES, "r1"))
        await until(lambda: inside.observer.counts.get("processed"))
        assert await query(env, "SELECT state, failures FROM jobs") == [("queued", 1)]


async def test_a_question_is_shown_only_while_the_job_waits(env):
    async with caller(env) as outside, serving(env) as api:
        job = asked_for(scouts(scout=["/a"]))
        await outside.send(job)
        asked = await asks(outside, job, 1)
        shown = (await api.http.get(path(job["job_id"]))).json()
        assert [one["id"] for one in shown["interrupt"]] == list(asked.values())
        await outside.send(resume(job["job_id"], YES, "r1"))
        assert await api.ended(job["job_id"]) == "completed"
        assert (await api.http.get(path(job["job_id"]))).json()["interrupt"] is None
