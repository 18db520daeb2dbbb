"""A pause image: what containerd runs first in every pod, on a machine that reaches no registry."""

import sys
from pathlib import Path

from tools import gobinaries, scratch_image
from tools.gomodules import status

NAME = "localhost/agent-executor-pause:1"  # a name that nobody can mistake for Kubernetes' own, or pull
PROGRAM = ("pause", "agent-executor/tests/pause")


def tarball() -> Path:
    """The image's tarball, which lies beside the binary that is in it.

    Raises:
        UnavailableError: Go is not on this machine.
    """
    binary = gobinaries.build(*PROGRAM)
    return scratch_image.written(binary.with_name("pause.tar"), image(binary.read_bytes()))


def image(binary: bytes) -> bytes:
    """The tarball of an image that holds one program and runs it as nobody."""
    return scratch_image.image(NAME, {"pause": binary}, {"Entrypoint": ["/pause"], "User": "65535:65535"})


def main() -> None:
    print(NAME, tarball())


if __name__ == "__main__":
    sys.exit(status(main))
