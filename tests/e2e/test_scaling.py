"""KEDA and our executors: out with the lag, in without losing a job, to zero and back."""

from typing import Any

import pytest

from tests.e2e import executors
from tests.e2e.conftest import Timed
from tests.e2e.inflight import all_begun, each_once, slow, steps, taken_over
from tests.e2e.lab.cluster import Cluster
from tests.support.observer import ECHO, job, watching

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1800, func_only=True), pytest.mark.xdist_group("pods")]
MOST = 3  # pods that fit on the lab's node beside everything else
SCALE_IN_SECONDS = 900  # the claim's pods go one a minute, after five minutes without a reason to stay
LOUDER = {"name": "LOG_LEVEL", "value": "DEBUG"}
STEPS, SECONDS = 30, 3  # a job takes longer than KEDA and the HPA need to take a lower maximum up


def crossplanes_fields(deployment: Any) -> str:
    """What Crossplane owns of a Deployment."""
    managed = deployment["metadata"]["managedFields"]
    return str([one["fieldsV1"] for one in managed if one["manager"].startswith("apiextensions.crossplane.io")])


def environment(deployment: Any) -> list[dict[str, Any]]:
    """The variables of the executor's container."""
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return found


def carried_out(deployment: Any) -> bool:
    """Whether three pods run the edit, and none runs what was before it."""
    status = deployment["status"]
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = {status.get(which) for which in ("replicas", "updatedReplicas", "readyReplicas")}
    return seen and LOUDER in environment(deployment) and counts == {MOST}


async def woken(executor: executors.Executor, timed: Timed) -> None:
    """A claim without pods is READY, and takes its first job."""
    executor.ready()
    async with watching(executor.environment) as observer:
        with timed("first message to its result"):
            job_id = await observer.publish(job(ECHO))
            assert (await observer.result(job_id, 180))["type"] == "dev.my-platform.agent.completed"


async def test_sixty_slow_jobs_scale_out_and_in_again_and_each_is_done_once(pods: Cluster, timed: Timed) -> None:
    scaling = {"maxReplicas": MOST}
    with executors.namespace(pods.api) as where, executors.running(pods, where, scaling=scaling) as executor:
        async with watching(executor.environment) as observer:
            with timed("60 jobs published to three pods"):
                jobs = [await observer.publish(job(slow(6))) for _ in range(60)]
                executor.until_deployed(lambda seen: seen["status"].get("readyReplicas") == MOST, f"{MOST} pods")
            with timed("60 jobs published and done"):
                await each_once(observer, jobs, 300)
            assert executor.deployment()["spec"]["replicas"] == MOST
            # Crossplane applies the Deployment again, and leaves the number of pods to KEDA.
            executor.edit(env=[*executors.SCRIPTED, LOUDER])
            with timed("edited to three other pods"):
                edited = executor.until_deployed(carried_out, "the edit carried out")
            assert edited["spec"]["replicas"] == MOST
            assert "f:template" in crossplanes_fields(edited)
            assert "f:replicas" not in crossplanes_fields(edited)
            executor.ready()
            with timed("drained to one pod"):
                executor.until_deployed(lambda seen: seen["status"].get("readyReplicas") == 1, "one", SCALE_IN_SECONDS)
            await each_once(observer, jobs)
            assert await steps(observer, jobs) == [6] * len(jobs)


async def test_no_job_is_lost_or_done_twice_when_pods_go_in_the_middle(pods: Cluster, timed: Timed) -> None:
    scaling = {"minReplicas": MOST, "maxReplicas": MOST}
    with executors.namespace(pods.api) as where, executors.running(pods, where, scaling=scaling) as executor:
        executor.until_deployed(lambda seen: seen["status"].get("readyReplicas") == MOST, f"{MOST} pods")
        async with watching(executor.environment) as observer:
            jobs = [await observer.publish(job(slow(STEPS, SECONDS))) for _ in range(15)]
            await all_begun(observer, jobs)
            with timed("told to be one to one pod"):
                executor.edit(scaling={"minReplicas": 1, "maxReplicas": 1})
                executor.until_deployed(lambda seen: len(executor.pods()) == 1, "one pod")
            assert not await observer.results(), "the pods went when there was nothing left to do"
            with timed("all jobs of the scale-in done"):
                await each_once(observer, jobs, 400)
            assert await steps(observer, jobs) == [STEPS] * len(jobs)
            # Those of the two pods that went, which had five each.
            assert len(await taken_over(observer, jobs)) >= 10


async def test_an_idle_executor_goes_to_zero_and_comes_back_on_the_first_message(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        with timed("idle to no pods"):
            executor.edit(scaling={"minReplicas": 0})
            executor.until_deployed(lambda seen: executor.is_empty(), "no pods", SCALE_IN_SECONDS)
        await woken(executor, timed)


async def test_a_claim_that_begins_with_none_makes_its_streams_and_takes_its_first_job(
    pods: Cluster, timed: Timed
) -> None:
    scaling = {"minReplicas": 0}
    with executors.namespace(pods.api) as where, executors.running(pods, where, scaling=scaling) as executor:
        with timed("READY to no pods"):
            executor.until_deployed(lambda seen: executor.is_empty(), "no pods", SCALE_IN_SECONDS)
        await woken(executor, timed)
