"""Programs of the outside, faked by a script each, on a PATH that has little else."""

import shutil
from pathlib import Path

NEEDED = ("cat", "chroot", "cp", "git", "mkdir", "setpriv", "sh", "tar", "touch", "unshare")


def path(directory: Path, **scripts: str) -> str:
    """A PATH with the named scripts, and with what scripts and tools are made of."""
    directory.mkdir(exist_ok=True)
    for name in NEEDED:
        found = shutil.which(name)
        if found and not (directory / name).exists():
            (directory / name).symlink_to(found)
    for name, script in scripts.items():
        file = directory / name.replace("_", "-")
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return str(directory)
