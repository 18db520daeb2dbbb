"""Services in front of the lab's own processes, and the DNS that knows them: pods use the names that a platform has."""

from collections.abc import Mapping
from typing import Any

from tests.e2e.lab import control_plane
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.processes import listens
from tools import gobinaries

DNS_HEALTH = 8085


def start_dns(plane: ControlPlane) -> None:
    """CoreDNS as a process behind the Service that every pod asks."""
    credentials = plane.kubeconfig("coredns", control_plane.PEOPLE)
    (plane.root / "Corefile").write_text(
        f""".:53 {{
    bind {plane.network.address}
    errors
    health {plane.network.address}:{DNS_HEALTH}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {credentials}
        ttl 5
    }}
}}
"""
    )
    expose(plane, "kube-dns", "kube-system", {"dns": 53}, protocol="UDP", address=control_plane.DNS_SERVICE)
    binary = gobinaries.build("coredns", "github.com/coredns/coredns")
    command = [binary, f"-conf={plane.root / 'Corefile'}"]
    plane.processes.start("coredns", command, lambda: listens(plane.network.address, DNS_HEALTH))


def expose(
    plane: ControlPlane,
    name: str,
    namespace: str,
    ports: Mapping[str, int],
    *,
    protocol: str = "TCP",
    address: str = "",
) -> None:
    """A Service in front of one of the lab's own processes; the address `None` makes it headless."""
    spec: dict[str, Any] = {
        "ports": [{"name": port, "port": number, "protocol": protocol} for port, number in ports.items()]
    }
    spec |= {"clusterIP": address} if address else {}
    plane.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec},
        endpoints(plane, name, namespace, ports, protocol=protocol),
    )


def endpoints(
    plane: ControlPlane, name: str, namespace: str, ports: Mapping[str, int], *, protocol: str = "TCP"
) -> dict[str, Any]:
    """What makes a Service without a selector lead to a process of the lab."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-lab",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "lab"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [plane.network.address], "conditions": {"ready": True}}],
        "ports": [{"name": port, "port": number, "protocol": protocol} for port, number in ports.items()],
    }
