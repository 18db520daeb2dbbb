"""KEDA and our executors: out with the lag, in without losing a job, to zero and back."""

import pytest

from agent_executor.services.redis import replay
from tests.e2e import executors
from tests.e2e.conftest import Timed
from tests.e2e.executors import Executor
from tests.e2e.lab.cluster import Cluster
from tests.e2e.test_rollouts import each_once, slow
from tests.support.observer import ECHO, Observer, job, until, watching

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1800), pytest.mark.xdist_group("pods")]
MOST = 3  # pods that fit on the lab's node beside everything else
SCALE_IN_SECONDS = 900  # the claim's pods go one a minute, after five minutes without a reason to stay


def replicas(executor: Executor) -> int:
    """How many pods the Deployment wants: what KEDA's HPA last said."""
    return int(executor.deployment()["spec"]["replicas"])


def crossplanes_fields(executor: Executor) -> str:
    """What Crossplane owns of the Deployment."""
    managed = executor.deployment()["metadata"]["managedFields"]
    return str([one["fieldsV1"] for one in managed if one["manager"].startswith("apiextensions.crossplane.io")])


async def steps(observer: Observer, jobs: list[str]) -> list[int]:
    """How many steps each of `slow`'s jobs has begun, in whatever pods: more than it has would be one done twice."""
    told = [await replay(observer.redis, job_id) for job_id in jobs]
    return [[event["event_type"] for event in events].count("on_tool_start") for events in told]


async def test_sixty_slow_jobs_scale_out_and_in_again_and_each_is_done_once(pods: Cluster, timed: Timed) -> None:
    scaling = {"maxReplicas": MOST}
    with executors.namespace(pods.api) as where, executors.running(pods, where, scaling=scaling) as executor:
        async with watching(executor.environment) as observer:
            with timed("60 jobs published to three pods"):
                jobs = [await observer.publish(job(slow(6))) for _ in range(60)]
                executor.until_deployed(lambda seen: seen["status"].get("readyReplicas") == MOST, f"{MOST} pods")
            with timed("60 jobs published and done"):
                await each_once(observer, jobs, 300)
            assert "f:replicas" not in crossplanes_fields(executor)
            # Crossplane looks at everything again, and leaves the number of pods to KEDA.
            executor.edit(env=[*executors.SCRIPTED, {"name": "LOG_LEVEL", "value": "DEBUG"}])
            assert replicas(executor) == MOST
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
            jobs = [await observer.publish(job(slow(15))) for _ in range(15)]
            await until(
                lambda: executor.http("/jobs?state=running").text.count('"running"') >= len(jobs), 60, "all run"
            )
            with timed("told to be one to one pod"):
                executor.edit(scaling={"minReplicas": 1, "maxReplicas": 1})
                executor.until_deployed(lambda seen: len(executor.pods()) == 1, "one pod")
            with timed("all jobs of the scale-in done"):
                await each_once(observer, jobs)
            assert await steps(observer, jobs) == [15] * len(jobs)


async def test_an_idle_executor_goes_to_zero_and_comes_back_on_the_first_message(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        with timed("idle to no pods"):
            executor.edit(scaling={"minReplicas": 0})
            executor.until_deployed(lambda seen: executor.is_empty(), "no pods", SCALE_IN_SECONDS)
        executor.ready()
        async with watching(executor.environment) as observer:
            with timed("first message to its result"):
                job_id = await observer.publish(job(ECHO))
                assert (await observer.result(job_id, 180))["type"] == "dev.my-platform.agent.completed"
