"""The locked wheels of both images, for a build that asks no network for anything.

They are chosen for the Python of the Dockerfile's base, whatever Python runs this: pip takes a wheel's tags for another
version when it is told to, but judges the markers of a lock by its own, so those are judged here.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

from tools import base_image, gobinaries
from tools.gomodules import UnavailableError, status

ROOT = Path(__file__).parents[1]
HALVES = ("image", "function", "service")
SECONDS = 900


def directory() -> Path:
    """A directory with the wheels, downloaded once for each set of locks, and kept outside the repository.

    Raises:
        UnavailableError: they cannot be downloaded.
        RuntimeError: one is not what was locked.
    """
    python = base_image.official().python
    locks = [chosen((ROOT / "requirements" / f"{half}.txt").read_text("utf-8"), python) for half in HALVES]
    made = gobinaries.cache() / "wheels" / hashlib.sha256("\0".join([python, *locks]).encode()).hexdigest()[:16]
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with gobinaries.locked(made.with_suffix(".lock")):
            if not made.exists():
                unfinished = made.with_suffix(".new")
                shutil.rmtree(unfinished, ignore_errors=True)
                for lock in locks:
                    download(lock, python, unfinished)
                unfinished.rename(made)
    return made


def chosen(lock: str, python: str) -> str:
    """The lines of a lock that count for a version of Python on this kind of machine, without their markers."""
    there = {name: str(value) for name, value in default_environment().items()}
    there |= {"python_version": ".".join(python.split(".")[:2])}
    there |= dict.fromkeys(("implementation_version", "python_full_version"), python)
    kept = []
    for line in re.split(r"\n(?=\S)", lock.strip()):
        stated, *hashes = line.split(" \\\n")
        asked = Requirement(stated)
        if asked.marker is None or asked.marker.evaluate(there):
            kept.append(" \\\n".join([f"{asked.name}{asked.specifier}", *hashes]))
    return "".join(f"{line}\n" for line in kept)


def download(lock: str, python: str, into: Path) -> None:
    into.mkdir(exist_ok=True)
    requirements = into / "requirements.txt"
    requirements.write_text(lock, "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={python}", "--require-hashes"]
    command += [f"--requirement={requirements}", f"--dest={into}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    requirements.unlink()
    if done.returncode:
        said = done.stderr.strip()
        raise (RuntimeError if "DO NOT MATCH THE HASHES" in said else UnavailableError)(f"no wheels: {said[-800:]}")


def main() -> None:
    """Fill the repository's own `wheelhouse/`, which every image build from here takes into account."""
    shutil.copytree(directory(), ROOT / "wheelhouse", dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(status(main))
