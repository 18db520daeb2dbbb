"""What can be seen without pods: secrets, refusals, self-healing, both models, permissions and a clean end."""

import signal
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e import executors
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster, parameters
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900), pytest.mark.xdist_group("claims")]
NAME = executors.NAME
COMPOSED = ("Deployment", "Service", "ServiceAccount", "ScaledObject", "NetworkPolicy", "ExternalSecret", "Secret")
COMPOSED += ("PodDisruptionBudget",)
FORBIDDEN = ("ExternalSecret", "ScaledObject", "NetworkPolicy")  # without the platform tree's ClusterRole
POSTGRES = {
    f"POSTGRES_{key.upper()}": cluster.SEED[f"postgres/{key}"] for key in ("host", "port", "db", "user", "password")
}
DRAGONFLY = {f"DRAGONFLY_{key.upper()}": cluster.SEED[f"dragonfly/{key}"] for key in ("host", "port", "password")}
LLM = {"OPENAI_API_KEY": cluster.SEED["openai_api_key"], "ANTHROPIC_API_KEY": cluster.SEED["anthropic_api_key"]}


@pytest.fixture
def where(claims: Lab) -> Iterator[str]:
    """A namespace of the test's own on the claim model's cluster."""
    with executors.namespace(claims.api) as name:
        yield name


def applied(lab: Lab, where: str, name: str = NAME, **spec: Any) -> Any:
    """The claim, once it is Synced, its Secrets are there and its Deployment is made."""
    lab.api.apply(cluster.claim(name, where, **spec))
    lab.api.until("Deployment", name, where, lambda seen: seen is not None, "made")
    return lab.api.until("AgentExecutor", name, where, lambda seen: is_true(seen, "Synced", "SecretsReady"), "Secrets")


def secret(lab: Lab, name: str, where: str) -> dict[str, str]:
    """What a Secret holds."""
    return {key: b64decode(value).decode() for key, value in lab.api.get("Secret", name, where)["data"].items()}


def identities(lab: Lab, where: str) -> dict[tuple[str, str], tuple[str, int]]:
    """Each composed object's uid and generation: they change when it is made again, or when its spec is."""
    found = [(kind, one["metadata"]) for kind in COMPOSED for one in lab.api.list(kind, where)]
    return {
        (kind, metadata["name"]): (metadata["uid"], metadata.get("generation", 0))
        for kind, metadata in found
        if metadata["name"].startswith(NAME)
    }


def test_the_secrets_hold_what_ssm_holds_and_nobody_else_says_it(claims: Lab, where: str, timed: Timed) -> None:
    with timed("claim applied to Secrets synced"):
        claim = applied(claims, where)
    assert secret(claims, "agent-executor-postgres", where) == POSTGRES
    assert secret(claims, "agent-executor-dragonfly", where) == DRAGONFLY
    assert secret(claims, "agent-executor-llm-keys", where) == LLM
    said = f"{claim} {claims.api.list('Event', where)}"
    assert claims.function is not None
    said += claims.function.log.read_text() + claims.crossplane.core.log.read_text()
    assert not [value for value in (POSTGRES["POSTGRES_PASSWORD"], DRAGONFLY["DRAGONFLY_PASSWORD"]) if value in said]


def test_a_missing_parameter_is_named_on_the_claim_and_heals_by_itself(claims: Lab, where: str, timed: Timed) -> None:
    missing = "postgres/password"
    prefix = f"{parameters.PREFIX}/{where}"
    claims.parameters.put({key: value for key, value in cluster.SEED.items() if key != missing}, prefix)
    with timed("claim applied to the name on it"):
        claims.api.apply(
            cluster.claim(NAME, where, externalSecrets={"parameterPrefix": prefix, "refreshInterval": "10s"})
        )
        claim = claims.api.until(
            "AgentExecutor",
            NAME,
            where,
            lambda seen: "agent-executor-postgres" in condition(seen, "SecretsReady").get("message", ""),
            "the missing one named",
        )
    assert condition(claim, "SecretsReady")["status"] == "False"
    assert {one["name"]: one["ready"] for one in claim["status"]["secrets"]}["agent-executor-postgres"] is False
    with timed("parameter put to healed"):
        claims.parameters.put({missing: cluster.SEED[missing]}, prefix)
        claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "SecretsReady"), "healed", 300)


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


def test_a_service_deleted_by_hand_comes_back(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    old = claims.api.get("Service", NAME, where)["metadata"]["uid"]
    with timed("deleted to back"):
        claims.api.delete("Service", NAME, where)
        claims.api.until(
            "Service", NAME, where, lambda seen: seen is not None and seen["metadata"]["uid"] != old, "back", 120
        )


def test_a_function_or_a_crossplane_that_is_killed_changes_nothing(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    before = identities(claims, where)
    assert claims.function is not None
    for process in (claims.function, claims.crossplane.core):
        with timed(f"{process.name} killed to reconciled again"):
            process.stop(signal.SIGKILL)
            # There is something to reconcile while nobody can.
            edited = claims.api.patch("AgentExecutor", NAME, where, {"metadata": {"labels": {"killed": process.name}}})
            assert identities(claims, where) == before
            process.start()
            xr = edited["spec"]["resourceRef"]["name"]
            claims.api.until(
                "XAgentExecutor",
                xr,
                "",
                lambda seen, name=process.name: (
                    seen["metadata"]["labels"].get("killed") == name and is_true(seen, "Synced")
                ),
                "reconciled",
                180,
            )
        assert identities(claims, where) == before


def test_replicas_are_left_to_whoever_scales(claims: Lab, where: str) -> None:
    applied(claims, where)
    claims.api.kubectl("scale", "deployment", NAME, "--replicas=4", "-n", where)
    claims.api.apply(cluster.claim(NAME, where, size="large"))
    grown = claims.api.until(
        "Deployment",
        NAME,
        where,
        lambda seen: seen["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "8Gi",
        "large",
    )
    assert grown["spec"]["replicas"] == 4


def test_the_same_yaml_composes_the_same_on_both_models(claims: Lab, namespaced: Lab, where: str, timed: Timed) -> None:
    with executors.namespace(namespaced.api) as there, timed("the same claim on both clusters"):
        applied(claims, where)
        applied(namespaced, there)
        for kind in ("Deployment", "ServiceAccount", "ScaledObject", "NetworkPolicy", "ExternalSecret"):
            one, other = (
                {
                    found["metadata"]["name"]: yaml.safe_dump(found.get("spec")).replace(space, "NAMESPACE")
                    for found in lab.api.list(kind, space)
                    if found["metadata"]["name"].startswith(NAME)
                }
                for lab, space in ((claims, where), (namespaced, there))
            )
            assert one
            assert one == other
        namespaced.api.delete("AgentExecutor", NAME, there)
        for kind in COMPOSED:
            namespaced.api.until_none(kind, there, "", NAME)


def test_missing_permissions_are_said_clearly_and_heal(claims: Lab, where: str, timed: Timed) -> None:
    role = ROOT / "examples" / "gitops" / "platform" / "04-apis" / "cluster-role.yaml"
    name = yaml.safe_load(role.read_text())["metadata"]["name"]
    claims.api.delete("ClusterRole", name)
    # Kubernetes copies such a role's rules into Crossplane's own, and takes a moment to take them away again.
    claims.api.until("ClusterRole", "crossplane", "", lambda seen: "keda.sh" not in str(seen["rules"]), "taken away")
    try:
        with timed("claim applied to the missing permission on it"):
            claims.api.apply(cluster.claim(NAME, where))

            def forbidden(seen: Any) -> bool:
                xr = claims.api.get("XAgentExecutor", seen["spec"]["resourceRef"]["name"]) if is_bound(seen) else None
                return "forbidden" in condition(xr, "Synced").get("message", "")

            claim = claims.api.until("AgentExecutor", NAME, where, forbidden, "forbidden", 120)
        xr = claims.api.get("XAgentExecutor", claim["spec"]["resourceRef"]["name"])
        message = condition(xr, "Synced")["message"]
        assert any(kind in message for kind in ("externalsecrets", "scaledobjects", "networkpolicies"))
        # Crossplane applies in no order that anybody knows, until it is refused: the rest may be there or not.
        assert not [one for kind in FORBIDDEN for one in claims.api.list(kind, where)]
    finally:
        claims.api.apply(role)
    with timed("permission given to Synced"):
        claims.api.until("ScaledObject", NAME, where, lambda seen: seen is not None, "made", 300)
        xr = claim["spec"]["resourceRef"]["name"]
        claims.api.until("XAgentExecutor", xr, "", lambda seen: is_true(seen, "Synced"), "synced")


def is_bound(seen: Any) -> bool:
    """Whether a claim has its composite."""
    return "resourceRef" in (seen or {}).get("spec", {})


def test_a_deleted_claim_leaves_nothing_but_the_api(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    applied(
        claims,
        where,
        "neighbour",
        postgresConnectionSecret="neighbour-postgres",
        dragonflyConnectionSecret="neighbour-dragonfly",
        llmKeysSecret="neighbour-llm-keys",
    )
    with timed("deleted to nothing left"):
        claims.api.delete("AgentExecutor", NAME, where)
        for kind in (*COMPOSED, "Pod", "ReplicaSet"):
            claims.api.until_none(kind, where, "", NAME)
    assert not [xr for xr in claims.api.list("XAgentExecutor") if xr["metadata"]["name"].startswith(f"{NAME}-")
                and xr["spec"]["claimRef"]["namespace"] == where]  # fmt: skip
    assert claims.api.get("CompositeResourceDefinition", "xagentexecutors.platform.bizmatters.io")
    assert claims.api.get("Composition", "agent-executor-composition")
    assert claims.api.get("Deployment", "neighbour", where)
