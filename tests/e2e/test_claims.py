"""Claims: good and bad edits, what is shown of them, several in a namespace, and both models."""

import pytest

from tests.e2e import executors
from tests.e2e.composed import COMPOSED, FINE, NAME, applied, identities, meant, workload
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.processes import until

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]


def test_a_bad_edit_is_refused_where_it_can_be_and_the_deployment_is_untouched(
    claims: Lab, where: str, timed: Timed
) -> None:
    applied(claims, where)
    before = identities(claims, where)
    by_schema = claims.api.apply(cluster.claim(NAME, where, size="enormous"), check=False)
    assert "spec.size" in by_schema
    assert "Unsupported value" in by_schema
    outside = {"parameterPrefix": "/somebody/else"}
    with timed("bad edit to the field's path on the claim"):
        claims.api.apply(cluster.claim(NAME, where, externalSecrets=outside))
        claim = claims.api.until(
            "AgentExecutor", NAME, where, lambda seen: condition(seen, "SpecValid").get("status") == "False", "refused"
        )
    assert "spec.externalSecrets.parameterPrefix" in condition(claim, "SpecValid")["message"]
    assert identities(claims, where) == before
    with timed("reverted to valid"):
        claims.api.apply(cluster.claim(NAME, where))
        claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "SpecValid", "Synced"), "valid")
    assert identities(claims, where) == before


def test_an_edit_to_large_gives_the_container_what_the_seeds_table_has_for_it(claims: Lab, where: str) -> None:
    """Asserted where no pod runs: the node of the lab with pods has no room for one of this size."""
    applied(claims, where)
    before = claims.api.get("Deployment", NAME, where)["metadata"]["generation"]
    claims.api.patch("AgentExecutor", NAME, where, {"spec": {"size": "large"}})
    grown = claims.api.until(
        "Deployment", NAME, where, lambda seen: seen["metadata"]["generation"] > before, "another generation"
    )
    (container,) = grown["spec"]["template"]["spec"]["containers"]
    # 1000m and 4000m, as Kubernetes writes them.
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"cpu": "4", "memory": "8Gi"},
    }


def test_the_columns_and_fields_are_those_of_the_api(claims: Lab, where: str) -> None:
    applied(claims, where)
    columns, values = claims.api.kubectl("get", "agentexecutors", "-n", where).splitlines()
    assert {"NAME", "READY", "SYNCED", "SIZE", "IMAGE", "REPLICAS", "AGE"} <= set(columns.split())
    assert values.split()[:4] == [NAME, "medium", "ghcr.io/arun4infra/agent-executor:v1.0.0", "0"]
    assert "lagThreshold" in claims.api.kubectl("explain", "agentexecutor.spec.scaling")


def test_two_claims_of_a_namespace_have_streams_and_schemas_of_their_own(claims: Lab, where: str) -> None:
    applied(claims, where)
    applied(
        claims,
        where,
        "other",
        postgresConnectionSecret="other-postgres",
        dragonflyConnectionSecret="other-dragonfly",
        llmKeysSecret="other-llm-keys",
        nats=executors.streams_of("other"),
        postgresSchema="other",
    )
    own = ("NATS_STREAM", "NATS_CONSUMER", "NATS_SUBJECT_PREFIX", "NATS_STATUS_STREAM", "NATS_DEAD_LETTER_STREAM")
    one, other = (
        {
            entry["name"]: entry.get("value")
            for entry in claims.api.get("Deployment", name, where)["spec"]["template"]["spec"]["containers"][0]["env"]
            if entry["name"] in (*own, "POSTGRES_SCHEMA")
        }
        for name in (NAME, "other")
    )
    assert one.keys() == other.keys() == {*own, "POSTGRES_SCHEMA"}
    assert not set(one.values()) & set(other.values())


def test_the_same_yaml_composes_the_same_on_both_models(claims: Lab, namespaced: Lab, where: str, timed: Timed) -> None:
    with executors.namespace(namespaced.api) as there, timed("the same claim on both clusters"):
        for lab, space in ((claims, where), (namespaced, there)):
            applied(lab, space, scaling={"minReplicas": 2})  # so that there is a PodDisruptionBudget
        for kind in COMPOSED:
            one = meant(claims, kind, where)
            assert one, kind
            assert one == meant(namespaced, kind, there)
        namespaced.api.delete("AgentExecutor", NAME, there)
        for kind in COMPOSED:
            namespaced.api.until_none(kind, there, "", NAME)


def test_a_claim_is_at_its_work_while_pods_are_added(claims: Lab, where: str) -> None:
    """Without a node the pods have the status that is written here, and the scaler's number of them is set by hand."""
    applied(claims, where)
    (pod,) = until(lambda: claims.api.list("Pod", where, f"app={NAME}"), "a pod", 60)
    claims.api.patch("Pod", pod["metadata"]["name"], where, {"status": FINE}, "status")
    claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "WorkloadAvailable"), "one pod")
    claims.api.patch("Deployment", NAME, where, {"spec": {"replicas": 3}})
    unavailable = claims.api.until(
        "Deployment", NAME, where, lambda seen: condition(seen, "Available").get("status") == "False", "unavailable"
    )
    assert condition(unavailable, "Progressing")["reason"] == "NewReplicaSetAvailable"
    after = claims.api.until(
        "AgentExecutor", NAME, where, lambda seen: workload(seen) == "1 of 3 replicas ready", "what is added"
    )
    found = condition(after, "WorkloadAvailable")
    assert (found["status"], found["reason"]) == ("True", "Available")
