"""An event that was refused takes nothing from the job that its caller asks for when it is right."""

from tests.service.test_executor import cancel
from tests.support.graphs import ECHO, agent
from tests.support.runtime import caller, job, until, worker


async def test_the_failure_of_a_job_is_told_after_that_of_an_event_with_its_id(env, monkeypatch):
    monkeypatch.setattr("agent_executor.core.executor.STRANGER_SECONDS", 0.1)
    async with caller(env) as outside, worker(env):
        right = job({**agent(ECHO), "nodes": []})
        wrong = {**right, "trace_id": ""}

        def told():
            return [one["data"]["error"]["type"] for one in outside.all(right["job_id"], "failed")]

        for event, error in (
            (wrong, "invalid_event"),
            (wrong, "invalid_event"),
            (cancel(right["job_id"]), "unknown_job"),
            (right, "invalid_definition"),
        ):
            await outside.send(event)
            await until(lambda error=error: error in told())
        await until(lambda: len(outside.dead()) == 4)
        assert told() == ["invalid_event", "unknown_job", "invalid_definition"]
