"""The images' base, made by debootstrap where no hub can be reached.

It is Debian in the suite that the Dockerfile's own base is made of, with that suite's Python, from the mirror that apt
uses on this machine. It has a name of its own, so that nobody takes it for the official image. The root filesystem is
made once for each suite and list of packages, and kept outside the repository: security fixes since then are not in it,
which is why nothing built on it is published.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools import docker, gobinaries
from tools.gomodules import UnavailableError, status

DOCKERFILE = Path(__file__).parents[1] / "Dockerfile"
# What the official image has of Debian beside Python, and Python as Debian packages it.
PACKAGES = ("ca-certificates", "netbase", "tzdata", "python3", "python3-venv")
# Written by debootstrap and of no use in an image, or of this machine and not to leave it; and Python's bytecode, which
# the official image does not have either: what lacks its own is as slow on this base as on that one.
LEFT_OUT = (
    "usr/lib/python3*/**/__pycache__",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "var/log/*",
    "etc/apt/sources.list",
)
OF_THIS_MACHINE = ("etc/hostname", "etc/resolv.conf")
SECONDS = 1800


class Official(NamedTuple):
    """What the Dockerfile's own base is made of."""

    python: str
    suite: str


def official() -> Official:
    """The Dockerfile's base, read from its name: python:VERSION-slim-SUITE."""
    (found,) = re.findall(r"^ARG BASE_IMAGE=python:([\d.]+)-slim-(\w+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    return Official(*found)


def name() -> str:
    """With the hash of what it is made of, so that one that was made before a change is not taken for it."""
    made_of = hashlib.sha256(repr((PACKAGES, LEFT_OUT)).encode()).hexdigest()[:8]
    return f"agent-executor-base:{official().suite}-{made_of}"


def loaded() -> str:
    """The base's name in the engine that answers, where it is now if it was not.

    Raises:
        UnavailableError: no engine answers, or the base cannot be made here.
        RuntimeError: debootstrap or the engine failed; the message ends with its own.
    """
    if docker.run("image", "inspect", name(), check=False).returncode:
        docker.run("import", str(tarball()), name())
    return name()


def tarball() -> Path:
    """The root filesystem in a tarball; made if it is not there yet, which takes root and about three minutes."""
    made = gobinaries.cache() / "base" / f"{name().partition(':')[2]}.tar"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with gobinaries.locked(made.with_suffix(".lock")):
            if not made.exists():
                make(made)
    return made


def make(into: Path) -> None:
    for program in ("debootstrap", "apt-get"):
        if not shutil.which(program):
            raise UnavailableError(f"no base image: {program} is not on this machine")
    if os.geteuid():
        raise UnavailableError("only root can make a base image: debootstrap changes into what it makes")
    unfinished = into.with_suffix(".new")
    include = f"--include={','.join(PACKAGES)}"
    with tempfile.TemporaryDirectory(prefix="agent-executor-base-") as directory:
        root = Path(directory)
        root.chmod(0o755)  # it becomes the image's `/`, which every user has to be able to enter
        # In a namespace of its own: what is mounted in it goes with its last process, and not with the directory.
        ran("unshare", "--mount", "debootstrap", "--variant=minbase", include, official().suite, directory, mirror())
        fits(ran("chroot", directory, "python3", "-c", "import platform; print(platform.python_version())").strip())
        tidy(root)
        ran("tar", "--create", "--numeric-owner", f"--file={unfinished}", f"--directory={directory}", ".")
    unfinished.rename(into)


def fits(python: str) -> None:
    """Refuse a suite whose Python is not the one that the images are made for."""
    if python.split(".")[:2] != official().python.split(".")[:2]:
        said = f"{official().suite} has Python {python}, and the Dockerfile's base {official().python}"
        raise UnavailableError(f"no base image: {said}")


def mirror() -> str:
    """Where apt gets Debian itself from, not its updates and not its security fixes."""
    said = ran("apt-get", "indextargets", "--format", "$(LABEL) $(SUITE) $(REPO_URI)", "Created-By: Packages")
    for label, suite, address in (line.split(" ") for line in said.splitlines() if line.count(" ") == 2):
        if label == "Debian" and "-" not in suite:
            return address
    raise UnavailableError("no base image: apt has no Debian mirror here; `apt-get update` has to have been run")


def tidy(root: Path) -> None:
    for pattern in LEFT_OUT:
        for file in list(root.glob(pattern)):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    for empty in OF_THIS_MACHINE:
        (root / empty).write_bytes(b"")


def ran(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def main() -> None:
    print(loaded() if docker.answers() else tarball())


if __name__ == "__main__":
    sys.exit(status(main))
