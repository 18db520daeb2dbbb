"""A registry on loopback with our packages in it, under the names that Git has."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.lab.network import Network
from tests.e2e.lab.processes import LabError, Processes
from tools import gobinaries, packages

CRANE = ("registry", "github.com/google/go-containerregistry/cmd/crane")
PORT = 5000
PUBLIC = "ghcr.io/arun4infra"


@dataclass(frozen=True)
class Registry:
    """A running registry; `prefix` stands for PUBLIC."""

    prefix: str
    enter: tuple[str, ...]

    def push(self, tarball: Path, name: str) -> str:
        """Push an image or a package, and return its reference here."""
        reference = f"{self.prefix}/{name}"
        command = [*self.enter, gobinaries.build(*CRANE), "push", "--insecure", tarball, reference]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"crane push {reference}: {done.stderr.strip()[-1000:]}")
        return reference

    def push_packages(self, into: Path, runtime: Path | None = None) -> None:
        """Build our three packages and push them; `runtime` is the function's image, to be embedded."""
        for name in packages.PACKAGES:
            embedded = runtime if name == packages.FUNCTION else None
            self.push(packages.build(name, into, embedded), f"{name}:v{packages.version()}")

    @property
    def image_config(self) -> dict[str, Any]:
        """What makes Crossplane ask here for what Git names, as on a platform with a mirror."""
        match = [{"type": "Prefix", "prefix": PUBLIC}]
        return {
            "apiVersion": "pkg.crossplane.io/v1beta1",
            "kind": "ImageConfig",
            "metadata": {"name": "mirror"},
            "spec": {"matchImages": match, "rewriteImage": {"prefix": self.prefix}},
        }


def start(network: Network, processes: Processes) -> Registry:
    """Start one. It speaks HTTP, which its clients take from a registry at localhost, and from no other."""
    log = processes.root / "logs" / "registry.log"
    command = [gobinaries.build(*CRANE), "registry", "serve", f"--address=127.0.0.1:{PORT}"]
    processes.start("registry", command, lambda: "serving" in log.read_text(errors="replace"))
    return Registry(f"localhost:{PORT}/arun4infra", network.enter)
