"""KEDA: the operator and the metrics adapter as processes with KEDA's own ServiceAccount and permissions."""

from base64 import b64encode

import yaml

from tests.e2e.lab import services
from tests.e2e.lab.api import is_true
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.processes import listens, until
from tools import gobinaries, gomodules

NAMESPACE = "keda"
MODULE = "github.com/kedacore/keda/v2"
SERVICES = {"keda-operator": {"metricsservice": 9666}, "keda-metrics-apiserver": {"https": 6444}}
PROBE_PORT, METRICS_PORT, ADAPTER_METRICS_PORT = 8083, 8092, 8093
LEFT_OUT = ("Deployment", "ValidatingWebhookConfiguration", "Service")


def start(plane: ControlPlane) -> None:
    """Install it, and return once the API server serves its metrics."""
    module = gomodules.directory(MODULE)
    rendered = plane.api.kubectl("kustomize", module / "config" / "default")
    documents = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] not in LEFT_OUT]
    for document in documents:
        if document["kind"] == "APIService":
            document["spec"]["caBundle"] = b64encode(plane.authority.pem).decode()
    plane.api.apply(*sorted(documents, key=lambda one: one["kind"] != "Namespace"))
    hosts = [f"{name}.{NAMESPACE}.svc" for name in SERVICES]
    directory = plane.root / "keda"
    plane.authority.issue("keda", hosts=("localhost", *hosts)).write(directory)
    (directory / "ca.crt").write_bytes(plane.authority.pem)
    for name, ports in SERVICES.items():
        services.expose(plane, name, NAMESPACE, ports | ({"https": 443} if "https" in ports else {}))
        plane.api.apply(services.endpoints(plane, name, NAMESPACE, ports))
    environment = {
        "KUBECONFIG": str(plane.service_account(NAMESPACE, "keda-operator")),
        "POD_NAMESPACE": NAMESPACE,
        "WATCH_NAMESPACE": "",
        # Outside a pod there is no file that says it.
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    }
    operator, adapter = (gobinaries.build("keda", f"{MODULE}/cmd/{name}") for name in ("operator", "adapter"))
    plane.processes.start(
        "keda-operator",
        [
            operator,
            "--zap-log-level=info",
            "--enable-cert-rotation=false",
            f"--cert-dir={directory}",
            f"--health-probe-bind-address=:{PROBE_PORT}",
            f"--metrics-bind-address=:{METRICS_PORT}",
        ],
        lambda: listens(plane.network.address, PROBE_PORT),
        environment=environment,
        resolving=True,
    )
    kubeconfig = environment["KUBECONFIG"]
    plane.processes.start(
        "keda-adapter",
        [
            adapter,
            f"--secure-port={SERVICES['keda-metrics-apiserver']['https']}",
            f"--client-ca-file={plane.root / 'pki' / 'ca.crt'}",
            f"--tls-cert-file={directory / 'tls.crt'}",
            f"--tls-private-key-file={directory / 'tls.key'}",
            f"--cert-dir={directory}",
            f"--port={ADAPTER_METRICS_PORT}",
            "--metrics-service-address=localhost:9666",
            f"--lister-kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
        ],
        lambda: listens(plane.network.address, SERVICES["keda-metrics-apiserver"]["https"]),
        environment=environment,
    )
    until(lambda: _available(plane), "KEDA's metrics are served", 60)


def _available(plane: ControlPlane) -> bool:
    seen = plane.api.http.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io").json()
    return is_true(seen, "Available")
