"""Changes of a running executor: another image, a broken one, another size, pause; and no job is lost over any."""

import pytest

from tests.e2e import executors
from tests.e2e.conftest import Timed
from tests.e2e.executors import Executor
from tests.e2e.inflight import all_begun, each_once, slow, steps, taken_over
from tests.e2e.lab import cluster
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Cluster
from tests.e2e.settings import explaining
from tests.support.observer import job, plan, turn, watching

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1200, func_only=True), pytest.mark.xdist_group("pods")]
STEPS, SECONDS = 20, 3  # a job takes a minute, and a rollout a fraction of that


def rolled_out(executor: Executor, tag: str) -> object:
    """Whether every pod runs an image, and nobody else is left."""

    def holds(seen: object) -> bool:
        pods = executor.pods()
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        return bool(pods) and images == {f"{cluster.EXECUTOR}:{tag}"} and all(is_true(pod, "Ready") for pod in pods)

    return holds


async def test_an_image_change_rolls_out_with_jobs_in_flight_and_none_is_lost(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        async with watching(executor.environment) as observer:
            jobs = [await observer.publish(job(slow(STEPS, SECONDS))) for _ in range(5)]
            await all_begun(observer, jobs)
            before = executor.deployment()["metadata"]["generation"]
            with timed("edit to rollout begun"):
                executor.edit(image=f"{cluster.EXECUTOR}:v1.1.0")
                executor.until_deployed(lambda seen: seen["metadata"]["generation"] > before, "another generation", 60)
            with timed("edit to rolled out"):
                executor.until_deployed(rolled_out(executor, "v1.1.0"), "rolled out")
            # So they were in flight when the old pod was told to go, which was before.
            assert not await observer.results(), "the rollout took longer than the jobs"
            with timed("all jobs of the rollout done"):
                await each_once(observer, jobs)
            assert await steps(observer, jobs) == [STEPS] * len(jobs)
            assert await taken_over(observer, jobs) == set(jobs)
            executor.ready()


async def test_a_broken_image_leaves_the_old_pod_serving_and_says_why(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        (old,) = executor.pods()
        executor.edit(image=f"{cluster.EXECUTOR}:v9.9.9")
        with timed("edit to the reason on the claim"):
            claim = executor.until(
                lambda seen: "v9.9.9 waits for" in condition(seen, "WorkloadAvailable").get("message", ""),
                "why on the claim",
            )
        assert is_true(claim, "WorkloadAvailable")
        assert old["metadata"]["name"] in {pod["metadata"]["name"] for pod in executor.pods() if is_true(pod, "Ready")}
        async with watching(executor.environment) as observer:
            job_id = await observer.publish(job(plan(turn(text="still here"))))
            assert (await observer.result(job_id, 60))["type"] == "dev.my-platform.agent.completed"
        with timed("reverted to READY"):
            executor.edit(image=f"{cluster.EXECUTOR}:v1.0.0")
            executor.until_deployed(rolled_out(executor, "v1.0.0"), "reverted")
            executor.ready()
        assert {pod["metadata"]["name"] for pod in executor.pods()} == {old["metadata"]["name"]}


def test_the_claim_says_why_an_image_does_not_start_until_it_is_reverted(pods: Cluster, timed: Timed) -> None:
    def said(seen: object) -> str:
        return str(condition(seen, "WorkloadAvailable").get("message", ""))

    broken = f"{cluster.EXECUTOR}:v9.9.9"
    with executors.namespace(pods.api) as where, explaining(pods.lab), executors.running(pods, where) as executor:
        executor.edit(image=broken)
        with timed("edit to the cause on the claim"):
            claim = executor.until(lambda seen: "ImagePullBackOff" in said(seen), "the cause on the claim")
        # What the registry said, if anything, depends on the network of this machine.
        wanted = f"1 of 1 replicas ready; the rollout of {broken} waits for 1 pod: ImagePullBackOff, {broken}"
        assert said(claim).startswith(wanted)
        assert is_true(claim, "WorkloadAvailable")
        with timed("reverted to the cause gone"):
            executor.edit(image=f"{cluster.EXECUTOR}:v1.0.0")
            executor.until(lambda seen: said(seen) == "1 of 1 replicas ready", "no cause")
        executor.ready()


def test_a_larger_size_changes_the_pods_resources(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        with timed("edit to pods of the new size"):
            executor.edit(size="medium")

            def grown(_: object) -> bool:
                found = [pod["spec"]["containers"][0]["resources"] for pod in executor.pods()]
                wanted = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}
                return found == [wanted]

            executor.until_deployed(grown, "pods of the new size")
        executor.ready()


async def test_a_paused_executor_has_no_pods_and_goes_on_where_it_was(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        with timed("paused to no pods"):
            executor.edit(paused=True)
            executor.until_deployed(lambda seen: executor.is_empty(), "no pods")
        assert executor.deployment() is not None
        async with watching(executor.environment) as observer:
            job_id = await observer.publish(job(plan(turn(text="after the pause"))))
            with timed("resumed to result"):
                executor.edit(paused=False)
                assert (await observer.result(job_id, 180))["type"] == "dev.my-platform.agent.completed"
        executor.ready()
