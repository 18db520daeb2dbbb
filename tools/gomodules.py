"""Files of pinned Go modules, verified against the go.sum beside the pin.

`tests/go/crds/go.mod` names the versions; Go's module cache, outside the repository, holds the files.
"""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CRDS = Path(__file__).parents[1] / "tests" / "go" / "crds"


class UnavailableError(RuntimeError):
    """The module cannot be had on this machine; the message says why."""


def status(work: Callable[[], None]) -> int:
    """Do a tool's work, and return its exit status; what cannot be had is one line, and no traceback."""
    try:
        work()
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@functools.cache
def version(module: str, manifest: Path = CRDS) -> str:
    """The version that the manifest pins, read without Go."""
    words = (line.split() for line in (manifest / "go.mod").read_text().splitlines())
    return next(line[1] for line in words if line[:1] == [module])


@functools.cache
def directory(module: str, manifest: Path = CRDS) -> Path:
    """Where the module's files are, downloaded if need be; raises UnavailableError without Go or network."""
    if not shutil.which("go"):
        raise UnavailableError(f"{module}: Go is not on this machine")
    pin = f"{module}@{version(module, manifest)}"
    done = subprocess.run(
        ["go", "mod", "download", "-json", pin], cwd=manifest, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        reason = json.loads(done.stdout or "{}").get("Error") or done.stderr
        if "SECURITY ERROR" in reason + done.stderr:
            raise RuntimeError(f"{pin}: does not match {manifest / 'go.sum'}: {done.stderr.strip()}")
        raise UnavailableError(f"{pin}: {reason.strip()}")
    return Path(json.loads(done.stdout)["Dir"])
