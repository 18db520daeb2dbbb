import asyncio
import operator
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row

from agent_executor.core import streaming
from agent_executor.errors import LeaseLost
from agent_executor.services import checkpoints, database, migrations, writer
from agent_executor.services.checkpoints import Saver
from agent_executor.services.fence import FENCE, Fence
from agent_executor.services.jobs import Jobs
from agent_executor.services.writer import Rows, Writer
from tests.service.test_jobs import DEAD, LEASE, event, new_job
from tests.support.servers import own_servers, unique


class State(TypedDict):
    done: Annotated[list[str], operator.add]
    value: Any


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=12) as opened:
        yield opened


@pytest.fixture
async def saver(pool):
    return Saver(pool)


def chain(saver, **nodes):
    """A graph of the nodes one after the other; a node without code of its own notes its name."""

    def noting(name):
        async def node(_state):
            return {"done": [name]}

        return node

    graph = StateGraph(State)
    previous = START
    for name, node in nodes.items():
        graph.add_node(name, node or noting(name))
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile(checkpointer=saver)


def thread(job_id=None, fence=None):
    return {"configurable": {"thread_id": job_id or unique("job-")} | ({FENCE: fence} if fence else {})}


async def test_the_saver_conforms_in_full(pool):
    @checkpointer_test(name="Saver")
    async def registered():
        yield Saver(pool)

    report = await validate(registered)
    results = {name: (result.passed, result.failures) for name, result in report.results.items()}
    assert results == dict.fromkeys(results, (True, []))
    assert report.conformance_level() == "FULL"


async def test_a_superstep_is_one_statement(pool, saver, monkeypatch):
    statements = []
    execute = Writer._execute

    async def counted(self, rows):
        statements.append((len(rows.checkpoints), len(rows.writes)))
        return await execute(self, rows)

    monkeypatch.setattr(Writer, "_execute", counted)
    await chain(saver, a=None, b=None, c=None).ainvoke({"done": [], "value": None}, thread(), durability="sync")
    assert statements == [(1, 3), (1, 0), (1, 2), (1, 2), (1, 1)], "(checkpoints, writes) of the input, start, a, b, c"


async def test_a_jobs_first_checkpoints_leave_with_what_its_first_node_wrote(pool, saver, monkeypatch):
    statements, jobs, job = [], Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    execute = Writer._execute

    async def counted(self, rows):
        statements.append(len(rows.checkpoints))
        return await execute(self, rows)

    monkeypatch.setattr(Writer, "_execute", counted)
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 60)
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)
    await chain(saver, a=None, b=None, c=None).ainvoke(
        {"done": [], "value": None}, thread(job.job_id, Fence(1, empty=True)), durability="sync"
    )
    assert statements == [3, 1, 1], "the input's, the start's and a's checkpoint; b's; c's"
    assert len([checkpoint async for checkpoint in saver.alist(thread(job.job_id))]) == 5


async def test_a_first_node_that_takes_its_time_does_not_keep_the_input_back(pool, saver):
    jobs, job, go_on = Jobs(pool), new_job(), asyncio.Event()
    await jobs.claim(job, **LEASE)

    async def slow(_state):
        await go_on.wait()

    run = asyncio.create_task(
        chain(saver, slow=slow).ainvoke(
            {"done": ["x"], "value": None}, thread(job.job_id, Fence(1, empty=True)), durability="sync"
        )
    )
    async with asyncio.timeout(10):
        while not (
            (stored := await saver.aget_tuple(thread(job.job_id)))
            and stored.checkpoint["channel_values"].get("done") == ["x"]
        ):
            await asyncio.sleep(0.01)
    go_on.set()
    await run


async def test_nothing_leaves_before_the_claim_has_come_back(pool, saver, monkeypatch):
    jobs, job, statements, late = Jobs(pool), new_job(), [], asyncio.Event()
    execute = Writer._execute

    async def counted(self, rows):
        statements.append(len(rows.checkpoints))
        return await execute(self, rows)

    async def slow(_state):
        await late.wait()

    monkeypatch.setattr(Writer, "_execute", counted)
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 0.01)
    fence = Fence(1, empty=True, presumed=True)
    run = streaming.Run(
        chain(saver, slow=slow),
        {"done": ["x"], "value": None},
        thread(job.job_id, fence),
        context=None,
        emit=lambda *_: None,
    )
    await run.begin()
    held = set(fence.held.checkpoints)
    await asyncio.sleep(0.1)  # ten times as long as such checkpoints are held
    assert (len(held), set(fence.held.checkpoints), statements) == (2, held, [])
    await jobs.claim(job, **LEASE)
    fence.presumed = False
    ending = asyncio.create_task(run.outcome())
    async with asyncio.timeout(10):
        while not statements:
            await asyncio.sleep(0.01)
        late.set()
        await ending
    assert statements == [2, 1]


async def test_a_tasks_writes_do_not_leave_before_the_claim_has_come_back_either(saver, monkeypatch):
    async def refused(_self, _rows):
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(Writer, "_execute", refused)
    fence = Fence(1, empty=True, presumed=True)
    config = thread("job-1", fence)
    config["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": "c"}
    await saver.aput_writes(config, [("done", ["x"])], "task")
    assert [row[-3] for row in fence.held.writes.values()] == ["done"]


async def test_first_checkpoints_that_could_not_be_stored_alone_are_stored_with_the_next(pool, saver, monkeypatch):
    jobs, job, tried = Jobs(pool), new_job(), asyncio.Event()
    await jobs.claim(job, **LEASE)
    execute, attempts = Writer._execute, []

    async def away_the_first_time(self, rows):
        attempts.append(set(rows.checkpoints))
        if len(attempts) == 1:
            tried.set()
            raise psycopg.OperationalError("the server is starting up")
        return await execute(self, rows)

    async def slow(_state):
        await tried.wait()

    monkeypatch.setattr(Writer, "_execute", away_the_first_time)
    graph, config = chain(saver, slow=slow), thread(job.job_id, Fence(1, empty=True))
    await graph.ainvoke({"done": ["x"], "value": 1}, config, durability="sync")
    assert [len(checkpoints) for checkpoints in attempts] == [2, 3], "the input's and the start's; and the first node's"
    assert attempts[0] < attempts[1], "what failed was tried again"
    stored = [checkpoint.checkpoint["channel_values"] async for checkpoint in saver.alist(thread(job.job_id))]
    assert [values.get("done") for values in stored] == [["x"], ["x"], None]


async def test_what_is_held_back_is_read_all_the_same(pool, saver, monkeypatch):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 60)
    graph, config = chain(saver, a=None), thread(job.job_id, Fence(1, empty=True))
    await graph.ainvoke({"done": ["x"], "value": 1}, config, durability="sync", interrupt_before=["a"])
    state = await graph.aget_state(config)
    assert (state.values["done"], state.next) == (["x"], ("a",))


def ending(graph):
    """A fence that knows which superstep is the last of the graph."""
    return Fence(1, empty=True, triggers=graph.trigger_to_nodes)


async def test_a_jobs_last_superstep_leaves_with_its_end(pool, saver, monkeypatch):
    statements, jobs, job = [], Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    execute = Writer._execute

    async def counted(self, rows):
        statements.append((len(rows.checkpoints), len(rows.ends)))
        return await execute(self, rows)

    monkeypatch.setattr(Writer, "_execute", counted)
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 60)
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)  # else a busy machine sends a task's writes by themselves
    graph = chain(saver, a=None, b=None, c=None)
    fence = ending(graph)
    await graph.ainvoke({"done": [], "value": None}, thread(job.job_id, fence), durability="sync")
    assert (await saver.aget_tuple(thread(job.job_id))).checkpoint["channel_values"]["done"] == ["a", "b"]
    with fence.taken() as held:
        assert await jobs.finish(job.job_id, 1, "completed", event(job.job_id), result={"é": 1}, held=held)
    assert statements == [(3, 0), (1, 0), (1, 1)], "the input's, the start's and a's; b's; c's and the end"
    library = [checkpoint async for checkpoint in AsyncPostgresSaver(pool, serde=saver.serde).alist(thread(job.job_id))]
    assert [checkpoint.checkpoint["channel_values"].get("done", []) for checkpoint in library] == [
        ["a", "b", "c"], ["a", "b"], ["a"], [], []
    ]  # fmt: skip
    assert [write[1:] for write in library[1].pending_writes] == [("done", ["c"])]
    assert (await jobs.outcome(job.job_id)).event == event(job.job_id)
    assert await jobs.result(job.job_id) == {"é": 1}


async def test_an_end_that_comes_too_late_leaves_nothing_of_its_last_superstep(pool, saver):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **DEAD)
    graph = chain(saver, a=None, b=None)
    fence = ending(graph)
    await graph.ainvoke({"done": [], "value": None}, thread(job.job_id, fence), durability="sync")
    await jobs.claim(job, owner="pod-2", lease_seconds=30)
    with fence.taken() as held:
        assert not await jobs.finish(job.job_id, 1, "completed", event(job.job_id), held=held)
    assert (await saver.aget_tuple(thread(job.job_id))).checkpoint["channel_values"]["done"] == ["a"]
    assert (await jobs.get(job.job_id)).state == "running"
    async with pool.connection() as connection:
        assert await (await connection.execute("SELECT count(*) FROM outbox")).fetchone() == (0,)


async def test_a_last_superstep_waits_for_the_end_also_when_the_first_checkpoints_timer_is_late(
    pool, saver, monkeypatch
):
    jobs, job, late = Jobs(pool), new_job(), []
    await jobs.claim(job, **LEASE)
    loop = asyncio.get_running_loop()
    graph = chain(saver, a=None, b=None)
    fence = ending(graph)
    with monkeypatch.context() as patch:
        # The saver's loop is a busy one: what is to happen in a moment happens when the run is over.
        patch.setattr(
            type(loop), "call_later", lambda _self, _delay, call, *_: late.append(call) or loop.call_soon(int)
        )
        await graph.ainvoke({"done": [], "value": None}, thread(job.job_id, fence), durability="sync")
    for call in late:
        call()
    await fence.sent()
    assert (await saver.aget_tuple(thread(job.job_id))).checkpoint["channel_values"]["done"] == ["a"]
    assert fence.held.checkpoints


async def test_a_last_superstep_whose_end_failed_is_not_run_again(pool, saver, monkeypatch):
    jobs, job, ran = Jobs(pool), new_job(), []
    await jobs.claim(job, **LEASE)

    async def last(_state):
        ran.append("last")
        return {"done": ["last"]}

    graph = chain(saver, a=None, last=last)
    fence = ending(graph)
    config = thread(job.job_id, fence)
    await graph.ainvoke({"done": [], "value": None}, config, durability="sync")

    async def away(_self, _rows):
        raise psycopg.OperationalError("the server is starting up")

    async def end():
        with fence.taken() as held:
            return await jobs.finish(job.job_id, 1, "completed", event(job.job_id), held=held)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_execute", away)
        with pytest.raises(psycopg.OperationalError):
            await end()
    result = await graph.ainvoke(None, config, durability="sync")
    assert (result["done"], ran) == (["a", "last"], ["last"])
    assert await end()


async def test_an_end_waits_for_a_renewal_and_is_written(pool):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("UPDATE jobs SET lease_expires = now() WHERE job_id = %s", [job.job_id])
        finishing = asyncio.create_task(jobs.finish(job.job_id, 1, "completed", event(job.job_id)))
        async with asyncio.timeout(20):
            while not await (await connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted")).fetchone():
                await asyncio.sleep(0.01)
    assert await finishing
    assert (await jobs.get(job.job_id)).state == "completed"


async def test_jobs_end_in_one_statement_and_each_is_told_its_own_fate(pool, monkeypatch):
    jobs, known, statements = Jobs(pool), [new_job() for _ in range(4)], []
    for job in known:
        await jobs.claim(job, **LEASE)
    await jobs.release(known[1].job_id, 1)
    execute = Writer._execute

    async def counted(self, rows):
        statements.append(len(rows.ends))
        return await execute(self, rows)

    monkeypatch.setattr(Writer, "_execute", counted)
    ends = (jobs.finish(job.job_id, 1, "completed", event(job.job_id), result=job.job_id) for job in known)
    assert await asyncio.gather(*ends) == [True, False, True, True]
    assert statements == [4]
    assert [await jobs.result(job.job_id) for job in known] == [
        None if number == 1 else job.job_id for number, job in enumerate(known)
    ]


async def test_the_library_reads_what_was_written_here_and_the_other_way_round(saver, migrated):
    config = thread()
    state = {"done": ["x"], "value": {"messages": [HumanMessage("hé", id="1"), AIMessage("ok", id="2")]}}
    await chain(saver, a=None).ainvoke(state, config, durability="sync")
    async with await psycopg.AsyncConnection.connect(
        migrated.dsn, options="-c search_path=agent_executor", autocommit=True, row_factory=dict_row
    ) as connection:
        library = AsyncPostgresSaver(connection)
        theirs = [checkpoint async for checkpoint in library.alist(config)]
        assert theirs == [checkpoint async for checkpoint in saver.alist(config)]
        other = thread()
        await chain(library, a=None).ainvoke(state, other, durability="sync")
        assert (await saver.aget_tuple(other)).checkpoint["channel_values"]["value"] == state["value"]


UNSTORABLE = {
    "a NUL in a string": ("a\0b", "a\ufffdb"),
    "a lone surrogate in a string": ("\ud83d!", "\ufffd!"),
    "not a number": (float("nan"), None),
    "a surrogate deep inside, as the library does it": ({"a": ["\udc00"]}, {"a": ["?"]}),
    "a huge integer deep inside": ({"a": [2**70]}, {"a": [str(2**70)]}),
    "a message, as the library does it": ([AIMessage("\ud83d", id="1")], [AIMessage("?", id="1")]),
    "a message's tool call": (
        [AIMessage("", id="1", tool_calls=[{"name": "t", "args": {"n": 2**70}, "id": "c", "type": "tool_call"}])],
        [AIMessage("", id="1", tool_calls=[{"name": "t", "args": {"n": str(2**70)}, "id": "c", "type": "tool_call"}])],
    ),
}


@pytest.mark.parametrize(("value", "stored"), UNSTORABLE.values(), ids=UNSTORABLE)
async def test_a_value_that_postgresql_cannot_hold_is_mended(saver, value, stored):
    config = thread()

    async def node(_state):
        return {"value": value}

    await chain(saver, a=node).ainvoke({"done": [], "value": None}, config, durability="sync")
    found = (await saver.aget_tuple(config)).checkpoint["channel_values"]["value"]
    assert found == stored


async def test_finished_steps_do_not_run_again(saver):
    config = thread()
    ran = []

    async def first(_state):
        ran.append("first")

    async def second(_state):
        ran.append("second")
        if ran.count("second") == 1:
            raise ConnectionError

    graph = chain(saver, first=first, second=second)
    with pytest.raises(ConnectionError):
        await graph.ainvoke({"done": [], "value": None}, config, durability="sync")
    await graph.ainvoke(None, config, durability="sync")
    assert ran == ["first", "second", "second"]


async def test_a_finished_task_is_stored_while_its_neighbour_still_runs(saver):
    config, go_on = thread(), asyncio.Event()

    async def quick(_state):
        return {"done": ["quick"]}

    async def slow(_state):
        await go_on.wait()

    graph = StateGraph(State)
    graph.add_node("quick", quick)
    graph.add_node("slow", slow)
    graph.add_edge(START, "quick")
    graph.add_edge(START, "slow")
    run = asyncio.create_task(
        graph.compile(checkpointer=saver).ainvoke({"done": [], "value": None}, config, durability="sync")
    )
    async with asyncio.timeout(10):
        while not [w for w in getattr(await saver.aget_tuple(config), "pending_writes", []) if w[1] == "done"]:
            await asyncio.sleep(0.01)
    go_on.set()
    await run


async def test_a_run_that_lost_its_lease_writes_nothing_more(pool, saver):
    jobs, job = Jobs(pool), new_job()
    claimed = await jobs.claim(job, **DEAD)
    config = thread(job.job_id, Fence(claimed.epoch, empty=not claimed.has_checkpoint))

    async def taken_over(_state):
        await jobs.claim(job, owner="pod-2", lease_seconds=30)
        return {"done": ["late"]}

    graph = chain(saver, a=None, b=taken_over, c=None)
    with pytest.raises(LeaseLost, match=job.job_id):
        await graph.ainvoke({"done": [], "value": None}, config, durability="sync")
    stored = await saver.aget_tuple(thread(job.job_id))
    assert stored.checkpoint["channel_values"]["done"] == ["a"]
    assert stored.pending_writes == []


async def test_two_runs_of_one_job_in_one_batch_are_told_apart(pool, saver):
    jobs, job, other = Jobs(pool), new_job(), new_job()
    await jobs.claim(job, **DEAD)
    await jobs.claim(job, **LEASE)
    await jobs.claim(other, **LEASE)
    node = chain(saver, a=None)
    late, present, neighbour = await asyncio.gather(
        node.ainvoke({"done": ["late"], "value": 1}, thread(job.job_id, Fence(1)), durability="sync"),
        node.ainvoke({"done": ["present"], "value": 1}, thread(job.job_id, Fence(2)), durability="sync"),
        node.ainvoke({"done": ["neighbour"], "value": 1}, thread(other.job_id, Fence(1)), durability="sync"),
        return_exceptions=True,
    )
    assert isinstance(late, LeaseLost)
    assert (present["done"], neighbour["done"]) == (["present", "a"], ["neighbour", "a"])
    assert {tuple(c.checkpoint["channel_values"].get("done", ())) async for c in saver.alist(thread(job.job_id))} == {
        (),
        ("present",),
        ("present", "a"),
    }


async def test_the_fence_holds_inside_a_subgraph_and_stays_out_of_the_metadata(pool, saver):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    inner = StateGraph(State)
    seen = []

    async def taken_over(_state, config):
        seen.append(config["configurable"][FENCE].epoch)
        await jobs.release(job.job_id, 1)
        return {"done": ["inner"]}

    inner.add_node("inner", taken_over)
    inner.add_edge(START, "inner")
    graph = chain(saver, a=None, sub=inner.compile())
    with pytest.raises(LeaseLost):
        await graph.ainvoke({"done": [], "value": None}, thread(job.job_id, Fence(1)), durability="sync")
    assert seen == [1]
    async for checkpoint in saver.alist(thread(job.job_id)):
        assert not any("fence" in key for key in checkpoint.metadata)


async def test_a_name_that_no_index_holds_fails_its_own_job_only(saver):
    # SQLSTATE 54000, which psycopg calls operational, as it does a server that is away.
    long = "".join(chr(0x4E00 + n * 37 % 20_000) for n in range(3000))
    bad, good = Rows(), Rows()
    bad.blobs["bad", "", long, "1"] = ("bad", "", long, "1", "bytes", b"")
    good.blobs["good", "", "a", "1"] = ("good", "", "a", "1", "bytes", b"")
    told = await asyncio.gather(
        *(saver._writer.store(rows, linger=False) for rows in (bad, good)), return_exceptions=True
    )
    assert isinstance(told[0], psycopg.errors.ProgramLimitExceeded)
    assert told[1] is None


async def test_what_nobody_foresaw_is_told_to_whoever_waits(saver, monkeypatch):
    async def broken(_self, _rows):
        raise TypeError

    monkeypatch.setattr(Writer, "_execute", broken)
    with pytest.raises(TypeError):
        await saver._writer.store(Rows(), linger=False)


async def test_no_checkpoint_is_stored_before_the_held_ones_that_a_task_took_along(pool, saver, monkeypatch):
    jobs, job, neighbour = Jobs(pool), new_job(), Rows()
    await jobs.claim(job, **LEASE)
    execute, left, go_on, begun = Writer._execute, asyncio.Event(), asyncio.Event(), []

    async def held_up(self, rows):
        begun.append(len(rows.checkpoints))
        if len(begun) == 1:
            left.set()
            await go_on.wait()
        return await execute(self, rows)

    monkeypatch.setattr(Writer, "_execute", held_up)
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 60)  # else a busy machine sends them before the task does
    put, put_writes, steps = Saver.aput, Saver.aput_writes, []

    async def noting(self, config, checkpoint, metadata, versions):
        steps.append(metadata["step"])
        if steps[-1] == 1:
            await left.wait()
        return await put(self, config, checkpoint, metadata, versions)

    async def beside_another_job(self, config, *arguments):
        writing = asyncio.create_task(put_writes(self, config, *arguments))
        of_a_node = config["configurable"]["checkpoint_id"] not in config["configurable"][FENCE].inputs
        if of_a_node and not neighbour.writes:  # whose rows leave at once, and take along what waits
            neighbour.writes["other", "", "c", "t", 0] = ("other", "", "c", "t", "", 0, "a", "bytes", b"")
            await asyncio.sleep(0)
            await asyncio.shield(asyncio.create_task(self._writer.store(neighbour, linger=False)))
        await writing

    monkeypatch.setattr(Saver, "aput", noting)
    monkeypatch.setattr(Saver, "aput_writes", beside_another_job)
    config = thread(job.job_id, Fence(1, empty=True))
    run = asyncio.create_task(
        chain(saver, a=None, b=None).ainvoke({"done": [], "value": None}, config, durability="sync")
    )
    async with asyncio.timeout(10):
        while not begun or steps[-1] < 1:
            await asyncio.sleep(0.01)
        for _ in range(100):  # turns of the loop, which is all that a statement needs to begin
            await asyncio.sleep(0)
        assert begun == [2], "the descendants of what is on its way wait for it"
        go_on.set()
        await run
    assert begun[1:] == [1, 1]


async def test_one_jobs_bad_rows_do_not_fail_anothers(saver):
    good, bad = thread(), thread("a\0b")
    graph = chain(saver, a=None)
    runs = (graph.ainvoke({"done": [], "value": 1}, config, durability="sync") for config in (good, bad, thread()))
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(result) for result in results] == [dict, psycopg.DataError, dict]


async def test_a_job_stays_empty_until_something_is_stored(pool, saver, monkeypatch):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    fence = Fence(1, empty=True)
    graph = chain(saver, a=None)

    async def away(_self, _rows):
        raise psycopg.OperationalError("the server is starting up")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_execute", away)
        with pytest.raises(psycopg.OperationalError):
            await graph.ainvoke({"done": [], "value": 1}, thread(job.job_id, fence), durability="sync")
    assert fence.empty
    result = await graph.ainvoke({"done": [], "value": 1}, thread(job.job_id, fence), durability="sync")
    assert result == {"done": ["a"], "value": 1}
    assert not fence.empty


async def test_fifty_jobs_at_once_are_all_stored(saver):
    graph, configs = chain(saver, a=None, b=None), [thread() for _ in range(50)]
    await asyncio.gather(
        *(graph.ainvoke({"done": [str(n)], "value": n}, config, durability="sync") for n, config in enumerate(configs))
    )
    for number, config in enumerate(configs):
        values = (await saver.aget_tuple(config)).checkpoint["channel_values"]
        assert (values["done"], values["value"]) == ([str(number), "a", "b"], number)


async def test_the_saver_never_makes_the_schema(saver):
    with pytest.raises(NotImplementedError, match="agent-executor migrate"):
        await saver.setup()


@pytest.mark.slow
async def test_running_jobs_do_not_notice_that_postgresql_was_killed_and_started_again():
    with own_servers() as servers:
        migrations.apply(servers.postgres_dsn, schema="agent_executor")
        async with database.pool(servers.postgres_dsn, schema="agent_executor", size=8) as pool:
            saver, steps = Saver(pool), [f"n{number}" for number in range(20)]
            graph, configs = chain(saver, **dict.fromkeys(steps)), [thread() for _ in range(40)]
            runs = (graph.ainvoke({"done": [], "value": 1}, config, durability="sync") for config in configs)
            running = asyncio.gather(*runs)
            for end in (servers.postgres.kill, servers.postgres.stop):
                busy = pool.get_stats().get("requests_num", 0) + 20
                while pool.get_stats().get("requests_num", 0) < busy:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(end)
                await asyncio.to_thread(servers.postgres.start)
            async with asyncio.timeout(90):
                results = await running
            hits = ("connections_lost", "connections_errors", "returns_bad", "requests_errors")
            assert any(pool.get_stats().get(hit) for hit in hits), "the kills hit nobody"
            assert [result["done"] for result in results] == [steps] * len(configs)
            for config in configs:
                assert (await saver.aget_tuple(config)).checkpoint["channel_values"]["done"] == steps
