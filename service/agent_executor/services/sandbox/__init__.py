"""The walls around a tool script, as far as an unprivileged process can build them: no user namespace, no container.

`enter` is called once, in a process of its own that has run nothing of the script yet, and there is no way back out:
no new privileges, no capabilities, seccomp, Landlock, resource limits. `shield` protects the service from its
children: a process that cannot be dumped has an unreadable `/proc/<pid>/environ` and `mem` for others of the same
user. `report` says at start what this kernel does not give. Without seccomp there is no sandbox, and no script runs.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_executor.services.sandbox import landlock, seccomp, syscalls

PR_SET_DUMPABLE, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 4, 1, 38, 47, 4
SECCOMP_GET_ACTION_AVAIL = 2
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534
# What an import or a clock reads: libraries, time zones, certificates. Nothing that a service keeps for itself.
SYSTEM: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
    "/etc/mime.types", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/share",
)  # fmt: skip
RESOLVER: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services")
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):  # noqa: N818  # the sandbox is
    """The kernel gives no sandbox at all; the message says what is missing."""


@dataclass(frozen=True)
class Walls:
    """How much one worker may use. Bytes and seconds."""

    directory: str
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    open_files: int
    network: bool = False


def report() -> list[str]:
    """What the kernel does not give, one line each; empty when every wall stands. Changes nothing."""
    on = syscalls.machine()
    if on is None or not _has_seccomp(on):
        return ["seccomp is missing: tool scripts are refused; use Linux on x86_64 or aarch64 with seccomp filters"]
    gaps = landlock.missing(landlock.abi(_libc, on))
    if os.geteuid() == 0:
        gaps.append(
            "running as root: tool workers drop their capabilities, but an unprivileged user is the stronger wall"
        )
    return gaps


def shield() -> None:
    """Make this process impossible to dump, trace or read through `/proc` for others of its user."""
    _prctl(PR_SET_DUMPABLE, 0)


def enter(walls: Walls, parent: int) -> None:
    """Close this single-threaded process, forked by `parent`, in for good, and have it end when `parent` does.

    `Unavailable` without seccomp, OSError where the kernel refuses a wall that it has.
    """
    on = syscalls.machine()
    if on is None or not _has_seccomp(on):
        raise Unavailable(report()[0])
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    has_landlock = landlock.abi(_libc, on) > 0
    if os.geteuid() == 0 and not has_landlock:  # root owns too many files to stay root without Landlock
        os.chown(walls.directory, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _die_with(parent)
    # Behind Landlock no other worker can look into this one, and the service has to: `services.tools.unnamed`.
    _prctl(PR_SET_DUMPABLE, 1 if has_landlock else 0)
    _limit(walls)
    readable = (*_python(), *SYSTEM, *(RESOLVER if walls.network else ()))
    landlock.restrict(_libc, on, readable=readable, devices=DEVICES, own=walls.directory, network=walls.network)
    _drop_capabilities(on)
    seccomp.install(_libc, on, seccomp.program(on, os.getpid(), network=walls.network, changes=has_landlock))


def _die_with(parent: int) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after any change of user, which forgets it
    if os.getppid() != parent:  # it ended before the call above
        os._exit(1)


def _limit(walls: Walls) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])  # what the modules of the template already take
    # Not RLIMIT_NPROC: it counts the user's processes on the whole node, other pods' too. The filter refuses processes.
    limits = {
        resource.RLIMIT_AS: (walls.memory_bytes + pages * resource.getpagesize(),) * 2,
        resource.RLIMIT_CPU: (walls.cpu_seconds, walls.cpu_seconds + 1),  # SIGXCPU first, which says why; then SIGKILL
        resource.RLIMIT_FSIZE: (walls.file_bytes,) * 2,
        resource.RLIMIT_NOFILE: (walls.open_files,) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    for which, pair in limits.items():
        most = resource.getrlimit(which)[1]
        resource.setrlimit(which, pair if most == resource.RLIM_INFINITY else (min(pair[0], most), min(pair[1], most)))


def _python() -> set[str]:
    """Where Python's own and installed modules are; not `sys.path`, where an editable install puts its repository."""
    paths = sysconfig.get_paths()
    return {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {
        str(Path(sys.base_prefix, "lib"))
    }


def _drop_capabilities(on: syscalls.Machine) -> None:
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # fails only where there are none
    head = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    if _libc.syscall(syscalls.number("capset", on), ctypes.c_char_p(head), ctypes.c_char_p(bytes(24))) != 0:
        raise OSError(ctypes.get_errno(), "capset: the kernel refused")


def _has_seccomp(on: syscalls.Machine) -> bool:
    action = ctypes.c_uint32(seccomp.ERRNO)
    call = syscalls.number("seccomp", on)
    return bool(_libc.syscall(call, SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}): the kernel refused")
