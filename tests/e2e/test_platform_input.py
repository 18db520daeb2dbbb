"""What the platform team decides in the Composition's Input takes effect on a running platform, without a rebuild."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import executors
from tests.e2e.composed import FINE, NAME, applied, workload
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster, parameters
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.processes import until
from tests.e2e.settings import EXPLAINED, may_read_pods, platform
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]
FUNCTION = Path(sys.executable).with_name("function-agent-executor")
HASH = "platform.bizmatters.io/postgres-secret-hash"


def template(lab: Lab, where: str) -> Any:
    """The pod template of the composed Deployment."""
    return lab.api.get("Deployment", NAME, where)["spec"]["template"]


def test_a_profile_of_the_input_works_without_a_rebuild(claims: Lab, timed: Timed, tmp_path: Path) -> None:
    profile = {
        "cpu": {"request": "2", "limit": "8"},
        "memory": {"request": "4Gi", "limit": "16Gi"},
        "concurrency": 10,
        "maxReplicas": 20,
    }
    given = {"kind": "AgentExecutorPlatform", "apiVersion": "agentexecutor.fn.bizmatters.io/v1beta1"}
    file = tmp_path / "platform.yaml"
    file.write_text(yaml.safe_dump({**given, "spec": {"profiles": {"xlarge": profile}}}))
    printed = subprocess.run(
        [FUNCTION, "schema", "xrd", "--platform", file], capture_output=True, text=True, check=True
    ).stdout
    with executors.namespace(claims.api) as where, platform(claims, {"profiles": {"xlarge": profile}}):
        try:
            with timed("definition and Input applied to a Deployment of the new size"):
                claims.api.apply(*yaml.safe_load_all(printed))
                until(lambda: is_admitted(claims, where), "the new size is admitted", 60)
                claims.api.until("Deployment", NAME, where, lambda seen: seen is not None, "made")
            (container,) = template(claims, where)["spec"]["containers"]
            assert container["resources"]["limits"] == {"cpu": "8", "memory": "16Gi"}
            scaled = claims.api.until("ScaledObject", NAME, where, lambda seen: seen is not None, "made")
            assert scaled["spec"]["maxReplicaCount"] == profile["maxReplicas"]
            assert scaled["spec"]["triggers"][0]["metadata"]["lagThreshold"] == "10"
        finally:
            claims.api.delete("AgentExecutor", NAME, where)
            claims.api.until("AgentExecutor", NAME, where, lambda seen: seen is None, "gone")
            claims.api.apply(cluster.APIS / "definitions")


def is_admitted(lab: Lab, where: str) -> bool:
    """Whether the API server takes a claim of the new size: it may take a moment to know it."""
    return "serverside-applied" in lab.api.apply(cluster.claim(NAME, where, size="xlarge"), check=False)


def test_a_changed_parameter_becomes_one_rollout_and_a_refresh_none(claims: Lab, timed: Timed) -> None:
    setting = yaml.safe_load((ROOT / "examples" / "platforms" / "rotation.yaml").read_text())["spec"]
    with executors.namespace(claims.api) as where, platform(claims, setting):
        prefix = f"{parameters.PREFIX}/{where}"
        claims.parameters.put(cluster.SEED, prefix)
        source = {"parameterPrefix": prefix, "refreshInterval": "5s"}
        with timed("claim applied to a Deployment that follows its Secrets"):
            applied(claims, where, externalSecrets=source)
            made = claims.api.until(
                "Deployment",
                NAME,
                where,
                lambda seen: HASH in seen["spec"]["template"]["metadata"].get("annotations", {}),
                "the hash is in the template",
            )
        assert made["metadata"]["generation"] == 1  # so its pods were started once
        refreshed(claims, where, 2)
        assert claims.api.get("Deployment", NAME, where)["metadata"]["generation"] == 1
        with timed("parameter changed to rollout begun"):
            claims.parameters.put({"postgres/password": "another-password"}, prefix)
            rolled = claims.api.until(
                "Deployment", NAME, where, lambda seen: seen["metadata"]["generation"] > 1, "a rollout", 180
            )
        before = made["spec"]["template"]["metadata"]["annotations"]
        after = rolled["spec"]["template"]["metadata"]["annotations"]
        assert {name for name in after if after[name] != before.get(name)} == {HASH}
        refreshed(claims, where, 2)
        assert claims.api.get("Deployment", NAME, where)["metadata"]["generation"] == len(("made", "rolled"))
        claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "SecretsReady"), "Secrets")


def refreshed(lab: Lab, where: str, times: int) -> None:
    """Return once External Secrets has looked at the parameters so many times more."""
    for _ in range(times):
        before = lab.api.get("ExternalSecret", "agent-executor-postgres", where)["status"]["refreshTime"]
        lab.api.until(
            "ExternalSecret",
            "agent-executor-postgres",
            where,
            lambda seen, before=before: seen["status"]["refreshTime"] != before,
            "refreshed",
        )


def test_the_trouble_of_pods_is_on_the_claim_once_crossplane_may_read_them(claims: Lab, timed: Timed) -> None:
    """Without a node the pods have the status that is written here, by hand."""
    setting = yaml.safe_load(EXPLAINED.read_text())["spec"]
    with executors.namespace(claims.api) as where, platform(claims, setting):
        claims.api.apply(cluster.claim(NAME, where))
        bound = claims.api.until(
            "AgentExecutor", NAME, where, lambda seen: "resourceRef" in (seen or {}).get("spec", {}), "bound"
        )
        xr = bound["spec"]["resourceRef"]["name"]
        with timed("claim applied to the missing permission on its composite"):
            claims.api.until("XAgentExecutor", xr, "", lambda seen: DENIED in synced(seen), "not permitted", 3 * TRY)
        with timed("permission given to Synced"):
            may_read_pods(claims)
            claims.api.until("XAgentExecutor", xr, "", lambda seen: is_true(seen, "Synced"), "synced", 3 * TRY)
        (pod,) = until(lambda: claims.api.list("Pod", where, f"app={NAME}"), "a pod", 60)
        image = pod["spec"]["containers"][0]["image"]
        with timed("a pod in trouble to the cause on the claim"):
            claims.api.patch("Pod", pod["metadata"]["name"], where, {"status": not_pulled(image)}, "status")
            claim = claims.api.until(
                "AgentExecutor", NAME, where, lambda seen: "ImagePullBackOff" in workload(seen), "the cause"
            )
        assert workload(claim) == f"0 of 1 replicas ready: ImagePullBackOff, {image} (not found)"
        with timed("a pod that is ready to the cause gone"):
            claims.api.patch("Pod", pod["metadata"]["name"], where, {"status": FINE}, "status")
            claims.api.until(
                "AgentExecutor", NAME, where, lambda seen: workload(seen) == "1 of 1 replicas ready", "no cause"
            )


DENIED = "cannot list required resources"
# Seconds that Crossplane tries to read what it may not. What it then writes is refused if the composite has changed
# since the try began, be it by the status of the try before it, and the next try has to say it.
TRY = 120


def not_pulled(image: str) -> dict[str, Any]:
    """The status of a pod whose image is not there."""
    message = (
        f'Back-off pulling image "{image}": ErrImagePull: failed to resolve reference "{image}": {image}: not found'
    )
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    status = {"name": NAME, "image": image, "imageID": "", "ready": False, "restartCount": 0, "state": state}
    # Where there is a scheduler it has said that the pod fits nowhere.
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [status],
    }


def synced(seen: Any) -> str:
    """What a composite says of its last reconcile."""
    return str(condition(seen, "Synced").get("message", ""))
