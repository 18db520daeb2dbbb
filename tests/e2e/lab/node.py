"""The lab's one node: containerd, the kubelet, kube-proxy and the scheduler.

Everything of it is below the lab's directory and in cgroups that are called as that directory is, so that the janitor
finds what a killed lab leaves: pods are nobody's children.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.e2e.lab import control_plane, services
from tests.e2e.lab.api import is_true
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.janitor import CGROUPS
from tests.e2e.lab.processes import LabError, listens
from tools import gobinaries, pause_image
from tools.gomodules import UnavailableError
from tools.images import Image

NAME = "lab"
CNI_PLUGINS = Path("/usr/lib/cni")
HEALTH, PROXY_HEALTH, SCHEDULER = 10248, 10256, 10259
PROGRAMS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
}


@dataclass(frozen=True)
class Node:
    """A node that is ready."""

    plane: ControlPlane
    socket: Path

    def load(self, image: Image, *names: str) -> None:
        """Give the node an image, under further names too."""
        self._ctr("images", "import", str(image.tarball))
        for name in names:
            self._ctr("images", "tag", "--force", image.name, name)

    def _ctr(self, *arguments: str) -> None:
        command = ["ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")


def start(plane: ControlPlane) -> Node:
    """Start the node, and return when it is Ready.

    Raises:
        UnavailableError: a program that a node needs is not on this machine.
    """
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    missing += [] if (CNI_PLUGINS / "ptp").exists() else ["containernetworking-plugins"]
    if missing:
        raise UnavailableError(f"a node needs Debian's {', '.join(missing)}")
    root, enter = plane.root, plane.network.enter
    # A network namespace forwards nothing at first, and what it forwards between pods must pass kube-proxy's rules.
    subprocess.run([*enter, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    make_cgroups(root.name)
    services.start_dns(plane)
    socket = _containerd(plane)
    pause = Image(pause_image.NAME, pause_image.tarball())
    _scheduler(plane)
    _proxy(plane)
    node = Node(plane, socket)
    node.load(pause)  # before the first pod
    _kubelet(plane, socket)
    plane.api.until("Node", NAME, "", lambda seen: is_true(seen, "Ready"), "ready", 90)
    return node


def make_cgroups(name: str) -> list[Path]:
    """A cgroup of this name in every hierarchy."""
    made = [path / name for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()] or [CGROUPS / name]
    for cgroup in made:
        cgroup.mkdir(exist_ok=True)
        _inherit_cpuset(cgroup)
    return made


def _inherit_cpuset(cgroup: Path) -> None:
    """In version 1 a new cpuset has no CPU and no memory node, and takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (cgroup / name).exists() and not (cgroup / name).read_text().strip():
            (cgroup / name).write_text((cgroup.parent / name).read_text())


def connect_pods(directory: Path, addresses: Path) -> None:
    """Write for the container runtime what pods are connected by, and where their addresses are kept."""
    network = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                # Point to point, so that packets between two pods are routed, and kube-proxy's rules see them.
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(addresses),
                    "ranges": [[{"subnet": control_plane.PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    directory.mkdir(parents=True)
    (directory / "10-pods.conflist").write_text(json.dumps(network))


def _containerd(plane: ControlPlane) -> Path:
    root = plane.root / "containerd"
    connect_pods(root / "cni", root / "addresses")
    socket = root / "containerd.sock"
    config = f"""\
version = 2
root = "{root / "data"}"
state = "{root / "state"}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image.NAME}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{root / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
    (root / "config.toml").write_text(config)
    plane.processes.start("containerd", ["containerd", f"--config={root / 'config.toml'}"], lambda: _serves(socket))
    return socket


def _serves(socket: Path) -> bool:
    done = subprocess.run(["ctr", f"--address={socket}", "version"], capture_output=True, check=False)
    return done.returncode == 0


def _kubelet(plane: ControlPlane, socket: Path) -> None:
    root = plane.root / "kubelet"
    root.mkdir()
    (root / "resolv.conf").touch()
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(plane.root / "pki" / "ca.crt")},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{plane.root.name}",
        "failCgroupV1": False,
        "clusterDNS": [control_plane.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(root / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{socket}",
        "podLogsDir": str(root / "logs"),
        "healthzBindAddress": plane.network.address,
        # A disk that is rather full is no reason to end the tests' pods.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": False,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "registerWithTaints": [],
        "oomScoreAdj": 0,
    }
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    credentials = plane.kubeconfig(f"system:node:{NAME}", "system:nodes")
    command = [
        gobinaries.build("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
        f"--config={root / 'config.yaml'}",
        f"--kubeconfig={credentials}",
        f"--root-dir={root / 'data'}",
        f"--cert-dir={root / 'pki'}",
        f"--hostname-override={NAME}",
        f"--node-ip={plane.network.address}",
    ]
    plane.processes.start("kubelet", command, lambda: listens(plane.network.address, HEALTH))


def _proxy(plane: ControlPlane) -> None:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": control_plane.PODS,
        "hostnameOverride": NAME,
        "clientConnection": {"kubeconfig": str(plane.kubeconfig("system:kube-proxy"))},
        "healthzBindAddress": f"{plane.network.address}:{PROXY_HEALTH}",
        # Those belong to the machine, not to the namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "10s"},
    }
    (plane.root / "kube-proxy.yaml").write_text(yaml.safe_dump(config))
    binary = gobinaries.build("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy")
    command = [binary, f"--config={plane.root / 'kube-proxy.yaml'}"]
    plane.processes.start("kube-proxy", command, lambda: listens(plane.network.address, PROXY_HEALTH))


def _scheduler(plane: ControlPlane) -> None:
    credentials = plane.kubeconfig("system:kube-scheduler")
    command = [
        gobinaries.build("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
        f"--kubeconfig={credentials}",
        f"--authentication-kubeconfig={credentials}",
        f"--authorization-kubeconfig={credentials}",
        f"--bind-address={plane.network.address}",
        "--leader-elect=false",
    ]
    plane.processes.start("kube-scheduler", command, lambda: listens(plane.network.address, SCHEDULER))
