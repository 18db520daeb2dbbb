"""The image of the platform tree's stream Jobs, where no hub has it: the same `nats`, and busybox for their shell."""

import shutil
import subprocess
from pathlib import Path

from tools import gobinaries, scratch_image
from tools.gomodules import UnavailableError
from tools.images import Image

NATS = ("nats", "github.com/nats-io/natscli/nats")


def image(name: str) -> Image:
    """An image of the name that the Jobs have.

    Raises:
        UnavailableError: Go, or a shell that needs no libraries, is not on this machine.
    """
    nats = gobinaries.build(*NATS)
    programs = {"bin/sh": _shell().read_bytes(), "usr/local/bin/nats": nats.read_bytes()}
    content = scratch_image.image(name, programs, {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/local/bin:/bin"]})
    return Image(name, scratch_image.written(nats.with_name("nats-box.tar"), content))


def _shell() -> Path:
    busybox = shutil.which("busybox")
    # Debian has one that needs its C library, too.
    if not busybox or subprocess.run(["ldd", busybox], capture_output=True, check=False).returncode == 0:
        raise UnavailableError("a stream Job needs Debian's busybox-static")
    return Path(busybox)
