"""A superstep is stored while LangGraph prepares the next one; no node of that runs, and nothing is told, before."""

import asyncio
import gc
import weakref

import psycopg
import pytest
from langgraph.channels import BinaryOperatorAggregate, DeltaChannel, LastValue
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt

from agent_executor.core import launch as launches
from agent_executor.core.launch import Launch
from agent_executor.core.telling import Telling
from agent_executor.errors import LeaseLost
from agent_executor.services import database
from agent_executor.services.checkpoints import Saver
from agent_executor.services.fence import Fence
from agent_executor.services.jobs import Jobs
from agent_executor.services.writer import Writer
from tests.service.test_jobs import DEAD, LEASE, new_job
from tests.support.graphs import ECHO, Bench, agent
from tests.support.runtime import until


class State(MessagesState):
    count: int


class Run:
    """A job's run, whose statements wait while the gate is closed; what its nodes and its listener noticed."""

    def __init__(self, monkeypatch):
        self.noted, self.gate, self.waiting = [], asyncio.Event(), 0
        self.asked = 0  # how often a superstep that was on its way was waited for
        self.trouble, self.once = None, False
        self.closes = "a"  # the node after which the gate is closed
        self.gate.set()
        execute, stored = Writer._execute, Fence.stored

        async def held(writer, rows):
            if not self.gate.is_set():
                self.waiting += 1
            await self.gate.wait()
            if trouble := self.trouble:
                self.trouble = None if self.once else trouble
                raise type(trouble)(*trouble.args)  # a new one, which holds on to nothing
            return await execute(writer, rows)

        async def noticed(fence):
            self.asked += bool(fence.ahead)
            await stored(fence)

        monkeypatch.setattr(Writer, "_execute", held)
        monkeypatch.setattr(Fence, "stored", noticed)

    def node(self, name, *, shows=True, then=lambda: None):
        async def work(state):
            self.noted.append(name)
            if name == self.closes:
                self.gate.clear()
            then()
            return {"count": state.get("count", 0) + 1} if shows else {}

        return work

    def tell(self, kind, data):
        if kind == "on_state_update":
            self.noted.append(data.get("count", 0))

    async def start(self, pool, nodes, job=None, **compiled):
        graph = StateGraph(State)
        for before, (name, node) in zip((None, *nodes), nodes.items(), strict=False):
            graph.add_node(name, node)
            if before:
                graph.add_edge(before, name)
        graph.set_entry_point("a")
        table = Bench()
        made = graph.compile(checkpointer=Saver(pool), **compiled)
        table.builder.build = lambda _: asyncio.sleep(0, made)
        claimed = await Jobs(pool).claim(job or new_job(), **LEASE)
        self.launch = Launch(table.settings, table.builder, claimed, self.tell)
        return asyncio.create_task(self.launch.run())


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=4) as opened:
        yield opened


@pytest.fixture
def run(monkeypatch):
    return Run(monkeypatch)


async def stands_still(run):
    """Let everything happen that can while a statement waits."""
    await until(lambda: run.waiting)
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_next_node_and_the_state_event_wait_for_a_superstep_that_is_on_its_way(pool, run):
    running = await run.start(pool, {name: run.node(name) for name in "abc"})
    await stands_still(run)
    assert (run.noted, run.asked) == ([0, "a"], 1), "LangGraph has come to the next node, and is asked for nothing"
    run.gate.set()
    assert (await running).values["count"] == 3
    assert run.noted == [0, "a", 1, "b", 2, "c", 3]
    assert run.asked == 2, "a's and b's; c's leaves with the job's end"


async def test_a_superstep_that_shows_nothing_is_stored_before_langgraph_goes_on(pool, run):
    nodes = {"a": run.node("a", shows=False), "b": run.node("b"), "c": run.node("c")}
    running = await run.start(pool, nodes)
    await stands_still(run)
    assert (run.noted, run.asked) == ([0, "a"], 0)
    run.gate.set()
    assert (await running).values["count"] == 2


@pytest.mark.parametrize("trouble", [psycopg.OperationalError("away"), LeaseLost("job: another worker has it")])
async def test_what_keeps_a_superstep_from_being_stored_is_heard_before_the_next_node(pool, run, trouble):
    running = await run.start(pool, {name: run.node(name) for name in "abc"})
    await stands_still(run)
    run.trouble = trouble
    run.gate.set()
    with pytest.raises(type(trouble)):
        await running
    assert run.noted == [0, "a"]
    run.trouble = None
    if not isinstance(trouble, LeaseLost):  # tried in place, with what a wrote, and nothing else of the first run
        assert (await run.launch.run()).values["count"] == 3
        assert run.noted[2:] == [0, 1, "b", 2, "c", 3]


async def test_a_run_whose_lease_is_lost_meanwhile_goes_no_further(pool, run):
    job = new_job()
    await Jobs(pool).claim(job, **DEAD)
    running = await run.start(pool, {name: run.node(name) for name in "abc"}, job)
    await stands_still(run)
    async with pool.connection() as connection:
        await connection.execute("UPDATE jobs SET epoch = epoch + 1 WHERE job_id = %s", (job.job_id,))
    run.gate.set()
    with pytest.raises(LeaseLost):
        await running
    assert run.noted == [0, "a"]


@pytest.mark.parametrize("how", ["drain", "interrupt after", "interrupt in the next node", "no steps left"])
async def test_a_run_that_ends_early_has_stored_all_it_did(pool, run, how):
    nodes = {name: run.node(name) for name in "abc"}
    compiled = {}
    if how == "drain":

        def drain():
            run.launch.drain()

        nodes["a"] = run.node("a", then=drain)
    if how == "interrupt after":
        compiled["interrupt_after"] = ["a"]
    if how == "interrupt in the next node":
        nodes["b"] = run.node("b", then=lambda: interrupt("may I?"))
    running = await run.start(pool, nodes, **compiled)
    if how == "no steps left":
        run.launch.settings = run.launch.settings.model_copy(update={"job_recursion_limit": 1})
    await stands_still(run)
    assert not running.done()
    assert run.noted == [0, "a"]
    run.gate.set()
    await asyncio.wait([running])
    job_id = run.launch.job.job_id
    found = await Saver(pool).aget_tuple({"configurable": {"thread_id": job_id, "checkpoint_ns": ""}})
    assert found.checkpoint["channel_values"]["count"] == 1


async def test_another_run_waits_for_what_a_broken_one_has_on_its_way(pool, run, monkeypatch):
    run.closes = "b"
    with monkeypatch.context() as patch:
        patch.setattr(Telling, "snapshot", lambda *_: {"count": 1 // ("b" not in run.noted)})
        running = await run.start(pool, {name: run.node(name) for name in "abc"})
        with pytest.raises(ZeroDivisionError):
            await running
    again = asyncio.create_task(run.launch.run())
    await stands_still(run)
    run.gate.set()
    assert (await again).values["count"] == 3
    assert [each for each in run.noted if isinstance(each, str)] == ["a", "b", "c"]


async def test_another_run_does_not_begin_when_a_broken_one_has_lost_the_lease(pool, run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Telling, "snapshot", lambda *_: {"count": 1 // ("a" not in run.noted)})
        running = await run.start(pool, {name: run.node(name) for name in "abc"})
        with pytest.raises(ZeroDivisionError):
            await running
    run.trouble = LeaseLost("job: another worker has it")
    run.gate.set()
    with pytest.raises(LeaseLost):
        await run.launch.run()
    assert [each for each in run.noted if isinstance(each, str)] == ["a"]


async def test_no_superstep_is_stored_after_one_that_failed_whoever_listens(pool, run):
    """Should LangGraph tell of a superstep later than it does, or not at all."""
    running = await run.start(pool, {name: run.node(name) for name in "abc"})
    more = run.launch._more
    run.launch._more = lambda: {**more(), "stored": lambda: asyncio.sleep(0)}
    await until(lambda: run.waiting)
    run.trouble, run.once = psycopg.DataError("a value that no column holds"), True
    run.gate.set()
    with pytest.raises(psycopg.DataError):
        await running


async def test_a_superstep_that_nobody_waits_for_any_more_fails_without_a_complaint(pool, run, monkeypatch):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    running = await run.start(pool, {name: run.node(name) for name in "abc"})
    monkeypatch.setattr(Telling, "snapshot", lambda *_: {"count": 1 // ("a" not in run.noted)})
    with pytest.raises(ZeroDivisionError):
        await running
    ahead = weakref.ref(run.launch.fence.ahead)
    run.trouble = psycopg.OperationalError("away")
    run.gate.set()
    del running, run.launch
    await until(lambda: gc.collect() is not None and ahead() is None)
    assert complaints == []


async def test_only_channels_that_change_by_being_written_count_as_shown():
    graph = await Bench().builder.build(agent(ECHO))
    shown = launches._shown(graph)
    assert {"messages", "files", "todos"} <= shown
    others = {name for name in graph.stream_channels_asis if name not in shown}
    assert all(isinstance(graph.channels[name], BinaryOperatorAggregate | DeltaChannel | LastValue) for name in shown)
    assert "jump_to" in others, "which is reset by itself, and LangGraph tells nothing of that"


async def test_channels_that_count_as_shown_do_not_change_unwritten():
    graph = await Bench().builder.build(agent(ECHO))
    for name in launches._shown(graph):
        channel = graph.channels[name].from_checkpoint(graph.channels[name].checkpoint())
        assert (channel.update([]), channel.finish(), channel.consume()) == (False, False, False), name
