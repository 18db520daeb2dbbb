"""A pause image, made from scratch: what containerd runs first in every pod, on a machine that reaches no registry.

One static binary of our own in a tarball as `docker save` writes them. No engine is needed, and the same binary makes
the same bytes.
"""

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

from tools import gobinaries
from tools.gomodules import status

NAME = "localhost/agent-executor-pause:1"  # a name that nobody can mistake for Kubernetes' own, or pull
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's name to the one in an image
PROGRAM = ("pause", "agent-executor/tests/pause")


def tarball() -> Path:
    """The image's tarball, which lies beside the binary that is in it.

    Raises:
        UnavailableError: Go is not on this machine.
    """
    binary = gobinaries.build(*PROGRAM)
    made = binary.with_name("pause.tar")
    content = image(binary.read_bytes())
    if not made.exists() or made.read_bytes() != content:
        unfinished = made.with_name("pause.tar.new")
        unfinished.write_bytes(content)
        unfinished.rename(made)
    return made


def image(binary: bytes) -> bytes:
    """The tarball of an image that holds one program and runs it as nobody."""
    layer = archive({"pause": binary}, mode=0o755)
    config = encoded(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
            "history": [{"created_by": "agent-executor"}],
        }
    )
    named = f"{digest(config)}.json"
    manifest = encoded([{"Config": named, "RepoTags": [NAME], "Layers": ["layer.tar"]}])
    return archive({named: config, "layer.tar": layer, "manifest.json": manifest}, mode=0o644)


def archive(files: dict[str, bytes], mode: int) -> bytes:
    """A tarball with nothing in it that depends on when and by whom it was made."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def encoded(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    print(NAME, tarball())


if __name__ == "__main__":
    sys.exit(status(main))
