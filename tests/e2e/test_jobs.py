"""Jobs in a real cluster: from a CloudEvent outside to its result, for one tenant and not for another."""

import json
import subprocess
from collections.abc import Iterable

import pytest

from tests.e2e import executors
from tests.e2e.composed import COMPOSED, LEFT_BY_THEM
from tests.e2e.conftest import Timed
from tests.e2e.executors import Executor
from tests.e2e.lab import backends, cluster
from tests.e2e.lab.api import is_true
from tests.e2e.lab.cluster import Cluster
from tests.support import observer as observed
from tests.support.observer import ECHO, PROGRAM, enveloped, job, plan, turn, watching

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1200), pytest.mark.xdist_group("pods")]
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OF_A_JOB = ("process agent.execute", "invoke_agent observed", "chat plan")


def test_the_seeds_claim_becomes_ready_with_a_running_pod(pods: Cluster, timed: Timed) -> None:
    api = pods.api
    try:
        with timed("claim applied to READY"):
            api.apply(cluster.CLAIM)
            claim = api.until(
                "AgentExecutor", "agent-executor", cluster.NAMESPACE, lambda seen: is_true(seen, "Ready"), "READY", 180
            )
        assert {one["type"]: one["status"] for one in claim["status"]["conditions"]} == dict.fromkeys(
            ("Ready", "Synced", "SpecValid", "SecretsReady", "WorkloadAvailable", "ScalingReady"), "True"
        )
        assert claim["status"]["replicas"] == {"desired": 1, "ready": 1}
        assert claim["status"]["image"] == "ghcr.io/arun4infra/agent-executor:v1.0.0"
        assert claim["status"]["secrets"] == [
            {"name": f"agent-executor-{which}", "ready": True} for which in ("postgres", "dragonfly", "llm-keys")
        ]
        assert "observedGeneration" not in claim["status"], "it would be the composite's, which counts apart"
        assert "Waiting" not in [one["reason"] for one in claim["status"]["conditions"]]
        columns, values = api.kubectl("get", "agentexecutor", "-n", cluster.NAMESPACE).splitlines()
        assert {"NAME", "READY", "SYNCED", "SIZE", "IMAGE", "REPLICAS", "AGE"} <= set(columns.split())
        row = ["agent-executor", "medium", "ghcr.io/arun4infra/agent-executor:v1.0.0", "1", "True", "True"]
        assert values.split()[: len(row)] == row
        (pod,) = api.list("Pod", cluster.NAMESPACE, "app=agent-executor")
        assert is_true(pod, "Ready")
        assert pod["spec"]["initContainers"][0]["name"] == "run-migrations"
    finally:
        api.delete("AgentExecutor", "agent-executor", cluster.NAMESPACE)
        api.until("AgentExecutor", "agent-executor", cluster.NAMESPACE, lambda seen: seen is None, "gone")
        for kind in (*COMPOSED, *LEFT_BY_THEM):
            api.until_none(kind, cluster.NAMESPACE, "", "agent-executor")


async def test_a_cloud_event_from_outside_becomes_a_result(pods: Cluster, timed: Timed) -> None:
    traced = [*executors.SCRIPTED, {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": backends.COLLECTOR}]
    with executors.namespace(pods.api) as where, executors.running(pods, where, env=traced) as executor:
        async with watching(executor.environment) as observer:
            asked = job(plan(turn(text="One. ", delay_ms=500), turn(text="Two.")), text="hello from outside")
            event = enveloped(asked, traceparent=f"00-{TRACE}-{CALLER}-01")
            async with observer.channel(asked["job_id"]) as channel:
                with timed("published to result"):
                    await observer.publish(event, Content_Type="application/cloudevents+json")
                    result = await observer.result(asked["job_id"], 60)
                events = await channel.complete()
            assert result["type"] == "dev.my-platform.agent.completed"
            spans = await observed.until(lambda: by_name(pods.backends.spans(TRACE), OF_A_JOB), 30, "spans exported")
            process, agent, chat = (spans[name] for name in OF_A_JOB)
            assert (process["parent"], agent["parent"], chat["parent"]) == (
                CALLER,
                process["span_id"],
                agent["span_id"],
            )
            assert result["traceparent"].split("-")[1:3] == [TRACE, process["span_id"]]
            assert [one["seq"] for one in events] == sorted(one["seq"] for one in events)
            assert "on_llm_stream" in channel.kinds()
            assert executor.http(f"/jobs/{asked['job_id']}").json()["state"] == "completed"
            lines = [json.loads(line) for line in executor.logs().splitlines() if asked["job_id"] in line]
            assert lines
            assert {line["trace_id"] for line in lines if "trace_id" in line} <= {TRACE, asked["trace_id"]}
            metrics = executor.http("/metrics").text
            assert 'agent_executor_jobs_total{status="completed"} 1.0' in metrics


async def test_executors_and_tenants_do_not_see_each_others_jobs(pods: Cluster, timed: Timed) -> None:
    api = pods.api
    with (
        executors.namespace(api) as first,
        executors.namespace(api) as second,
        executors.running(pods, first) as one,
        executors.running(
            pods,
            first,
            "other",
            postgresConnectionSecret="other-postgres",
            dragonflyConnectionSecret="other-dragonfly",
            llmKeysSecret="other-llm-keys",
        ) as other,
        executors.running(pods, second) as tenant,
        timed("a job in each of three"),
    ):
        everyone = (one, other, tenant)
        jobs = {executor.tenant: await completed(executor) for executor in everyone}
        for executor in everyone:
            listed = {found["job_id"] for found in executor.http("/jobs").json()["jobs"]}
            assert listed == {jobs[executor.tenant]}
            async with watching(executor.environment) as observer:
                assert {result["subject"] for result in await observer.results()} == {jobs[executor.tenant]}


def test_smoke_passes_inside_the_pod_and_from_outside(pods: Cluster, timed: Timed) -> None:
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        with timed("inside the pod"):
            inside = executor.execute("agent-executor", "smoke")
        with executor.forwarded() as url, timed("from outside"):
            outside = subprocess.run([PROGRAM, "smoke", f"--url={url}"], capture_output=True, text=True, check=True)
        for said in (inside, outside.stdout):
            assert [line.split(":")[:2] for line in said.splitlines()] == [
                ["ok", f" {what}"] for what in ("readiness", "job", "metrics")
            ]


def by_name(spans: list[dict[str, str]], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The spans, once there is one of each name."""
    found = {span["name"]: span for span in spans}
    return found if found.keys() >= set(names) else {}


async def completed(executor: Executor) -> str:
    """The id of a job that the executor has done."""
    async with watching(executor.environment) as observer:
        job_id = await observer.publish(job(ECHO))
        assert (await observer.result(job_id, 60))["type"] == "dev.my-platform.agent.completed"
        return job_id
