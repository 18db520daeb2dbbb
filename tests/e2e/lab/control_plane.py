"""A Kubernetes control plane: etcd, the API server and the controller manager, and the users of it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.e2e.lab import pki
from tests.e2e.lab.api import Api
from tests.e2e.lab.network import Network
from tests.e2e.lab.processes import Processes, listens
from tools import gobinaries
from tools.gomodules import UnavailableError

SERVICES, PODS = "10.96.0.0/16", "10.244.0.0/16"
API_SERVICE, DNS_SERVICE = "10.96.0.1", "10.96.0.10"
# What the API server is told for the aggregated API of KEDA's metrics, which is behind a Service without pods.
AGGREGATION = {"enable-aggregator-routing": "true"}
# Of the HPA controller, whose defaults are 15 s and 5 min.
SCALING = {"horizontal-pod-autoscaler-sync-period": "5s", "horizontal-pod-autoscaler-downscale-stabilization": "10s"}
API, MANAGER = 6443, 10257
PEOPLE = "system:masters"


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    root: Path
    network: Network
    processes: Processes
    authority: pki.Authority
    server: str
    api: Api

    def kubeconfig(self, user: str, *groups: str) -> Path:
        """For a user with a certificate of the lab's authority."""
        name = user.replace(":", "_")
        certificate, key = self.authority.issue(user, groups=groups).write(self.root / "pki", name)
        user_entry = {"client-certificate": str(certificate), "client-key": str(key)}
        return pki.kubeconfig(self.root / f"{name}.kubeconfig", self.server, self.authority.pem, user_entry)

    def service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a token of a ServiceAccount, so that what uses it has that account's permissions only."""
        token = self.api.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=24h").strip()
        where = self.root / f"{namespace}_{name}.kubeconfig"
        return pki.kubeconfig(where, self.server, self.authority.pem, {"token": token})


def reached(root: Path, network: Network, processes: Processes, authority: pki.Authority) -> ControlPlane:
    """One that is at the network's address and trusts an authority, with a certificate for its administrator."""
    server = f"https://{network.address}:{API}"
    certificate, key = authority.issue("admin", groups=[PEOPLE]).write(root / "pki", "admin")
    (root / "pki" / "ca.crt").write_bytes(authority.pem)
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    admin = pki.kubeconfig(root / "admin.kubeconfig", server, authority.pem, user)
    return ControlPlane(root, network, processes, authority, server, Api(admin))


def start(root: Path, network: Network, processes: Processes) -> ControlPlane:
    """Start one whose data is below `root`.

    Raises:
        UnavailableError: etcd or Go is not on this machine.
        LabError: a part does not start.
    """
    server_binary, manager = (
        gobinaries.build("kubernetes", f"k8s.io/kubernetes/cmd/{name}")
        for name in ("kube-apiserver", "kube-controller-manager")
    )
    etcd = _etcd(root, processes)
    authority = pki.authority("agent-executor-lab")
    plane = reached(root, network, processes, authority)
    signing = root / "pki" / "service-accounts.key"
    signing.write_bytes(pki.signing_key())
    certificate, key = authority.issue(
        "kube-apiserver", hosts=("localhost", "127.0.0.1", network.address, API_SERVICE, "kubernetes.default.svc")
    ).write(root / "pki", "kube-apiserver")
    proxy = pki.authority("agent-executor-lab-front-proxy")
    (root / "pki" / "front-proxy-ca.crt").write_bytes(proxy.pem)
    front, front_key = proxy.issue("front-proxy-client").write(root / "pki", "front-proxy")
    kubelet, kubelet_key = authority.issue("kube-apiserver-kubelet-client", groups=[PEOPLE]).write(
        root / "pki", "to-kubelet"
    )
    ca, api = root / "pki" / "ca.crt", plane.api
    processes.start(
        "kube-apiserver",
        [
            server_binary,
            f"--etcd-servers={etcd}",
            f"--bind-address={network.address}",
            f"--advertise-address={network.address}",
            f"--secure-port={API}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            # Its looks at the store end in timeouts with the etcd that Debian has, and cost the CPU of many requests.
            "--feature-gates=SizeBasedListCostEstimate=false",
            "--kubelet-preferred-address-types=InternalIP",
            f"--client-ca-file={ca}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--kubelet-client-certificate={kubelet}",
            f"--kubelet-client-key={kubelet_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={signing}",
            f"--service-account-signing-key-file={signing}",
            *_flags(AGGREGATION),
            f"--requestheader-client-ca-file={root / 'pki' / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={front}",
            f"--proxy-client-key-file={front_key}",
        ],
        lambda: _answers(api, "/readyz"),
        # There is more memory here than there are cores: a fifth of its CPU were the collector's.
        environment={"GOGC": "400"},
    )
    processes.start(
        "kube-controller-manager",
        [
            manager,
            f"--kubeconfig={plane.kubeconfig('system:kube-controller-manager')}",
            f"--bind-address={network.address}",
            f"--secure-port={MANAGER}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={signing}",
            f"--root-ca-file={ca}",
            f"--cluster-cidr={PODS}",
            "--allocate-node-cidrs=true",
            f"--service-cluster-ip-range={SERVICES}",
            *_flags(SCALING),
        ],
        lambda: listens(network.address, MANAGER) and bool(api.get("ServiceAccount", "default", "default")),
    )
    return plane


def _flags(values: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _etcd(root: Path, processes: Processes) -> str:
    if not shutil.which("etcd"):
        raise UnavailableError("etcd is not on this machine (Debian has it as etcd-server)")
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    command = ["etcd", f"--data-dir={root / 'etcd'}", "--name=lab", f"--listen-client-urls={client}"]
    command += [f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
    command += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=lab={peer}"]
    log = root / "logs" / "etcd.log"
    # It listens on the namespace's loopback, which is not reached from here: so its log is asked.
    processes.start("etcd", command, lambda: "ready to serve client requests" in log.read_text(errors="replace"))
    return client


def _answers(api: Api, where: str) -> bool:
    try:
        return api.http.get(where).is_success
    except httpx.TransportError:
        return False
