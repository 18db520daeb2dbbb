"""The network namespace that a lab lives in, and the one pair of addresses between it and the machine.

kube-proxy and the CNI plugins write rules and routes, and some programs listen on ports that nobody can change: in a
namespace of their own they never touch the machine's. It is entered with `nsenter --net`, because `ip netns exec` hides
the cgroups that the kubelet needs.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.gomodules import UnavailableError

OUTSIDE, INSIDE = "10.254.{n}.1", "10.254.{n}.2"


@dataclass(frozen=True)
class Network:
    """The address inside, which the machine reaches too, and the namespace's name."""

    address: str
    name: str

    @property
    def enter(self) -> tuple[str, ...]:
        """The beginning of a command that runs inside."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def enter_with(self, resolv_conf: Path) -> tuple[str, ...]:
        """The same, for a program that looks names up: with another /etc/resolv.conf than the machine's."""
        script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
        return (*self.enter, "unshare", "--mount", "sh", "-c", script, "sh", str(resolv_conf))


def possible() -> None:
    """Refuse a machine on which no namespace can be named.

    Raises:
        UnavailableError: not root, or iproute2 is not on this machine.
    """
    if os.geteuid():
        raise UnavailableError("only root makes a network namespace")
    if not shutil.which("ip"):
        raise UnavailableError("ip is not on this machine (Debian has it in iproute2)")


def attached(name: str, pid: int, address: str) -> Network:
    """The one that a process is in already, given a name; the janitor of the lab removes the name."""
    subprocess.run(["ip", "netns", "attach", name, str(pid)], check=True, capture_output=True)
    return Network(address, name)


def namespace(name: str) -> Network:
    """A new one; the janitor of the lab removes it.

    Raises:
        UnavailableError: not root, or iproute2 is not on this machine.
    """
    possible()
    used = subprocess.run(["ip", "-o", "-4", "address"], capture_output=True, text=True, check=True).stdout
    n = next(n for n in range(256) if OUTSIDE.format(n=n) not in used)
    outside, inside, link = OUTSIDE.format(n=n), INSIDE.format(n=n), f"aex{n}"
    for command in (
        f"ip netns add {name}",
        f"ip link add {link} type veth peer name eth0 netns {name}",
        f"ip address add {outside}/30 dev {link}",
        f"ip link set {link} up",
        f"ip -n {name} address add {inside}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} link set lo up",
        # The kubelet and kube-proxy want a default route; there is nothing behind it.
        f"ip -n {name} route add default via {outside}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    return Network(inside, name)
