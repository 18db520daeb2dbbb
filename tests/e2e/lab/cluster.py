"""Whole labs: a control plane with the platform on it, and with pods.

`platform()` is what CI runs: Kubernetes, Crossplane, the function, External Secrets and parameters, and nobody to run
a pod. Of examples/gitops it has platform/04-apis (a Configuration package stands for all of it but runtime config and
cluster role in the namespaced model), of 03-intelligence the namespace and the ClusterSecretStore, and the values of
Crossplane's chart. Everything else is the lab's own.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.e2e.lab import (
    backends,
    crossplane,
    external_secrets,
    keda,
    parameters,
    registry,
    ways,
)
from tests.e2e.lab.api import Api, is_true
from tests.e2e.lab.backends import Backends
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.crossplane import Crossplane
from tests.e2e.lab.parameters import Parameters
from tests.e2e.lab.processes import Process
from tests.e2e.lab.registry import Registry
from tests.e2e.lab.ways import Node
from tools import gomodules, images
from tools.render_examples import ROOT

TREE = ROOT / "examples" / "gitops" / "platform"
APIS, INTELLIGENCE = TREE / "04-apis", TREE / "03-intelligence"
CLAIM = ROOT / "examples" / "claim.yaml"
NAMESPACE = "intelligence-deepagents"
CONFIGURATIONS = {"claim": "configuration-agent-executor", "namespaced": "configuration-agent-executor-namespaced"}
EXECUTOR = "ghcr.io/arun4infra/agent-executor"
TAGS = ("v1.0.0", "v1.1.0")  # the seed's image, and what it is rolled out to: two names of the one that is built here
# What the seed puts into SSM before the first claim; the values are the lab's.
SEED = {
    "postgres/host": "postgres.databases.svc.cluster.local",
    "postgres/port": "5432",
    "postgres/db": "langgraph_dev",
    "postgres/user": "postgres",
    "postgres/password": "lab-postgres-password",
    "dragonfly/host": "dragonfly.databases.svc.cluster.local",
    "dragonfly/port": "6379",
    "dragonfly/password": "lab-dragonfly-password",
    "openai_api_key": "sk-lab-openai",
    "anthropic_api_key": "sk-ant-lab-anthropic",
}


@dataclass(frozen=True)
class Lab:
    """A running lab of one model; `function` is None where Crossplane runs it in pods."""

    model: str
    plane: ControlPlane
    crossplane: Crossplane
    registry: Registry
    parameters: Parameters
    function: Process | None

    @property
    def api(self) -> Api:
        """The cluster's API, as its administrator."""
        return self.plane.api


@dataclass(frozen=True)
class Cluster:
    """A lab with pods."""

    lab: Lab
    node: Node
    backends: Backends

    @property
    def api(self) -> Api:
        """The cluster's API, as its administrator."""
        return self.lab.api


@contextlib.contextmanager
def base(name: str, model: str, *, pods: bool) -> Iterator[Lab]:
    """Everything below the platform tree."""
    with ways.plane(name) as plane:
        packages = registry.start(plane.network, plane.processes)
        store = parameters.start(plane.network, plane.processes)
        store.put(SEED)
        running = crossplane.start(plane, pods=pods)
        external_secrets.start(plane, store)
        plane.api.apply(gomodules.directory(keda.MODULE) / "config" / "crd" / "bases")
        function = None if pods else crossplane.start_function(plane)
        yield Lab(model, plane, running, packages, store, function)


@contextlib.contextmanager
def platform(model: str, name: str = "") -> Iterator[Lab]:
    """A control plane with the platform tree on it, and nobody who runs pods; `name` is for a second one of a model."""
    with base(f"control-plane-{name or model}", model, pods=False) as lab:
        lab.registry.push_packages(lab.plane.root / "packages")
        install(lab)
        crossplane.reach_function(lab.plane)
        lab.api.apply(INTELLIGENCE / "namespace-intelligence-deepagents.yaml", store())
        yield lab


@contextlib.contextmanager
def full(model: str) -> Iterator[Cluster]:
    """A cluster with a node, KEDA and the servers behind the executors, the function in pods of its own."""
    made = images.built()
    with base(f"cluster-{model}", model, pods=True) as lab:
        one = ways.asked().node(lab.plane)
        one.load(made.service, *(f"{EXECUTOR}:{tag}" for tag in TAGS))
        servers = backends.start(lab.plane, SEED)
        keda.start(lab.plane)
        lab.registry.push_packages(lab.plane.root / "packages", made.function.tarball)
        install(lab)
        lab.api.until("Function", crossplane.FUNCTION, "", lambda seen: is_true(seen, "Healthy"), "healthy", 120)
        lab.api.apply(INTELLIGENCE / "namespace-intelligence-deepagents.yaml", store())
        yield Cluster(lab, one, servers)


def store() -> dict[str, Any]:
    """The platform tree's ClusterSecretStore, which serves the namespaces of tests and benchmarks as well."""
    found: dict[str, Any] = yaml.safe_load((INTELLIGENCE / "cluster-secret-store.yaml").read_text())
    found["spec"]["conditions"].append({"namespaceRegexes": ["^e2e-[0-9a-f]{8}$", "^alone$"]})
    return found


def install(lab: Lab) -> None:
    """The claim model from the platform tree, the namespaced one from its Configuration package."""
    lab.api.apply(lab.registry.image_config, APIS / "runtime-config.yaml", APIS / "cluster-role.yaml")
    if lab.model == "claim":
        lab.api.apply(APIS / "function.yaml", APIS / "definitions")
        established(lab, "xagentexecutors.platform.bizmatters.io")
        lab.api.apply(APIS / "compositions")
    else:
        lab.api.apply(configuration(lab.model))


def configuration(model: str) -> dict[str, Any]:
    """The Configuration that installs a model's API, the function with it."""
    name = CONFIGURATIONS[model]
    version = yaml.safe_load((APIS / "function.yaml").read_text())["spec"]["package"].rpartition(":")[2]
    return {
        "apiVersion": "pkg.crossplane.io/v1",
        "kind": "Configuration",
        "metadata": {"name": name},
        "spec": {"package": f"{registry.PUBLIC}/{name}:{version}"},
    }


def established(lab: Lab, name: str) -> None:
    """Wait until the API of an XRD is served."""
    lab.api.until("CompositeResourceDefinition", name, "", lambda seen: is_true(seen, "Established"), "established")


def claim(name: str = "agent-executor", namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """The seed's claim under another name, with other values; None removes a field."""
    seed: dict[str, Any] = yaml.safe_load(CLAIM.read_text())
    values = {key: value for key, value in {**seed["spec"], **spec}.items() if value is not None}
    return {**seed, "metadata": {"name": name, "namespace": namespace}, "spec": values}
