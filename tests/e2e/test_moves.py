"""The pages of docs/how-to that move a platform: to the namespaced model, and from a patch-and-transform Composition.

Each test walks a page's steps: change both together.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e import executors
from tests.e2e.composed import COMPOSED, NAME, applied, identities
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster, crossplane
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.patched import OLD
from tests.e2e.lab.processes import Process, until
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("moves")]
DEFINITION, COMPOSITION = "xagentexecutors.platform.bizmatters.io", "agent-executor-composition"
NAMESPACED = "agentexecutors.platform.bizmatters.io"
RESOURCE_NAME = "crossplane.io/composition-resource-name"
KEPT, REMOVED = {"name": "KEPT", "value": "yes"}, {"name": "REMOVED_LATER", "value": "yes"}
FORGET = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')
CLEAR = ("--type=merge", '--patch={"metadata":{"managedFields":[{}]}}')


@pytest.fixture(scope="module")
def moved() -> Iterator[Lab]:
    """A control plane of its own, because these tests replace the cluster's API."""
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


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[None]:
    """A process that does not run inside the block; one that was started there again is left alone."""
    process.stop()
    try:
        yield
    finally:
        if process.running is None:
            process.start()


@contextlib.contextmanager
def running(process: Process) -> Iterator[None]:
    """A process that is ended with the block."""
    try:
        yield
    finally:
        process.stop()


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


def composite_of(lab: Lab, where: str) -> str:
    """The name of the claim's composite."""
    return str(lab.api.get("AgentExecutor", NAME, where)["spec"]["resourceRef"]["name"])


def variables(deployment: Any) -> set[str]:
    """The names of the executor's environment."""
    return {entry["name"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def own(lab: Lab, where: str) -> list[tuple[str, str]]:
    """Kind and name of what the composite applied itself: External Secrets makes the Secrets."""
    return [(kind, name) for kind, name in identities(lab, where) if kind != "Secret"]


def owners(lab: Lab, where: str) -> set[str]:
    """The kinds that own these objects; '' stands for no owner."""
    found = [lab.api.get(kind, name, where) for kind, name in own(lab, where)]
    return {(one["metadata"].get("ownerReferences") or [{"kind": ""}])[0]["kind"] for one in found}


def test_with_a_pause_the_same_yaml_makes_the_same_objects_again(claims: Lab, timed: Timed) -> None:
    with executors.namespace(claims.api) as where, timed("claims, API and the same YAML again"):
        applied(claims, where)
        before = identities(claims, where)
        claims.api.delete("AgentExecutor", NAME, where)
        claims.api.until_none("XAgentExecutor", "", "", NAME)
        for kind in ("AgentExecutor", *COMPOSED):
            claims.api.until_none(kind, where, "", NAME)
        removed(claims, DEFINITION)
        replaced(claims)
        applied(claims, where)
        assert identities(claims, where).keys() == before.keys()
        assert owners(claims, where) == {"AgentExecutor"}


def test_without_a_pause_nothing_that_runs_is_touched(claims: Lab, timed: Timed) -> None:
    kubectl, core = claims.api.kubectl, claims.crossplane.core
    with executors.namespace(claims.api) as where, timed("Crossplane stopped to the composite being synced"):
        applied(claims, where, env=[KEPT, REMOVED])
        composite, before = composite_of(claims, where), identities(claims, where)
        with stopped(core):
            kubectl("patch", "agentexecutor", NAME, "--namespace", where, *FORGET)
            kubectl("delete", "agentexecutor", NAME, "--namespace", where)
            kubectl("patch", "xagentexecutor", composite, *FORGET)
            kubectl("delete", "xagentexecutor", composite, "--cascade=orphan")
            until(lambda: owners(claims, where) == {""}, "no object has an owner", 60)
            for kind, name in own(claims, where):
                kubectl("patch", kind, name, "--namespace", where, *CLEAR)
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


def test_from_templates_the_pods_are_replaced_by_one_rollout(claims: Lab, timed: Timed) -> None:
    api, function = claims.api, claims.function
    assert function is not None
    (file,) = (cluster.APIS / "compositions").glob("*.yaml")
    templates = yaml.safe_load(file.read_text())
    templates["spec"]["pipeline"][0]["step"] = "patch-and-transform"
    with executors.namespace(api) as where, timed("paused to rolled out"):
        with stopped(function), running(crossplane.start_patched(claims.plane)):
            api.apply(templates)
            applied(claims, where)
            composite = composite_of(claims, where)
            api.kubectl("annotate", "xagentexecutor", composite, "crossplane.io/paused=true")
            until_synced(claims, composite, "ReconcilePaused")
            for kind, name in own(claims, where):
                old = api.get(kind, name, where)["metadata"]["annotations"][RESOURCE_NAME]
                (new,) = (one for one, theirs in OLD.items() if theirs == old)
                api.kubectl("annotate", kind, name, "--namespace", where, "--overwrite", f"{RESOURCE_NAME}={new}")
            before = identities(claims, where)  # an annotation counts as a generation of a Deployment
        api.apply(cluster.APIS / "definitions", cluster.APIS / "compositions")
        api.kubectl("annotate", "xagentexecutor", composite, "crossplane.io/paused-")
        until_synced(claims, composite, "ReconcileSuccess")
        uid, generation = before["Deployment", NAME]
        api.until("Deployment", NAME, where, lambda seen: seen["metadata"]["generation"] > generation, "a rollout")
        assert identities(claims, where) == before | {("Deployment", NAME): (uid, generation + 1)}


def test_the_api_as_a_package_takes_the_place_of_the_trees_own(claims: Lab, timed: Timed) -> None:
    """As `variants/configuration-package` says: instead of definitions/ and compositions/, with the same function."""
    package = ROOT / "examples" / "gitops" / "variants" / "configuration-package" / "configuration.yaml"
    name = yaml.safe_load(package.read_text())["metadata"]["name"]
    removed(claims, DEFINITION)
    with executors.namespace(claims.api) as where, timed("package applied to the claim's Secrets"):
        claims.api.apply(package)
        try:
            claims.api.until("Configuration", name, "", lambda seen: is_true(seen, "Installed", "Healthy"), "healthy")
            cluster.established(claims, DEFINITION)
            applied(claims, where)
            claims.api.delete("AgentExecutor", NAME, where)
            claims.api.until_none("XAgentExecutor", "", "", NAME)
        finally:
            claims.api.delete("Configuration", name)
            claims.api.until("Configuration", name, "", lambda seen: seen is None, "gone")
    functions = [one["metadata"]["name"] for one in claims.api.list("Function")]
    assert functions == [crossplane.FUNCTION]  # the dependency was found, and not installed a second time


def until_synced(lab: Lab, composite: str, reason: str) -> None:
    """Return once a composite gives this reason for being Synced or not."""
    lab.api.until(
        "XAgentExecutor", composite, "", lambda seen: condition(seen, "Synced").get("reason") == reason, reason
    )
