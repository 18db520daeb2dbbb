"""Both images of this tree as tarballs, for a cluster that reaches no registry.

Kept outside the repository under the hash of everything that goes into them, so that they are built once; only then is
an engine needed, and where none answers one is started meanwhile. They are built from a copy, so that a file which
changes in the middle of a build is as it was in both images.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools import base_image, docker, gobinaries, pause_image, wheelhouse
from tools.gomodules import status

ROOT = Path(__file__).parents[1]
KEPT = 3  # of half a gigabyte each: a branch and another, and what was before


class Image(NamedTuple):
    """An image's name, and the tarball of it that `docker load` and `ctr images import` take."""

    name: str
    tarball: Path


class Images(NamedTuple):
    """What scripts/ci/images.sh builds, in its order."""

    function: Image
    service: Image


def built() -> Images:
    """The images of the tree as it is now, on `BASE_IMAGE`, or else on a base of our own.

    Raises:
        UnavailableError: something that a build needs is not on this machine.
        RuntimeError: the build failed; the message ends with its own.
    """
    with tempfile.TemporaryDirectory(prefix="agent-executor-images-") as directory:
        context = Path(directory)
        stage(context)
        made = gobinaries.cache() / "images" / key(context)
        made.parent.mkdir(parents=True, exist_ok=True)
        with gobinaries.locked(made.parent / "lock"):
            if not made.exists():
                build(context, made)
            made.touch()
    return Images(*(Image(named(made / f"{half}.tar"), made / f"{half}.tar") for half in Images._fields))


def stage(into: Path) -> None:
    """Copy what .dockerignore lets an image be made of, the wheels left out, and the two files that say how."""
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for path in ["Dockerfile", ".dockerignore", *(line[1:] for line in ignored if line.startswith("!"))]:
        source, target = ROOT / path, into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copy2(source, target)
        elif path != "wheelhouse":
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def key(context: Path) -> str:
    """The hash of every file's path, content and permission to be run, and of the base that they are put on."""
    found = hashlib.sha256(repr((os.environ.get("BASE_IMAGE"), base_image.official(), base_image.name())).encode())
    for file in sorted(path for path in context.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found.update(repr((str(file.relative_to(context)), content, os.access(file, os.X_OK))).encode())
    return found.hexdigest()[:16]


def build(context: Path, into: Path) -> None:
    shutil.copytree(wheelhouse.directory(), context / "wheelhouse")
    unfinished = into.with_name(f"{into.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    with docker.engine():
        base = os.environ.get("BASE_IMAGE") or base_image.loaded()
        for half, name in zip(Images._fields, tagged(context, base), strict=True):
            docker.run("save", f"--output={unfinished / half}.tar", name)
    unfinished.rename(into)
    forget(into.parent)


def tagged(context: Path, base: str) -> list[str]:
    """Run scripts/ci/images.sh on the copy, and return the names that it prints below everything that docker says."""
    script = context / "scripts" / "ci" / "images.sh"
    command = [str(script), f"--build-arg=BASE_IMAGE={base}", "--network=none", "--quiet"]
    # The copy is no repository, and the images carry the commit.
    where = subprocess.run(
        ["git", "rev-parse", "--absolute-git-dir"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    environment = {name: value for name, value in os.environ.items() if name != "REGISTRY"}
    environment |= {"GIT_DIR": where.stdout.strip()} if where.returncode == 0 else {}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script.name}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return [line for line in done.stdout.splitlines() if not line.startswith("sha256:")]


def named(tarball: Path) -> str:
    """The name that a tarball of one image carries."""
    with tarfile.open(tarball) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        return str(json.load(manifest)[0]["RepoTags"][0])


def forget(images: Path) -> None:
    """Remove all but the ones that were used last."""
    by_use = sorted((path for path in images.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in by_use[:-KEPT]:
        shutil.rmtree(path)


def main() -> None:
    for image in (*built(), Image(pause_image.NAME, pause_image.tarball())):
        print(*image)


if __name__ == "__main__":
    sys.exit(status(main))
