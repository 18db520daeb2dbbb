"""What Argo CD shows of a claim, by the scripts in its ConfigMap."""

import json
import subprocess
from typing import Any

import pytest

from tests.gitops.test_tree import one
from tools import gobinaries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one on a machine builds the interpreter

CLAIM = "resource.customizations.health.platform.bizmatters.io_AgentExecutor"
COMPOSITE = "resource.customizations.health.platform.bizmatters.io_XAgentExecutor"
APPLICATION = "resource.customizations.health.argoproj.io_Application"
COMPOSITE_OF = {"kind": "XAgentExecutor", "name": "agent-executor-x7k2p"}


def claim(*conditions: str, **spec: Any) -> dict[str, Any]:
    """A claim with conditions, each written as `Type=Status Reason message`."""
    read = [(condition.partition("=")[0], *condition.partition("=")[2].split(" ", 2)) for condition in conditions]
    return {
        "spec": spec,
        "status": {"conditions": [dict(zip(("type", "status", "reason", "message"), c, strict=False)) for c in read]},
    }


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "nobody has seen it": ({"spec": {}}, "Progressing", "Crossplane has not seen it yet"),
    "nobody has said anything": ({"spec": {}, "status": {}}, "Progressing", "Crossplane has not seen it yet"),
    "all is well": (claim("SpecValid=True Valid", "Synced=True X", "Ready=True Available"), "Healthy", ""),
    "a refused edit, while the last good pods run": (
        claim("SpecValid=False InvalidSpec spec.size: what", "Synced=False X y", "Ready=True Available"),
        "Degraded",
        "InvalidSpec: spec.size: what",
    ),
    "a composite of which Crossplane may not apply something": (
        claim("SpecValid=True Valid", "Synced=False ReconcileError forbidden", "Ready=False Creating"),
        "Degraded",
        "ReconcileError: forbidden",
    ),
    "its claim, which does not say so": (
        claim("Synced=True ReconcileSuccess", "Ready=False Waiting for its composite", resourceRef=COMPOSITE_OF),
        "Progressing",
        "Waiting: for its composite; if it stays so, the conditions of XAgentExecutor agent-executor-x7k2p say why",
    ),
    "a parameter is missing": (
        claim("Synced=True X", "Ready=False Creating", "SecretsReady=False ParameterUnreadable check that /a"),
        "Progressing",
        "ParameterUnreadable: check that /a",
    ),
    "a parameter is missing, and there is a composite": (
        claim("Ready=False Waiting", "SecretsReady=False ParameterUnreadable that /a", resourceRef=COMPOSITE_OF),
        "Progressing",
        "ParameterUnreadable: that /a",
    ),
    "a composite without a name yet": (
        claim("Synced=True X", "Ready=False Waiting", resourceRef={"kind": "XAgentExecutor"}),
        "Progressing",
        "Waiting: ",
    ),
    "paused": (
        claim("Synced=True X", "Ready=True Available", paused=True),
        "Suspended",
        "spec.paused is set: no pods, nothing deleted",
    ),
    "Crossplane is at it": (claim("Synced=True X", "Ready=False Creating"), "Progressing", "Creating: "),
    "no word of readiness": (claim("Synced=True X"), "Progressing", "waiting for Crossplane"),
}


def healths(script: str, objects: list[dict[str, Any]]) -> list[tuple[str, str]]:
    lua = gobinaries.build("lua", "agent-executor/tests/lua")
    asked = json.dumps([{"script": one("ConfigMap", "bootstrap/")["data"][script], "object": each} for each in objects])
    done = subprocess.run([lua], input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [(answer["status"], answer["message"]) for answer in json.loads(done.stdout)]


@pytest.mark.parametrize("script", [CLAIM, COMPOSITE])
def test_a_claim_has_the_health_that_its_conditions_say(script: str) -> None:
    found = healths(script, [given for given, _, _ in CASES.values()])
    assert dict(zip(CASES, found, strict=True)) == {
        name: (status, message) for name, (_, status, message) in CASES.items()
    }


def test_an_application_has_the_health_that_argo_cd_gave_it_once_it_is_synced() -> None:
    def application(health: str, sync: str) -> dict[str, Any]:
        return {"status": {"health": {"status": health}, "sync": {"status": sync}}}

    # Argo CD counts nothing for what is not there yet, so an Application is Healthy in the middle of its first sync.
    waiting = ("Progressing", "waiting until it is Synced")
    cases: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"status": {}}, ("Progressing", "")),
        ({"status": {"health": {"status": "Degraded", "message": "a pod"}}}, ("Degraded", "a pod")),
        ({"status": {"health": {"status": "Healthy"}}}, waiting),
        (application("Healthy", "OutOfSync"), waiting),
        (application("Healthy", "Synced"), ("Healthy", "")),
        (application("Progressing", "Synced"), ("Progressing", "")),
        (application("Degraded", "OutOfSync"), ("Degraded", "")),
        (application("Suspended", "OutOfSync"), ("Suspended", "")),
    ]
    assert healths(APPLICATION, [given for given, _ in cases]) == [wanted for _, wanted in cases]
