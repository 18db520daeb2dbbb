"""What kind is asked for, what is said where it cannot be had, and that no node outlives its lab."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

from tests.e2e.lab import janitor, kind, ways
from tests.e2e.lab.control_plane import ControlPlane
from tests.images import fakes
from tools.gomodules import UnavailableError

NODE = "aex-1-control-plane"
CALLS = 'echo "$*" >> {log}'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER", kind.VARIABLE, ways.VARIABLE):
        monkeypatch.delenv(name, raising=False)


def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setenv("PATH", fakes.path(tmp_path / "programs", docker=script))


def test_kind_is_asked_for_the_labs_networks_and_what_keda_and_the_hpa_need() -> None:
    config = kind.config("aex-1", "node:1", Path("/lab/cni"))
    mounted = {"hostPath": "/lab/cni", "containerPath": "/etc/cni/net.d", "readOnly": True}
    (patch,) = config.pop("kubeadmConfigPatches")
    assert config == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": "aex-1",
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16", "disableDefaultCNI": True},
        "nodes": [{"role": "control-plane", "image": "node:1", "extraMounts": [mounted]}],
    }
    scaling = {
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-downscale-stabilization": "10s",
    }
    assert yaml.safe_load(patch) == {
        "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": {"enable-aggregator-routing": "true"}},
        "controllerManager": {"extraArgs": scaling},
    }


def test_the_node_image_is_of_the_minor_version_that_the_binaries_are() -> None:
    manifest = (Path(ways.__file__).parents[2] / "go" / "kubernetes" / "go.mod").read_text()
    minor = kind.IMAGE.partition(":")[2].rpartition(".")[0]
    assert f"k8s.io/kubernetes {minor}." in manifest


@pytest.mark.parametrize("asked", [None, "mirror/node:1"])
def test_an_image_that_is_in_the_engine_is_not_pulled(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    if asked:
        monkeypatch.setenv(kind.VARIABLE, asked)
    docker(tmp_path, monkeypatch, CALLS.format(log=log))
    assert kind.image() == (asked or kind.IMAGE)
    assert log.read_text() == f"image inspect {asked or kind.IMAGE}\n"


def test_an_image_that_cannot_be_pulled_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, monkeypatch, "echo no such host >&2; exit 1")
    with pytest.raises(UnavailableError) as refused:
        kind.image()
    what = f"no node image: {kind.IMAGE} cannot be pulled (no such host)"
    assert str(refused.value) == f"{what}; `docker load` it, or name one that is there in E2E_KIND_IMAGE"


def test_the_node_keeps_one_dns_pod_of_two_before_any_pod_is_let_onto_it() -> None:
    asked: list[tuple[str, ...]] = []

    class Api:
        def kubectl(self, *arguments: str) -> None:
            asked.append(arguments)

        def until(self, which: str, name: str, *_: object) -> None:
            asked.append((which, name))

    plane = SimpleNamespace(network=SimpleNamespace(name="aex-1"), api=Api())
    kind.node(cast("ControlPlane", plane))
    assert asked == [
        ("scale", "deployment", "coredns", "--namespace=kube-system", "--replicas=1"),
        ("uncordon", NODE),
        ("Node", NODE),
        ("Deployment", "coredns"),
    ]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("true", 0),
        ('echo "Error: No such container: it" >&2; exit 1', 0),
        ('echo "Cannot connect to the Docker daemon" >&2; exit 1', 1),
    ],
    ids=["a node", "a node that never came to be", "no engine any more"],
)
def test_the_janitor_removes_the_node_and_says_whether_it_is_gone(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, script: str, status: int
) -> None:
    docker(tmp_path, monkeypatch, f"{CALLS.format(log=log)}; {script}")
    root = tmp_path / "lab"
    root.mkdir()
    command = [sys.executable, "-I", janitor.__file__, str(root), "", NODE]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, root.exists()) == (status, False)
    assert log.read_text() == f"rm --force --volumes {NODE}\n"


@pytest.mark.parametrize("asked", [None, "", "binaries", "kind"])
def test_a_way_that_there_is_is_gone(monkeypatch: pytest.MonkeyPatch, asked: str | None) -> None:
    if asked is not None:
        monkeypatch.setenv(ways.VARIABLE, asked)
    assert ways.asked() is ways.WAYS[asked or "binaries"]


def test_a_way_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ways.VARIABLE, "minikube")
    with pytest.raises(ValueError, match=r"^E2E_CLUSTER=minikube: it is one of binaries, kind$"):
        ways.asked()
