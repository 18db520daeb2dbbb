"""Jobs in a real cluster: from a CloudEvent outside to its result, for one tenant and not for another."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
import yaml

from agent_executor.services import sandbox
from tests.e2e import executors
from tests.e2e.composed import COMPOSED, LEFT_BY_THEM
from tests.e2e.conftest import Timed
from tests.e2e.executors import Executor
from tests.e2e.lab import backends, cluster
from tests.e2e.lab.api import is_true
from tests.e2e.lab.cluster import Cluster
from tests.support import observer as observed
from tests.support.hostile_tools import REFUSED, TOOLS
from tests.support.observer import ECHO, PROGRAM, enveloped, job, plan, script, turn, watching
from tools.render_examples import ROOT

pytestmark = [pytest.mark.pods, pytest.mark.timeout(1200, func_only=True), pytest.mark.xdist_group("pods")]
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RESEARCH = ROOT / "examples" / "gitops" / "tenants" / "research"
# Says something, looks, and takes three seconds for the rest: so long its events are there, and its result is not.
TWO_TURNS = plan(turn("look", text="One. "), turn(text="Two.", delay_ms=3000), scripts={"look": script("look")})
OF_A_JOB = ("process agent.execute", "invoke_agent observed", "chat plan")


def test_the_seeds_claim_becomes_ready_with_a_running_pod(pods: Cluster, timed: Timed) -> None:
    api = pods.api
    try:
        with timed("claim applied to READY"):
            api.apply(cluster.CLAIM)
            claim = api.until(
                "AgentExecutor", "agent-executor", cluster.NAMESPACE, lambda seen: is_true(seen, "Ready"), "READY", 180
            )
        assert {one["type"]: (one["status"], one["reason"]) for one in claim["status"]["conditions"]} == {
            "Ready": ("True", "Available"),
            "Synced": ("True", "ReconcileSuccess"),
            "SpecValid": ("True", "Valid"),
            "SecretsReady": ("True", "SecretsSynced"),
            "WorkloadAvailable": ("True", "Available"),
            "ScalingReady": ("True", "Scaling"),
        }
        assert claim["status"]["replicas"] == {"desired": 1, "ready": 1}
        assert claim["status"]["image"] == "ghcr.io/arun4infra/agent-executor:v1.0.0"
        assert claim["status"]["secrets"] == [
            {"name": f"agent-executor-{which}", "ready": True} for which in ("postgres", "dragonfly", "llm-keys")
        ]
        assert "observedGeneration" not in claim["status"], "it would be the composite's, which counts apart"
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


async def test_a_cloud_event_from_outside_becomes_events_while_it_runs_and_a_result(
    pods: Cluster, timed: Timed
) -> None:
    traced = [*executors.SCRIPTED, {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": backends.COLLECTOR}]
    with executors.namespace(pods.api) as where, executors.running(pods, where, env=traced) as executor:
        async with watching(executor.environment) as observer:
            asked = job(TWO_TURNS, text="hello from outside")
            event = enveloped(asked, traceparent=f"00-{TRACE}-{CALLER}-01")
            async with observer.channel(asked["job_id"]) as channel:
                with timed("published to result"):
                    await observer.publish(event, Content_Type="application/cloudevents+json")
                    await channel.reaches("on_llm_stream", 60)
                    assert not await observer.results(), "events are there while the job runs"
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
            numbers = [one["seq"] for one in events]
            assert numbers == sorted(set(numbers))
            assert {"on_state_update", "on_llm_stream", "on_tool_start", "on_tool_end"} <= set(channel.kinds())
            assert executor.http(f"/jobs/{asked['job_id']}").json()["state"] == "completed"
            logged = [json.loads(line) for line in executor.logs().splitlines() if asked["job_id"] in line]
            lines = [line for line in logged if line.get("job_id") == asked["job_id"]]
            assert {line["trace_id"] for line in lines} == {asked["trace_id"]}
            (ended,) = (line for line in lines if line["event"] == "job: ended")
            assert ended["otel_span_id"] == agent["span_id"]
            assert {line["otel_trace_id"] for line in lines if "otel_trace_id" in line} == {TRACE}
            metrics = executor.http("/metrics").text
            assert 'agent_executor_jobs_total{status="completed"} 1.0' in metrics


async def test_scripts_that_mean_harm_are_refused_inside_a_pod_too(pods: Cluster, timed: Timed) -> None:
    """Restricted Pod Security, a user without a name, no user namespaces: what is left are the walls of the service."""
    # Of one call each, and without anything that only a driver beside them could have prepared.
    tried = [each for each in TOOLS if each.answer == REFUSED and not re.search("SECRET_FILE|OPEN_SOCKET", each.body)]
    names = {f"tool-{number}": each for number, each in enumerate(tried)}
    turns = [{"tool_calls": [{"name": name, "args": {"victim": "1"}}]} for name in names]
    definition = plan(*turns, turn(text="tried"), scripts={name: each.script for name, each in names.items()})
    with executors.namespace(pods.api) as where, executors.running(pods, where) as executor:
        async with watching(executor.environment) as observer:
            asked = job(definition)
            async with observer.channel(asked["job_id"]) as channel:
                with timed(f"{len(tried)} hostile scripts, one after the other"):
                    await observer.publish(asked)
                    result = await observer.result(asked["job_id"], 300)
                events = await channel.complete()
            assert result["type"] == "dev.my-platform.agent.completed", result["data"]
            said = {one["data"]["name"]: one["data"]["output"] for one in events if one["event_type"] == "on_tool_end"}
            for name, each in names.items():
                assert re.search(each.answer, said[name]), (each.name, said[name])
                assert "PWNED" not in said[name], each.name
            lines = [json.loads(line) for line in executor.logs().splitlines() if "sandbox: weaker" in line]
            assert {line["gap"] for line in lines} <= set(sandbox.report()), "the pod lacks what this machine has"
            assert not any("root" in line["gap"] for line in lines)


async def test_executors_and_tenants_do_not_see_each_others_jobs(pods: Cluster, timed: Timed) -> None:
    """Two claims of one namespace, and the second tenant of examples/gitops in its own.

    The servers are shared. Streams, consumer, subjects and schema are each one's own, and what is asserted here is in
    them. Live events are not: their channels in Dragonfly have the job's id and nothing of its tenant, so whoever knows
    an id can read along. The ids here differ, as those of any two jobs should.
    """
    with (
        executors.namespace(pods.api) as first,
        executors.running(pods, first) as one,
        executors.running(
            pods,
            first,
            "other",
            postgresConnectionSecret="other-postgres",
            dragonflyConnectionSecret="other-dragonfly",
            llmKeysSecret="other-llm-keys",
        ) as other,
        research(pods) as tenant,
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


@contextmanager
def research(one: Cluster) -> Iterator[Executor]:
    """The second tenant of examples/gitops: namespace, store, parameters, and its claim with the scripted model."""
    claim = yaml.safe_load((RESEARCH / "agent-executor-claim.yaml").read_text())
    where, spec = claim["metadata"]["namespace"], claim["spec"]
    assert spec["nats"] == executors.streams_of("research"), "which is what is watched"
    files = [RESEARCH / name for name in (f"namespace-{where}.yaml", "cluster-secret-store.yaml")]
    one.api.apply(*files)
    one.lab.parameters.put(cluster.SEED, spec["externalSecrets"]["parameterPrefix"])
    try:
        with executors.applied(one, {**claim, "spec": {**spec, "env": executors.SCRIPTED}}, "research") as executor:
            yield executor
    finally:
        one.api.kubectl("delete", "--timeout=180s", *(f"--filename={file}" for file in files))


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
