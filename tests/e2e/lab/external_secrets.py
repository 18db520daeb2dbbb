"""External Secrets as a process with its own ServiceAccount and the chart's permissions."""

from tests.e2e.lab import charts
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.parameters import Parameters
from tests.e2e.lab.processes import Process, listens
from tools import gobinaries, gomodules

NAMESPACE = "external-secrets"
MODULE = "github.com/external-secrets/external-secrets"
CREDENTIALS = ("aws-access-token", "aws-access-token-research")
PROBE_PORT, METRICS_PORT = 8082, 8091
# No pods, so no webhook and nobody to make its certificates.
VALUES = {"installCRDs": False, "webhook": {"create": False}, "certController": {"create": False}}


def start(plane: ControlPlane, parameters: Parameters) -> Process:
    """Install it, with the credentials that the ClusterSecretStores of the platform tree name."""
    module = gomodules.directory(MODULE, gobinaries.MANIFESTS / "external-secrets")
    plane.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "stringData": {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"},
            }
            for name in CREDENTIALS
        ),
        module / "deploy" / "crds" / "bundle.yaml",
    )
    chart = module / "deploy" / "charts" / "external-secrets"
    plane.api.apply(*charts.render("external-secrets", chart, NAMESPACE, VALUES, but=("Deployment",)))
    return plane.processes.start(
        "external-secrets",
        [
            gobinaries.build("external-secrets", MODULE),
            f"--metrics-addr=:{METRICS_PORT}",
            f"--live-addr=:{PROBE_PORT}",
            # Those CRDs are there, but nothing here has a use for them.
            "--enable-cluster-external-secret-reconciler=false",
            "--enable-cluster-push-secret-reconciler=false",
            "--enable-push-secret-reconciler=false",
        ],
        lambda: listens(plane.network.address, PROBE_PORT),
        environment={
            "KUBECONFIG": str(plane.service_account(NAMESPACE, "external-secrets")),
            "AWS_SSM_ENDPOINT": parameters.url,
        },
    )
