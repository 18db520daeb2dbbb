"""Crossplane: the core and the RBAC manager as processes with their own ServiceAccounts, with the chart's permissions.

The permissions are rendered with the platform tree's values, and the core has their `args`; limits are not enforced.
Where the lab has no pods the function runs as a process too, over mTLS like everywhere: its package is installed, and
its endpoint is said by hand (`--package-runtime=External`). Where there are pods Crossplane runs it from its package.
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.lab import charts, pki
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.processes import Process, listens, until
from tools import gobinaries, gomodules
from tools.render_examples import ROOT

APPLICATION = ROOT / "examples" / "gitops" / "bootstrap" / "components" / "01-crossplane.yaml"
NAMESPACE = "crossplane-system"
CORE = ("engine", "github.com/crossplane/crossplane/v2/cmd/crossplane")
FUNCTION = "arun4infra-function-agent-executor"  # as Crossplane names what it installs as a dependency
CERTIFICATE = "function-agent-executor-server"
FUNCTION_PORT, METRICS_PORT, PROBE_PORT = 9443, 8090, 8081
METRICS_SECONDS = 30  # on a machine whose cores are all at work
RBAC_PORT = 8080  # of the RBAC manager's metrics, which nobody can move
RUN_AS_PROCESSES = ("Deployment", "Service")
SECRETS = {
    "TLS_CA_SECRET_NAME": "crossplane-root-ca",
    "TLS_SERVER_SECRET_NAME": "crossplane-tls-server",
    "TLS_CLIENT_SECRET_NAME": "crossplane-tls-client",
}


@dataclass(frozen=True)
class Crossplane:
    """A running Crossplane."""

    plane: ControlPlane
    core: Process

    def calls(self) -> tuple[float, float]:
        """How often it has called functions since it started, and how often it has been answered."""
        metrics = f"http://{self.plane.network.address}:{METRICS_PORT}/metrics"
        text = httpx.get(metrics, trust_env=False, timeout=METRICS_SECONDS).text
        found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        asked, answered = (
            sum(sample.value for sample in found if sample.name == f"function_run_function_{what}_total")
            for what in ("request", "response")
        )
        return asked, answered


def start(plane: ControlPlane, *, pods: bool) -> Crossplane:
    """Install the chart's permissions, make the cluster ready as its init containers do, and start both programs."""
    module = gomodules.directory("github.com/crossplane/crossplane/v2")
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    chart = module / "cluster" / "charts" / "crossplane"
    values = yaml.safe_load(APPLICATION.read_text())["spec"]["source"]["helm"]["valuesObject"]
    plane.api.apply(*charts.render("crossplane", chart, NAMESPACE, values, but=RUN_AS_PROCESSES))
    core, rbac = (plane.service_account(NAMESPACE, name) for name in ("crossplane", "rbac-manager"))
    certificates = plane.root / "crossplane-client"
    environment = {
        **SECRETS,
        "KUBECONFIG": str(core),
        "POD_NAMESPACE": NAMESPACE,
        "POD_SERVICE_ACCOUNT": "crossplane",
        "ENABLE_WEBHOOKS": "false",
        "CRDS_PATH": str(module / "cluster" / "crds"),
        "TLS_CLIENT_CERTS_DIR": str(certificates),
        "XPKG_CACHE_DIR": str(plane.root / "xpkg"),
        "METRICS_PORT": str(METRICS_PORT),
        "HEALTH_PROBE_PORT": str(PROBE_PORT),
    }
    (plane.root / "xpkg").mkdir()
    binary = gobinaries.build(*CORE)
    # The Secret's own controller may be at it as well: a second try is what a restarted init container is.
    plane.processes.run("crossplane-init", [binary, "core", "init"], environment, tries=3)
    for key, content in secret(plane, "crossplane-tls-client").items():
        certificates.mkdir(exist_ok=True)
        (certificates / key).write_bytes(content)
    runtime = "Deployment" if pods else "External"
    address = plane.network.address
    started = plane.processes.start(
        "crossplane",
        [binary, "core", "start", f"--package-runtime=Function={runtime}", *values.get("args", ())],
        lambda: listens(address, PROBE_PORT),
        environment=environment,
        resolving=True,
    )
    plane.processes.start(
        "crossplane-rbac",
        [binary, "rbac", "start", "--provider-clusterrole=crossplane:allowed-provider-permissions"],
        lambda: listens(address, RBAC_PORT),
        environment={"KUBECONFIG": str(rbac)},
    )
    return Crossplane(plane, started)


def secret(plane: ControlPlane, name: str) -> dict[str, bytes]:
    """What a Secret of Crossplane's holds."""
    held = (plane.api.get("Secret", name, NAMESPACE) or {}).get("data") or {}
    return {key: b64decode(value) for key, value in held.items()}


def start_function(plane: ControlPlane) -> Process:
    """Run the function as a process, with a certificate of Crossplane's own authority as its pod would have."""
    directory = _certified(plane)
    command = [Path(sys.executable).with_name("function-agent-executor"), "serve"]
    command += [f"--address=0.0.0.0:{FUNCTION_PORT}", f"--tls-certs-dir={directory}"]
    return _serving(plane, "function", command)


def start_patched(plane: ControlPlane) -> Process:
    """Run `patched` where the function is expected, which has to be stopped."""
    directory = plane.root / "function"
    command = [sys.executable, "-m", "tests.e2e.lab.patched", f"0.0.0.0:{FUNCTION_PORT}", directory]
    return _serving(plane, "patched", command, {"PYTHONPATH": str(ROOT)})


def _serving(
    plane: ControlPlane, name: str, command: Sequence[str | Path], environment: Mapping[str, str] = MappingProxyType({})
) -> Process:
    return plane.processes.start(
        name,
        command,
        lambda: listens(plane.network.address, FUNCTION_PORT),
        environment={"PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


def _certified(plane: ControlPlane) -> Path:
    root = secret(plane, "crossplane-root-ca")
    authority = pki.known(root["tls.crt"], root["tls.key"])
    pair, directory = authority.issue("function", hosts=("localhost",)), plane.root / "function"
    pair.write(directory)
    (directory / "ca.crt").write_bytes(authority.pem)
    held = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pem}
    metadata = {"name": CERTIFICATE, "namespace": NAMESPACE}
    data = {key: b64encode(content).decode() for key, content in held.items()}
    plane.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return directory


def reach_function(plane: ControlPlane, seconds: float = 60) -> None:
    """Say of the installed function what the controller of its runtime would: its certificate, endpoint and health."""

    def active() -> str:
        revisions = plane.api.list("FunctionRevision")
        named = [one for one in revisions if one["metadata"]["labels"]["pkg.crossplane.io/package"] == FUNCTION]
        return next((one["metadata"]["name"] for one in named if one["spec"]["desiredState"] == "Active"), "")

    revision = until(active, f"{FUNCTION}: an active revision", seconds)
    said = {"endpoint": f"dns:///localhost:{FUNCTION_PORT}", "tlsServerSecretName": CERTIFICATE}
    plane.api.patch("FunctionRevision", revision, "", {"status": said}, "status")
    seen = plane.api.until(
        "FunctionRevision", revision, "", lambda one: is_true(one, "RevisionHealthy"), "established", seconds
    )
    conditions = [one for one in seen["status"]["conditions"] if one["type"] != "RuntimeHealthy"]
    now = condition(seen, "RevisionHealthy")["lastTransitionTime"]
    healthy = {
        "type": "RuntimeHealthy",
        "status": "True",
        "reason": "HealthyPackageRevision",
        "lastTransitionTime": now,
    }
    status = {**said, "conditions": [*conditions, healthy]}
    plane.api.patch("FunctionRevision", revision, "", {"status": status}, "status")
    plane.api.until("Function", FUNCTION, "", lambda one: is_true(one, "Healthy", "Installed"), "healthy", seconds)
