"""The platform's own settings, other than the platform tree has them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.e2e.lab import cluster
from tests.e2e.lab.cluster import Lab
from tools.render_examples import ROOT

EXPLAINED = ROOT / "examples" / "platforms" / "explained-rollout.yaml"
READS_PODS = ROOT / "examples" / "rbac-pods.yaml"


@contextlib.contextmanager
def platform(lab: Lab, spec: Mapping[str, Any]) -> Iterator[None]:
    """The platform with another Input, for a while."""
    (file,) = (cluster.APIS / "compositions").glob("*.yaml")
    composition = yaml.safe_load(file.read_text())
    composition["spec"]["pipeline"][0]["input"]["spec"] = dict(spec)
    lab.api.apply(composition)
    try:
        yield
    finally:
        lab.api.apply(file)


def may_read_pods(lab: Lab) -> None:
    """Let Crossplane read pods, for good: what it has once begun to watch it watches until it ends."""
    lab.api.apply(READS_PODS)
    # Kubernetes copies such a role's rules into Crossplane's own, and takes a moment for it.
    lab.api.until("ClusterRole", "crossplane", "", lambda seen: "'pods'" in str(seen["rules"]), "reads pods")


@contextlib.contextmanager
def explaining(lab: Lab) -> Iterator[None]:
    """The platform with claims that say why the pods of a rollout do not come up."""
    may_read_pods(lab)
    with platform(lab, yaml.safe_load(EXPLAINED.read_text())["spec"]):
        yield
