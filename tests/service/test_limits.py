"""What a job may use: over all its agents, and over a resume."""

import pytest

from agent_executor.core.limits import Limits, Usage, merge
from agent_executor.errors import PermanentError
from tests.support import graphs
from tests.support.graphs import Bench

LS = graphs.call("ls", path="/")
LOOP = graphs.plan(*[graphs.calls(LS)] * 20)
TASK = graphs.call("task", description="Look.", subagent_type="scout")


def allowing(model_calls: int = 100, tool_calls: int = 100, tokens: int = 1_000_000) -> Bench:
    return Bench(most=Limits(model_calls, tool_calls, tokens))


CASES = [
    (Limits(3, 100, 10**6), "model calls: the job needs 4, and its limit is 3"),
    (Limits(100, 4, 10**6), "tool calls: the job needs 5, and its limit is 4"),
    (Limits(100, 100, 1), "tokens: the job needs "),
]


@pytest.mark.parametrize(("most", "message"), CASES, ids=["model calls", "tool calls", "tokens"])
async def test_over_a_limit_is_a_failure_that_names_it(most: Limits, message: str) -> None:
    with pytest.raises(PermanentError) as refused:
        await Bench(most=most).run(graphs.agent(LOOP))
    assert refused.value.type == "limit_exceeded"
    assert refused.value.message.startswith(message)


async def test_at_the_limit_a_job_still_ends_well() -> None:
    twice = graphs.plan(graphs.calls(LS), {"text": "Done."})
    assert (await allowing(model_calls=2, tool_calls=1).result(graphs.agent(twice)))["output"] == "Done."


async def test_supersteps_are_limited() -> None:
    with pytest.raises(PermanentError, match="recursion: the job needs more than 5 supersteps"):
        await Bench(recursion=5).run(graphs.agent(LOOP))


async def test_supersteps_count_over_a_resume() -> None:
    table = Bench(recursion=5)
    for _ in range(2):
        with pytest.raises(PermanentError, match="more than 5 supersteps"):
            await table.run(graphs.agent(LOOP), None if table.events else "Hello")
    assert len(table.seen("on_llm_stream")) < 20


async def test_sub_agents_count_too_and_only_once() -> None:
    scout = {"id": "scout", "model": graphs.plan(graphs.calls(LS), {"text": "Found."})}
    boss = graphs.plan(graphs.calls(TASK, TASK), graphs.calls(TASK), {"text": "Done."})
    table = allowing()
    outcome = await table.run(graphs.agent(boss, scout))
    used = outcome.values["job_usage"]
    # Boss: 3 answers with 3 calls. Scout, three times: 2 answers with 1 call.
    assert (used["model_calls"], used["tool_calls"]) == (9, 6)
    assert table.context is not None
    assert (table.context.usage.model_calls, table.context.usage.tool_calls) == (9, 6)
    assert table.context.usage.tokens == used["tokens"]


async def test_a_sub_agent_stops_at_the_limit_of_the_job() -> None:
    scout = {"id": "scout", "model": LOOP}
    with pytest.raises(PermanentError, match="model calls: the job needs 6, and its limit is 5"):
        await allowing(model_calls=5).run(graphs.agent(graphs.plan(graphs.calls(TASK)), scout))


async def test_the_general_purpose_sub_agent_is_held_to_the_limits_too() -> None:
    helper = graphs.call("task", description="Look.", subagent_type="general-purpose")
    # It has the orchestrator's model, so it delegates again and again, one call each.
    with pytest.raises(PermanentError, match="model calls: the job needs 4, and its limit is 3"):
        await allowing(model_calls=3).run(graphs.agent(graphs.plan(graphs.calls(helper), *[graphs.calls(LS)] * 9)))


async def test_counts_go_on_after_a_resume_in_another_process() -> None:
    table = allowing(model_calls=4)
    with pytest.raises(PermanentError):
        await table.run(graphs.agent(LOOP))
    # A fresh context, as in another process: the state remembers four answers.
    with pytest.raises(PermanentError, match="model calls: the job needs 5"):
        await table.run(graphs.agent(LOOP), None)


async def test_clients_never_see_the_counts() -> None:
    table = Bench()
    result = await table.result(graphs.agent(graphs.ECHO))
    assert "job_usage" not in str(result) + str(table.events)


def test_counts_add_up_from_nothing() -> None:
    assert merge(None, {"model_calls": 1}) == {"model_calls": 1, "tool_calls": 0, "tokens": 0}
    usage = Usage(tokens=5)
    usage.restore({"tokens": 3, "model_calls": 2})
    assert usage == Usage(model_calls=2, tokens=5)
