"""A manifest's type is its official schema, so the type checker finds what the API server would refuse."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import generate

ROOT = Path(__file__).parents[2]

HEAD = """\
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from function.schemas.core import Container
    from function.schemas.deployment import Deployment
    from function.schemas.external_secret import ExternalSecret
    from function.schemas.network_policy import NetworkPolicy
    from function.schemas.scaled_object import ScaledObject
    from function.schemas.service_account import ServiceAccount
"""

DEPLOYMENT = """\
def render() -> Deployment:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {
                    "serviceAccountName": "a",
                    "containers": [{"name": "a", "ports": [{"containerPort": 8080}]}],
                },
            },
        },
    }
"""
SCALED_OBJECT = """\
def render() -> ScaledObject:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "a"},
        "spec": {
            "scaleTargetRef": {"name": "a"},
            "triggers": [{"type": "nats-jetstream", "metadata": {"lagThreshold": "5"}}],
        },
    }
"""
EXTERNAL_SECRET = """\
def render() -> ExternalSecret:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "a"},
        "spec": {
            "secretStoreRef": {"name": "a", "kind": "ClusterSecretStore"},
            "target": {"creationPolicy": "Owner"},
            "data": [{"secretKey": "a", "remoteRef": {"key": "/a"}}],
        },
    }
"""
NETWORK_POLICY = """\
def render() -> NetworkPolicy:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}]},
    }
"""
SERVICE_ACCOUNT = """\
def render() -> ServiceAccount:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
"""

GOOD = {
    "a whole Deployment": DEPLOYMENT,
    "a whole ScaledObject": SCALED_OBJECT,
    "a whole ExternalSecret": EXTERNAL_SECRET,
    "a key that is a Python keyword": NETWORK_POLICY,
    "a kind without a spec": SERVICE_ACCOUNT,
    "a part by itself": 'def render() -> Container:\n    return {"name": "a"}\n',
}

BAD = {  # a fault: what is written instead of what, and what the type checker says
    "a misspelt key": (
        DEPLOYMENT,
        ('"serviceAccountName": "a"', '"serviceAcountName": "a"'),
        'Extra key "serviceAcountName" for TypedDict "PodSpec"',
    ),
    "a key one level too high": (
        DEPLOYMENT,
        ('"selector": {"matchLabels": {"app": "a"}},', '"selector": {"matchLabels": {"app": "a"}}, "containers": [],'),
        'Extra key "containers" for TypedDict "DeploymentSpec"',
    ),
    "a missing required key": (
        DEPLOYMENT,
        ('"selector": {"matchLabels": {"app": "a"}},', ""),
        'Missing key "selector" for TypedDict "DeploymentSpec"',
    ),
    "a wrong type": (DEPLOYMENT, ("8080", '"8080"'), 'TypedDict item "containerPort" has type "int"'),
    "a status, which is the cluster's": (
        DEPLOYMENT,
        ('"kind": "Deployment",', '"kind": "Deployment", "status": {},'),
        'Extra key "status" for TypedDict "Deployment"',
    ),
    "another kind": (DEPLOYMENT, ('"kind": "Deployment"', '"kind": "StatefulSet"'), 'TypedDict item "kind"'),
    "a version no longer served": (
        EXTERNAL_SECRET,
        ("external-secrets.io/v1", "external-secrets.io/v1beta1"),
        'TypedDict item "apiVersion"',
    ),
    "a word that is none of the allowed": (EXTERNAL_SECRET, ('"Owner"', '"Owned"'), 'TypedDict item "creationPolicy"'),
    "a number where a custom resource wants text": (SCALED_OBJECT, ('"5"', "5"), 'expected "str"'),
    "a misspelt key of a custom resource": (
        SCALED_OBJECT,
        ('"scaleTargetRef"', '"scaleTargetReference"'),
        'Missing key "scaleTargetRef" for TypedDict "ScaledObjectSpec"',
    ),
    "a peer instead of a list of peers": (
        NETWORK_POLICY,
        ('"from": [{"podSelector": {}}]', '"from": {"podSelector": {}}'),
        'TypedDict item "from"',
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, str]:
    """What mypy says of each case: one run over one module for each."""
    folder = tmp_path_factory.mktemp("manifests")
    modules = {case: HEAD + text for case, text in GOOD.items()}
    for case, (text, (old, new), _) in BAD.items():
        assert text.count(old) == 1, f"{case}: the fault is planted once"
        modules[case] = HEAD + text.replace(old, new)
    names = {case: f"case_{n}.py" for n, case in enumerate(modules)}
    for case, text in modules.items():
        (folder / names[case]).write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={folder / 'cache'}"]
    # The package under test is on the path, so its own files are not checked again here.
    run = subprocess.run(
        [*command, *names.values()],
        cwd=folder,
        env={"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in {0, 1}, run.stderr
    lines = run.stdout.splitlines()
    return {case: "\n".join(line for line in lines if line.startswith(f"{name}:")) for case, name in names.items()}


@pytest.mark.parametrize("case", GOOD)
def test_the_type_checker_accepts(said, case):
    assert said[case] == ""


@pytest.mark.parametrize(("case", "expected"), [(case, expected) for case, (*_, expected) in BAD.items()], ids=BAD)
def test_the_type_checker_refuses(said, case, expected):
    assert expected in said[case]


def test_the_types_cost_nothing_at_run_time():
    loads = "import sys, function.resources; sys.exit(any(name.startswith('function.schemas') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", loads], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("generator", generate.GENERATORS)
def test_generated_files_are_fresh(generator):
    wanted = generate.files(generator)
    assert [str(path) for path in generate.stale(wanted)] == []
