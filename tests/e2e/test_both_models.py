"""The claim model and the namespaced one, side by side in two clusters, with the same YAML and a job on each."""

import asyncio
from contextlib import ExitStack

import pytest

from tests.e2e import executors
from tests.e2e.conftest import Timed
from tests.e2e.executors import Executor
from tests.e2e.lab import cluster
from tests.e2e.lab.cluster import Cluster
from tests.support.observer import ECHO, enveloped, job, watching

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1200, func_only=True), pytest.mark.xdist_group("pods")]


async def test_a_job_is_done_on_both_models_side_by_side(pods: Cluster, timed: Timed) -> None:
    with cluster.full("namespaced") as other, ExitStack() as stack:
        both = []
        for one in (pods, other):
            where = stack.enter_context(executors.namespace(one.api))
            with timed(f"{one.lab.model} model: applied to READY"):
                both.append(stack.enter_context(executors.running(one, where)))
        with timed("published to both clusters, to both results"):
            results = await asyncio.gather(*map(done, both))
        assert {result["type"] for result in results} == {"dev.my-platform.agent.completed"}
        claimed, composite = (one.get() for one in both)
        assert claimed["spec"]["resourceRef"]["kind"] == "XAgentExecutor"
        assert "resourceRef" not in composite["spec"]
        assert composite["status"]["observedGeneration"] == composite["metadata"]["generation"]
        assert [one.deployment()["metadata"]["ownerReferences"][0]["kind"] for one in both] == [
            "XAgentExecutor",
            "AgentExecutor",
        ]


async def done(executor: Executor) -> dict[str, object]:
    """The result event of one job."""
    asked = job(ECHO, text="hello")
    async with watching(executor.environment) as observer:
        await observer.publish(enveloped(asked), Content_Type="application/cloudevents+json")
        result: dict[str, object] = await observer.result(asked["job_id"], 60)
    return result
