"""The Function package for each architecture carries that architecture's image, and both are pushed as one package."""

import hashlib
import io
import json
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import gobinaries, packages

ARCHITECTURES = ("amd64", "arm64")
REGISTRY = ("registry", "github.com/google/go-containerregistry/cmd/crane")
RUNTIME = {"Entrypoint": ["function-agent-executor"], "Cmd": ["serve"], "User": "65532:65532", "Env": ["PATH=/usr/bin"]}
INDEXES = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("engine")]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar(**files: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return written.getvalue()


def runtime(into: Path, architecture: str) -> Path:
    """An image of one file that says what it is for, as `docker save` writes it."""
    layer = tar(program=f"runs on {architecture}".encode())
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": RUNTIME,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "COPY program /"}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["runtime:v0"], "Layers": [f"{digest}/layer.tar"]}]
    image = into / f"runtime-{architecture}.tar"
    with tarfile.open(image, "w") as archive:
        add(archive, name, config)
        add(archive, f"{digest}/layer.tar", layer)
        add(archive, "manifest.json", json.dumps(manifest).encode())
    return image


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The Function package of each architecture."""
    found = {}
    for architecture in ARCHITECTURES:
        into = tmp_path_factory.mktemp(architecture)
        found[architecture] = packages.build(packages.FUNCTION, into, runtime(into, architecture), architecture)
    return found


def contents(package: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """An .xpkg's image config, and all files of its layers."""
    files = {}
    with tarfile.open(package) as image:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        config = json.load(image.extractfile(manifest["Config"]))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as found:
                files |= {member.name: found.extractfile(member).read() for member in found if member.isfile()}
    return config, files


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_package_is_its_runtimes_image_and_the_packages_documents(built: dict[str, Path], architecture: str) -> None:
    config, files = contents(built[architecture])
    assert (config["os"], config["architecture"]) == ("linux", architecture)
    assert {key: config["config"][key] for key in RUNTIME} == RUNTIME
    assert files["program"] == f"runs on {architecture}".encode()
    assert packages.platform(built[architecture]) == f"linux/{architecture}"
    assert b"kind: Function" in files["package.yaml"]
    assert len(config["rootfs"]["diff_ids"]) == 3
    assert sorted(config["config"]["Labels"].values()) == ["base", "upbound"]


def test_all_but_the_runtime_is_the_same_in_both(built: dict[str, Path]) -> None:
    amd64, arm64 = (contents(built[architecture])[1] for architecture in ARCHITECTURES)
    assert {name for name in amd64 if amd64[name] != arm64[name]} == {"program"}
    assert amd64.keys() == arm64.keys()


def test_a_package_around_an_image_is_the_same_to_the_byte_every_time(built: dict[str, Path], tmp_path: Path) -> None:
    again = packages.build(packages.FUNCTION, tmp_path, runtime(tmp_path, "arm64"), "arm64")
    assert again.read_bytes() == built["arm64"].read_bytes()


def test_an_image_for_another_architecture_is_refused(tmp_path: Path) -> None:
    image = runtime(tmp_path, "amd64")
    with pytest.raises(
        RuntimeError, match=r"runtime-amd64\.tar: holds an image for linux/amd64, and not for linux/arm"
    ):
        packages.build(packages.FUNCTION, tmp_path, image, "arm64")
    assert [path.name for path in tmp_path.iterdir()] == [image.name]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a registry that keeps images in memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = tmp_path / "registry.log"
    with log.open("w") as sink:
        command = [gobinaries.build(*REGISTRY), "registry", "serve", f"--address={address}"]
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        wait_for(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(log.read_text())


def get(url: str, accept: str = "*/*") -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return json.load(answer)


def push(reference: str, files: list[Path], home: Path) -> "subprocess.CompletedProcess[str]":
    """As the release does it."""
    command = [gobinaries.build(*packages.CLI), "xpkg", "push", f"--package-files={','.join(map(str, files))}"]
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run([*command, reference], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_both_packages_are_one_tag_for_two_platforms(built: dict[str, Path], registry: str, tmp_path: Path) -> None:
    repository, tag = "arun4infra/function-agent-executor", f"v{packages.version()}"
    done = push(f"{registry}/{repository}:{tag}", list(built.values()), tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    base = f"http://{registry}/v2/{repository}"
    index = get(f"{base}/manifests/{tag}", INDEXES)
    assert [one["platform"] for one in index["manifests"]] == [
        {"os": "linux", "architecture": architecture} for architecture in ARCHITECTURES
    ]
    for architecture, entry in zip(ARCHITECTURES, index["manifests"], strict=True):
        manifest = get(f"{base}/manifests/{entry['digest']}", MANIFESTS)
        config = get(f"{base}/blobs/{manifest['config']['digest']}")
        assert config["architecture"] == architecture
        assert {key: config["config"][key] for key in RUNTIME} == RUNTIME
        # Crossplane reads the one layer that is annotated so, and the node runs all of them.
        assert [layer.get("annotations", {}).get("io.crossplane.xpkg") for layer in manifest["layers"]].count(
            "base"
        ) == 1
        assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 3
