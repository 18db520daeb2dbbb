"""Missing permissions are said clearly, and a deleted claim leaves nothing behind."""

import re
from typing import Any

import pytest
import yaml

from tests.e2e import executors
from tests.e2e.composed import COMPOSED, LEFT_BY_THEM, NAME, applied
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]
# Without the platform tree's ClusterRole.
FORBIDDEN = ("ExternalSecret", "ScaledObject", "NetworkPolicy", "PodDisruptionBudget")
# The first try wants to apply an object, the next ones ask for it first.
REFUSED = re.compile(
    r'cannot compose resources: .*: (?P<what>[a-z]+)\.(?P<group>[a-z.-]+) "[a-z-]+" is forbidden: '
    r'User "system:serviceaccount:crossplane-system:crossplane" cannot (patch|get) resource "(?P=what)" '
    r'in API group "(?P=group)" in the namespace "(?P<where>[a-z0-9-]+)"'
)
# Seconds: what a try writes is refused if the composite has changed meanwhile, and the next has to say it.
TRY = 120


def is_bound(seen: Any) -> bool:
    """Whether a claim has its composite."""
    return "resourceRef" in (seen or {}).get("spec", {})


def test_missing_permissions_are_said_clearly_and_heal(claims: Lab, where: str, timed: Timed) -> None:
    role = ROOT / "examples" / "gitops" / "platform" / "04-apis" / "cluster-role.yaml"
    given = yaml.safe_load(role.read_text())
    # Crossplane asks its cache for an object before it applies it. Of a kind that it was never allowed to watch, all
    # tries but the first say after two minutes that no informer syncs, and not what is forbidden.
    with executors.namespace(claims.api) as before:
        applied(claims, before)
        claims.api.delete("AgentExecutor", NAME, before)
        claims.api.until("AgentExecutor", NAME, before, lambda seen: seen is None, "gone")
    claims.api.delete("ClusterRole", given["metadata"]["name"])
    # Kubernetes copies such a role's rules into Crossplane's own, and takes a moment to take them away again.
    claims.api.until("ClusterRole", "crossplane", "", lambda seen: "keda.sh" not in str(seen["rules"]), "taken away")
    try:
        with timed("claim applied to the missing permission on its composite"):
            claims.api.apply(cluster.claim(NAME, where))
            claim = claims.api.until("AgentExecutor", NAME, where, is_bound, "bound")
            name = claim["spec"]["resourceRef"]["name"]
            xr = claims.api.until(
                "XAgentExecutor", name, "", lambda seen: "forbidden" in condition(seen, "Synced").get("message", ""),
                "forbidden", 3 * TRY,
            )  # fmt: skip
        said = REFUSED.fullmatch(condition(xr, "Synced")["message"])
        assert said, condition(xr, "Synced")["message"]
        # Crossplane applies in no order that anybody knows, so any of the role's kinds may be the first.
        assert ([said["group"]], [said["what"]]) in [(rule["apiGroups"], rule["resources"]) for rule in given["rules"]]
        assert said["where"] == where
        # The claim itself only says that its composite is not ready: Crossplane keeps the cause there.
        claim = claims.api.until(
            "AgentExecutor", NAME, where, lambda seen: condition(seen, "Ready").get("reason") == "Waiting", "waits"
        )
        assert condition(claim, "Ready")["message"] == "Claim is waiting for composite resource to become Ready"
        assert {one["type"] for one in claim["status"]["conditions"] if one["status"] != "True"} == {"Ready"}
        # What it may apply may be there or not.
        assert not [one for kind in FORBIDDEN for one in claims.api.list(kind, where)]
    finally:
        claims.api.apply(role)
    with timed("permission given to Synced"):
        claims.api.until("ScaledObject", NAME, where, lambda seen: seen is not None, "made", 300)
        claims.api.until("XAgentExecutor", name, "", lambda seen: is_true(seen, "Synced"), "synced")


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
        for kind in (*COMPOSED, *LEFT_BY_THEM):
            claims.api.until_none(kind, where, "", NAME)
    assert not [xr for xr in claims.api.list("XAgentExecutor") if xr["metadata"]["name"].startswith(f"{NAME}-")
                and xr["spec"]["claimRef"]["namespace"] == where]  # fmt: skip
    assert claims.api.get("CompositeResourceDefinition", "xagentexecutors.platform.bizmatters.io")
    assert claims.api.get("Composition", "agent-executor-composition")
    assert claims.api.get("Deployment", "neighbour", where)
