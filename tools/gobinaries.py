"""Programs built from pinned Go modules, cached outside the repository.

A binary's path holds the hash of the manifest that pins it and of the source beside that, so one built from something
else is never taken for it, and two test processes that want the same one build it once.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools import gomodules
from tools.gomodules import UnavailableError

MANIFESTS = Path(__file__).parents[1] / "tests" / "go"
BUILD_SECONDS = 3600  # the whole of Crossplane on two busy cores, with every module still to be downloaded
CROSSPLANE = "github.com/crossplane"
# Where a manifest's programs keep their own version, and the module whose version it is. Built without it they call
# themselves v0.0.0 or nothing at all, which kubectl, KEDA and the package manager's constraints do not take.
VERSIONS = {
    "engine": (f"{CROSSPLANE}/crossplane-runtime/v2/pkg/version.version", f"{CROSSPLANE}/crossplane/v2"),
    "kubernetes": ("k8s.io/component-base/version.gitVersion", "k8s.io/kubernetes"),
}


@functools.cache
def build(manifest: str, package: str) -> Path:
    """The program of `package`, as pinned by `tests/go/<manifest>/go.mod` and its go.sum.

    Raises:
        UnavailableError: Go is not on this machine.
        RuntimeError: Go is here and could not build it; the message ends with Go's own.
    """
    if not shutil.which("go"):
        raise UnavailableError(f"{package}: Go is not on this machine")
    source = MANIFESTS / manifest
    pins = b"".join(path.read_bytes() for path in (source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))))
    pins += linked(manifest).encode()
    binary = cache() / hashlib.sha256(pins).hexdigest()[:16] / package.replace("/", "_")
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with locked(binary.with_name(f"{binary.name}.lock")):
            if not binary.exists():
                compile_into(binary, package, source, linked(manifest))
    return binary


def cache() -> Path:
    """Where what was built is kept: `$XDG_CACHE_HOME/agent-executor`, or `~/.cache/agent-executor`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-executor"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, which the kernel takes back from a process that dies."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def linked(manifest: str) -> str:
    """The linker's flags: no symbols, and the version where the program wants it from there."""
    if manifest not in VERSIONS:
        return "-s -w"
    variable, module = VERSIONS[manifest]
    return f"-s -w -X {variable}={gomodules.version(module, MANIFESTS / manifest)}"


def compile_into(binary: Path, package: str, source: Path, flags: str) -> None:
    """Build under another name first: a build that is stopped half-way leaves no binary."""
    unfinished = binary.with_name(f"{binary.name}.new")
    command = ["go", "build", "-trimpath", f"-ldflags={flags}", "-o", str(unfinished), package]
    done = subprocess.run(
        command, cwd=source, env=os.environ | {"CGO_ENABLED": "0"}, capture_output=True, text=True,
        timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{package}: `go build` in {source} failed: {done.stderr.strip()[-800:]}")
    unfinished.rename(binary)
