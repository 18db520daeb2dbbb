"""Programs out of locked Python packages that are too many, or too old, to stand beside ours.

Each `requirements/<lock>.txt` becomes a virtual environment of its own, made once and kept beside the Go binaries under
the hash of that file.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from tools import gobinaries
from tools.gomodules import UnavailableError

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
INSTALL_SECONDS = 900


def program(name: str, lock: str) -> Path:
    """A program of `requirements/<lock>.txt`, installed; raises UnavailableError where it cannot be."""
    requirements = REQUIREMENTS / f"{lock}.txt"
    home = gobinaries.cache() / f"{lock}-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]}"
    done = home / "installed"  # written last: an installation that was stopped half-way is done again
    home.mkdir(parents=True, exist_ok=True)
    with gobinaries.locked(home.with_suffix(".lock")):
        if not done.exists():
            install(home, requirements)
            done.touch()
    return home / "bin" / name


def install(home: Path, requirements: Path) -> None:
    """Install what is locked, hashes verified."""
    venv.create(home, with_pip=True, clear=True)
    python = home / "bin" / Path(sys.executable).name
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        requirements,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        raise UnavailableError(f"{requirements.name}: cannot be installed: {done.stderr.strip()[-300:]}")
