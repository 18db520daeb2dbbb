"""The pages of docs/how-to that move a platform: to the namespaced model, and from a patch-and-transform Composition.

What the pages say is done here, step by step: who changes one changes the other.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import executors
from tests.e2e.composed import COMPOSED, NAME, applied, identities
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster, crossplane
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.patched import OLD
from tests.e2e.lab.processes import until
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900), pytest.mark.xdist_group("moves")]
DEFINITION, COMPOSITION = "xagentexecutors.platform.bizmatters.io", "agent-executor-composition"
NAMESPACED = "agentexecutors.platform.bizmatters.io"
KEPT = {"name": "KEPT", "value": "yes"}
REMOVED = {"name": "REMOVED_LATER", "value": "yes"}


@pytest.fixture(scope="module")
def moved() -> Iterator[Lab]:
    """A control plane of its own, because what a cluster's API is changes."""
    with cluster.platform("claim", "moves") as lab:
        yield lab


@pytest.fixture
def claims(moved: Lab) -> Iterator[Lab]:
    """The same with the claim model, which a test may replace."""
    cluster.install(moved)
    moved.api.until(
        "CompositeResourceDefinition", DEFINITION, "", lambda seen: is_true(seen, "Established", "Offered"), "offered"
    )
    yield moved
    for definition in (DEFINITION, NAMESPACED):
        removed(moved, definition)


def removed(lab: Lab, definition: str) -> None:
    """Delete an API and its Composition, and see them gone, as the page says."""
    for kind, name in (("CompositeResourceDefinition", definition), ("Composition", COMPOSITION)):
        lab.api.delete(kind, name)
        lab.api.until(kind, name, "", lambda seen: seen is None, "gone")


def replaced(lab: Lab) -> None:
    """Put the namespaced API in the place of one that is gone."""
    lab.api.apply(ROOT / "apis" / "namespaced" / "definition.yaml")
    cluster.established(lab, NAMESPACED)
    lab.api.apply(ROOT / "apis" / "namespaced" / "composition.yaml")


def variables(deployment: Any) -> set[str]:
    """The names of the executor's environment."""
    return {entry["name"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def owners(lab: Lab, where: str) -> set[str]:
    """The kinds that own what was composed, and no owner at all as an empty name."""
    kinds = sorted({kind for kind, _ in identities(lab, where)} - {"Secret"})
    found = [one for kind in kinds for one in lab.api.list(kind, where) if one["metadata"]["name"].startswith(NAME)]
    return {(one["metadata"].get("ownerReferences") or [{"kind": ""}])[0]["kind"] for one in found}


def test_with_a_pause_the_same_yaml_makes_the_same_objects_again(claims: Lab, timed: Timed) -> None:
    with executors.namespace(claims.api) as where, timed("claims, API and the same YAML again"):
        applied(claims, where)
        before = identities(claims, where)
        claims.api.delete("AgentExecutor", NAME, where)
        for kind in ("AgentExecutor", *COMPOSED):
            claims.api.until_none(kind, where, "", NAME)
        removed(claims, DEFINITION)
        replaced(claims)
        applied(claims, where)
        assert identities(claims, where).keys() == before.keys()
        assert owners(claims, where) == {"AgentExecutor"}


def test_without_a_pause_nothing_that_runs_is_touched(claims: Lab, timed: Timed) -> None:
    kubectl = claims.api.kubectl
    with executors.namespace(claims.api) as where, timed("Crossplane stopped to the composite being synced"):
        applied(claims, where, env=[KEPT, REMOVED])
        composite = claims.api.get("AgentExecutor", NAME, where)["spec"]["resourceRef"]["name"]
        before = identities(claims, where)
        claims.crossplane.core.stop()

        forget = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')
        kubectl("patch", "agentexecutor", NAME, "--namespace", where, *forget)
        kubectl("delete", "agentexecutor", NAME, "--namespace", where)
        kubectl("patch", "xagentexecutor", composite, *forget)
        kubectl("delete", "xagentexecutor", composite, "--cascade=orphan")
        until(lambda: owners(claims, where) == {""}, "no object has an owner", 60)
        for kind, name in before:
            if kind != "Secret":
                clear = ("--type=merge", '--patch={"metadata":{"managedFields":[{}]}}')
                kubectl("patch", kind, name, "--namespace", where, *clear)
        claims.crossplane.core.start()
        removed(claims, DEFINITION)
        replaced(claims)
        claims.api.apply(cluster.claim(NAME, where, env=[KEPT, REMOVED]))
        claims.api.until(
            "AgentExecutor", NAME, where, lambda seen: is_true(seen, "Synced", "SecretsReady"), "synced", 120
        )
        assert owners(claims, where) == {"AgentExecutor"}
        assert identities(claims, where) == before

        claims.api.apply(cluster.claim(NAME, where, env=[KEPT]))
        claims.api.until(
            "Deployment", NAME, where, lambda seen: "REMOVED_LATER" not in variables(seen), "one variable less"
        )
        assert "KEPT" in variables(claims.api.get("Deployment", NAME, where))
        uid, generation = before["Deployment", NAME]
        assert identities(claims, where) == before | {("Deployment", NAME): (uid, generation + 1)}


RESOURCE_NAME = "crossplane.io/composition-resource-name"


def test_from_templates_the_pods_are_replaced_by_one_rollout(claims: Lab, timed: Timed) -> None:
    kubectl, function = claims.api.kubectl, claims.function
    assert function is not None
    function.stop()
    templates = crossplane.start_patched(claims.plane)
    with executors.namespace(claims.api) as where, timed("paused to rolled out"):
        applied(claims, where)
        composite = claims.api.get("AgentExecutor", NAME, where)["spec"]["resourceRef"]["name"]
        before = identities(claims, where)
        kubectl("annotate", "xagentexecutor", composite, "crossplane.io/paused=true")
        claims.api.until(
            "XAgentExecutor",
            composite,
            "",
            lambda seen: condition(seen, "Synced").get("reason") == "ReconcilePaused",
            "paused",
        )
        names = {old: name for name, old in OLD.items()}
        for kind, name in before:
            if kind != "Secret":
                old = claims.api.get(kind, name, where)["metadata"]["annotations"][RESOURCE_NAME]
                kubectl("annotate", kind, name, "--namespace", where, "--overwrite", f"{RESOURCE_NAME}={names[old]}")
        templates.stop()
        function.start()
        kubectl("annotate", "xagentexecutor", composite, "crossplane.io/paused-")
        claims.api.until("Deployment", NAME, where, lambda seen: seen["metadata"]["generation"] > 1, "a rollout", 120)
        claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "Synced", "SpecValid"), "synced")
        uid, generation = before["Deployment", NAME]
        assert identities(claims, where) == before | {("Deployment", NAME): (uid, generation + 1)}
