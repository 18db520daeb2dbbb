"""Images from scratch: static programs in a tarball as `docker save` writes them, for machines that reach no registry.

No engine is needed, and the same programs make the same bytes.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's name to the one in an image


def written(into: Path, content: bytes) -> Path:
    """A file that holds this, whole from its first moment on, and left alone if it did already."""
    if not into.exists() or into.read_bytes() != content:
        unfinished = into.with_name(f"{into.name}.new")
        unfinished.write_bytes(content)
        unfinished.rename(into)
    return into


def image(name: str, programs: Mapping[str, bytes], config: Mapping[str, object]) -> bytes:
    """The tarball of an image of this name that holds programs, by their paths without the first slash."""
    layer = archive(programs, mode=0o755)
    described = encoded(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
            "history": [{"created_by": "agent-executor"}],
        }
    )
    named = f"{digest(described)}.json"
    manifest = encoded([{"Config": named, "RepoTags": [name], "Layers": ["layer.tar"]}])
    return archive({named: described, "layer.tar": layer, "manifest.json": manifest}, mode=0o644)


def archive(files: Mapping[str, bytes], mode: int) -> bytes:
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
