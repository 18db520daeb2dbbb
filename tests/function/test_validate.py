"""Each of the checks that rendered objects go through catches the fault that it is there for."""

import copy
from typing import Any

import kubernetes_validate
import pytest

from tests.support import validate

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"app": "a"}},
    "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "a",
                    "env": [{"name": "A", "value": "1"}],
                    "ports": [{"containerPort": 8080}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        },
    },
}  # fmt: skip
SCALED_OBJECT = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "a"},
    "spec": {"scaleTargetRef": {"name": "a"}, "triggers": [{"type": "cron", "metadata": {"timezone": "UTC"}}]},
}
EXTERNAL_SECRET = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "ExternalSecret",
    "metadata": {"name": "a"},
    "spec": {
        "secretStoreRef": {"name": "a", "kind": "SecretStore"},
        "target": {"name": "a", "creationPolicy": "Owner"},
        "data": [{"secretKey": "A", "remoteRef": {"key": "/a"}}],
    },
}
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"


def planted(manifest: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with one value set."""
    faulty = copy.deepcopy(manifest)
    place: Any = faulty
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return faulty


IN_POD = ("spec", "template", "spec")
IN_CONTAINER = (*IN_POD, "containers", 0)
FAULTS = {
    "an unknown field": (DEPLOYMENT, (*IN_POD, "hostNetwrk"), True, f"{POD}: Additional properties"),
    "a misplaced field": (DEPLOYMENT, ("spec", "containers"), [], "spec: Additional properties"),
    "a wrong type": (
        DEPLOYMENT,
        (*IN_CONTAINER, "ports", 0, "containerPort"),
        "8080",
        f"{CONTAINER}.ports[0].containerPort: ",
    ),
    "a null": (DEPLOYMENT, (*IN_CONTAINER, "env", 0, "value"), None, f"{CONTAINER}.env[0].value: is null"),
    "two entries under one key": (
        DEPLOYMENT,
        (*IN_CONTAINER, "env"),
        [{"name": "A"}, {"name": "A"}],
        f"{CONTAINER}.env: two entries with the key ('A',)",
    ),
    "a missing field": (DEPLOYMENT, IN_POD, {}, f"{POD}: 'containers' is a required property"),
    "an unknown field of a custom resource": (SCALED_OBJECT, ("spec", "minReplicas"), 1, "spec: Additional properties"),
    "an unknown field deep in a custom resource": (
        EXTERNAL_SECRET,
        ("spec", "data", 0, "remoteRef", "name"),
        "/a",
        "spec.data[0].remoteRef: Additional properties",
    ),
    "a number where a custom resource wants text": (
        SCALED_OBJECT,
        ("spec", "triggers", 0, "metadata", "lagThreshold"),
        5,
        "spec.triggers[0].metadata.lagThreshold: ",
    ),
    "a word that a custom resource does not know": (
        EXTERNAL_SECRET,
        ("spec", "target", "creationPolicy"),
        "Owned",
        "spec.target.creationPolicy: 'Owned' is not one of",
    ),
    "a missing field of a custom resource": (
        EXTERNAL_SECRET,
        ("spec", "data", 0, "remoteRef"),
        {},
        "spec.data[0].remoteRef: 'key' is a required property",
    ),
    "a null in a custom resource": (SCALED_OBJECT, ("spec", "cooldownPeriod"), None, "spec.cooldownPeriod: is null"),
    "an unknown field of a custom resource's metadata": (
        SCALED_OBJECT,
        ("metadata", "label"),
        {},
        "metadata: Additional properties",
    ),
}


@pytest.mark.parametrize("manifest", [DEPLOYMENT, SCALED_OBJECT, EXTERNAL_SECRET], ids=lambda m: m["kind"])
def test_a_good_manifest_has_no_faults(manifest):
    assert validate.faults(manifest) == []


@pytest.mark.parametrize(("manifest", "path", "value", "says"), FAULTS.values(), ids=FAULTS)
def test_the_schemas_catch(manifest, path, value, says):
    found = validate.faults(planted(manifest, path, value))
    assert any(fault.startswith(f"{manifest['kind']}/a: {says}") for fault in found), found


@pytest.mark.parametrize("release", validate.RELEASES)
def test_the_cached_schemas_are_those_of_kubernetes_validate(release):
    assert kubernetes_validate.validate(DEPLOYMENT, release, strict=True) == release
    with pytest.raises(kubernetes_validate.ValidationError, match="hostNetwrk"):
        kubernetes_validate.validate(planted(DEPLOYMENT, (*IN_POD, "hostNetwrk"), True), release, strict=True)
    assert validate.faults(planted(DEPLOYMENT, (*IN_POD, "hostNetwrk"), True), [release]) != []


INSECURE = {
    "root": (("securityContext", "runAsNonRoot"), False, "runAsNonRoot"),
    "user 0": (("securityContext", "runAsUser"), 0, "runAsUser=0"),
    "no seccomp profile": (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
    "the host's network": (("hostNetwork",), True, "host namespaces"),
    "a path of the host": (("volumes",), [{"name": "a", "hostPath": {"path": "/"}}], "hostPath"),
    "privilege escalation": (
        ("containers", 0, "securityContext", "allowPrivilegeEscalation"),
        True,
        "allowPrivilegeEscalation",
    ),
    "a capability": (
        ("containers", 0, "securityContext", "capabilities", "add"),
        ["NET_ADMIN"],
        "unrestricted capabilities",
    ),
    "a privileged container": (("containers", 0, "securityContext", "privileged"), True, "privileged"),
    "an init container with less": (("initContainers",), [{"name": "b"}], 'container "b"'),
}


def test_pod_security_forbids():
    template = DEPLOYMENT["spec"]["template"]
    pods = [template, *(planted(template, ("spec", *path), value) for path, value, _ in INSECURE.values())]
    good, *bad = validate.forbidden(pods)
    assert good == []
    said = dict(zip(INSECURE, map(str, bad), strict=True))
    assert {case: text for case, text in said.items() if INSECURE[case][2] not in text} == {}
