"""The Function package for each architecture carries that architecture's image, and nothing else is different."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools import packages

ARCHITECTURES = ("amd64", "arm64")
RUNTIME = {"Entrypoint": ["function-agent-executor"], "Cmd": ["serve"], "User": "65532:65532", "Env": ["PATH=/usr/bin"]}

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
