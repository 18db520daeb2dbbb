"""The two ways to a cluster: out of plain binaries, or kind's. `E2E_CLUSTER` picks one, and it is read here only.

Both give the same: a control plane that goes with its block and has nobody to run pods, and a node for it when asked.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from tests.e2e.lab import control_plane, kind, network, node, processes, state
from tests.e2e.lab.control_plane import ControlPlane
from tools.images import Image

VARIABLE = "E2E_CLUSTER"


class Node(Protocol):
    """A node that is ready."""

    def load(self, image: Image, *names: str) -> None:
        """Give the node an image, under further names too."""


class Way(NamedTuple):
    """How to start a control plane, given a name for its directory and one for its network, and then its node."""

    control_plane: Callable[[str, str], AbstractContextManager[ControlPlane]]
    node: Callable[[ControlPlane], Node]


@contextlib.contextmanager
def binaries(name: str, unique: str) -> Iterator[ControlPlane]:
    """A control plane of processes, in a network namespace that is made for it."""
    with state.directory(name, unique) as root:
        inside = network.namespace(unique)
        with processes.running(root, inside, nameserver=inside.address) as running:
            yield control_plane.start(root, inside, running)


WAYS = {"binaries": Way(binaries, node.start), "kind": Way(kind.control_plane, kind.node)}


def asked() -> Way:
    """The way that is asked for."""
    name = os.environ.get(VARIABLE) or "binaries"
    if name not in WAYS:
        raise ValueError(f"{VARIABLE}={name}: it is one of {', '.join(WAYS)}")
    return WAYS[name]


def plane(name: str) -> AbstractContextManager[ControlPlane]:
    """A control plane that shares nothing with any other."""
    return asked().control_plane(name, f"aex-{secrets.token_hex(4)}")
