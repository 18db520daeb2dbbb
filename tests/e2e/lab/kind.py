"""A cluster of kind's: one node that is a container, in whose network the lab's own processes run as well.

Its network namespace gets the name that the lab would have given to one of its own, so that what is started in it, and
the janitor, need not know the difference. The node is cordoned until somebody asks for it.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.lab import control_plane as planes
from tests.e2e.lab import network, pki, processes, state
from tests.e2e.lab import node as nodes
from tests.e2e.lab.api import is_true
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.processes import LabError
from tools import docker, gobinaries
from tools.gomodules import UnavailableError
from tools.images import Image

KIND = ("kind", "sigs.k8s.io/kind")
# From the release notes of the kind that tests/go/kind pins: Kubernetes as in tests/go/kubernetes, but for the patch.
IMAGE = "kindest/node:v1.34.8@sha256:02722c2dedddcfc00febf5d27fbeb9b7b2c14294c82109ff4a85d89ac9ba3256"
VARIABLE = "E2E_KIND_IMAGE"
ADDRESSES = Path("/var/lib/cni/networks")  # on the node
SECONDS = 600


@dataclass(frozen=True)
class Node:
    """A node that is ready."""

    plane: ControlPlane

    def load(self, image: Image, *names: str) -> None:
        """Give the node an image, under further names too."""
        cluster = self.plane.network.name
        run("load", "image-archive", str(image.tarball), f"--name={cluster}")
        for name in names:
            tag = ("ctr", "--namespace=k8s.io", "images", "tag", "--force", image.name, name)
            docker.run("exec", container(cluster), *tag)


@contextlib.contextmanager
def control_plane(name: str, unique: str) -> Iterator[ControlPlane]:
    """A cluster of that unique name, on whose node nothing is scheduled yet.

    Raises:
        UnavailableError: no Docker engine, no node image, no Go, or not root.
        LabError: kind could not make it; the message ends with kind's own.
    """
    network.possible()
    with docker.engine():
        node_image = image()
        with state.directory(name, unique, container(unique)) as root:
            nodes.connect_pods(root / "cni", ADDRESSES)
            (root / "kind.yaml").write_text(yaml.safe_dump(config(unique, node_image, root / "cni")))
            run("create", "cluster", f"--config={root / 'kind.yaml'}", f"--kubeconfig={root / 'kind.kubeconfig'}")
            told = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            pid, address = docker.run("inspect", f"--format={told}", container(unique)).stdout.split()
            inside = network.attached(unique, int(pid), address)
            with processes.running(root, inside, nameserver=planes.DNS_SERVICE) as running:
                certificate, key = (_read(unique, f"/etc/kubernetes/pki/ca.{part}") for part in ("crt", "key"))
                plane = planes.reached(root, inside, running, pki.known(certificate, key))
                plane.api.kubectl("cordon", container(unique))
                yield plane


def node(plane: ControlPlane) -> Node:
    """Let pods onto the node, and return when it is Ready and the cluster's DNS answers."""
    name = container(plane.network.name)
    # On two cores the second CoreDNS has the CPU of the pod that a rollout of three starts before it ends one.
    plane.api.kubectl("scale", "deployment", "coredns", "--namespace=kube-system", "--replicas=1")
    plane.api.kubectl("uncordon", name)
    plane.api.until("Node", name, "", lambda seen: is_true(seen, "Ready"), "ready", 90)
    plane.api.until("Deployment", "coredns", "kube-system", lambda seen: is_true(seen, "Available"), "available", 90)
    return Node(plane)


def config(name: str, image: str, cni: Path) -> dict[str, Any]:
    """What kind is asked for: the networks of the lab, and what its control plane is told beside the defaults.

    Pods are connected as on the other way's node. Kind's own network enforces NetworkPolicies, and to it what leads to
    the lab's processes is no traffic to a pod.
    """
    mounted = {"hostPath": str(cni), "containerPath": "/etc/cni/net.d", "readOnly": True}
    patch = {
        "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": planes.AGGREGATION},
        "controllerManager": {"extraArgs": planes.SCALING},
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "networking": {"podSubnet": planes.PODS, "serviceSubnet": planes.SERVICES, "disableDefaultCNI": True},
        "nodes": [{"role": "control-plane", "image": image, "extraMounts": [mounted]}],
        "kubeadmConfigPatches": [yaml.safe_dump(patch)],
    }


def container(cluster: str) -> str:
    """What kind calls the one node of a cluster, and its container."""
    return f"{cluster}-control-plane"


def image() -> str:
    """The node image, which is in the engine now if it was not."""
    name = os.environ.get(VARIABLE) or IMAGE
    if docker.run("image", "inspect", name, check=False).returncode:
        pulled = docker.run("pull", "--quiet", name, check=False)
        if pulled.returncode:
            said = (pulled.stderr or pulled.stdout).strip()[-300:]
            what = f"`docker load` it, or name one that is there in {VARIABLE}"
            raise UnavailableError(f"no node image: {name} cannot be pulled ({said}); {what}")
    return name


def run(*arguments: str) -> None:
    """Run kind; it ends with the tests, so that it makes nothing any more when the janitor cleans up."""
    command = ["setpriv", "--pdeathsig", "KILL", str(gobinaries.build(*KIND)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise LabError(f"kind {' '.join(arguments[:2])}: {done.stderr.strip()[-2000:]}")


def _read(cluster: str, file: str) -> bytes:
    return docker.run("exec", container(cluster), "cat", file).stdout.encode()
