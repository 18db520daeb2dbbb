"""A Docker engine and what is in images: how the images' tests ask for either.

`DOCKER` names the client and `DOCKER_HOST` the engine, as for the client itself; `BASE_IMAGE` another base than the
Dockerfile's. With wheels in `wheelhouse/` (`python -m tools.wheelhouse`) the builds have no network at all.
"""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.render_examples import ROOT

DOCKER = os.environ.get("DOCKER", "docker")
BASE = (
    os.environ.get("BASE_IMAGE")
    or re.findall(r"^ARG BASE_IMAGE=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
)
LOCKED_DOWN = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=12345",
    "--env=HOME=/nowhere",
)


def docker(*arguments: str, check: bool = True, **options: Any) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([DOCKER, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, **options)
    assert not check or done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done


def present(image: str) -> bool:
    """Whether the engine has an image, or could pull it now."""
    return not (
        docker("image", "inspect", image, check=False).returncode and docker("pull", image, check=False).returncode
    )


def network() -> tuple[str, ...]:
    return ("--network=none",) if any((ROOT / "wheelhouse").glob("*.whl")) else ()


def inspected(image: str) -> Any:
    return json.loads(docker("image", "inspect", image).stdout)[0]


@contextlib.contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A container's id; it is removed at the end."""
    container = docker("run", "--detach", *LOCKED_DOWN, *options, image, *command).stdout.strip()
    try:
        yield container
    finally:
        docker("rm", "--force", container)


def until(condition: Any, container: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        logs = docker("logs", container)
        assert time.monotonic() < deadline, logs.stdout[-1000:] + logs.stderr[-2000:]
        time.sleep(0.1)


def stopped(container: str) -> int:
    """The exit status after SIGTERM."""
    docker("stop", "--time=30", container)
    return int(docker("inspect", "--format={{.State.ExitCode}}", container).stdout)


def written(image: str) -> str:
    """The SBOM that is in an image."""
    return said(image, "print(open('/opt/agent-executor/sbom.cdx.json').read())")


def said(image: str, program: str) -> str:
    """What a program prints that an image's Python runs."""
    return docker("run", "--rm", "--network=none", "--entrypoint=python3", image, "-c", program).stdout


def library(image: str) -> str:
    """Where an image has Python's standard library."""
    return said(image, "import sysconfig; print(sysconfig.get_path('stdlib'))").strip()


def copied(image: str, path: str, into: Path) -> dict[str, str]:
    """What is below a path in an image: each file's path, and the digest of its content and metadata."""
    container = docker("create", image).stdout.strip()
    try:
        with into.open("wb") as sink:
            subprocess.run([DOCKER, "cp", f"{container}:{path}", "-"], stdout=sink, check=True)
    finally:
        docker("rm", container)
    with tarfile.open(into) as archive:
        return {member.name: digest(archive, member) for member in archive if "/" in member.name}


def digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member) if member.isfile() else None
    facts = repr((member.mode, member.uid, member.mtime, member.linkname)).encode()
    return hashlib.sha256(facts + (content.read() if content else b"")).hexdigest()
