"""Missing permissions are said clearly, and a deleted claim leaves nothing behind."""

from typing import Any

import pytest
import yaml

from tests.e2e.composed import COMPOSED, LEFT_BY_THEM, NAME, applied
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]
FORBIDDEN = ("ExternalSecret", "ScaledObject", "NetworkPolicy")  # without the platform tree's ClusterRole


def is_bound(seen: Any) -> bool:
    """Whether a claim has its composite."""
    return "resourceRef" in (seen or {}).get("spec", {})


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
