"""The few steps between fork and exec of an embedded server: die with the parent, and never run PostgreSQL as root.

Run as a program (`python -I -S embedded_child.py PARENT_PID [--drop-root] COMMAND…`) with the server's own directory as
the working directory. It imports nothing but the standard library, so that a start costs 20 ms.

PostgreSQL refuses root. Root becomes an ordinary user in one of two ways, and both reach files under 0700 parents:
a user namespace with one entry (root outside, user 1000 inside: still the owner of every file), or, where the kernel or
a container's seccomp profile refuses that, user 65534 that keeps only the capability to pass file permissions.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

INSIDE, NOBODY = 1000, 65534  # user ids
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h


def main() -> None:
    """Become the command that the arguments name."""
    parent, arguments = int(sys.argv[1]), sys.argv[2:]
    if arguments[0] == "--drop-root":
        arguments = arguments[1:]
        if os.geteuid() == 0:
            drop_root()
    if sys.platform == "linux":
        # After the change of user, which clears it.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            sys.exit("the parent process has gone")
    os.execv(arguments[0], arguments)  # noqa: S606  # the command comes from embedded.py alone


def drop_root() -> None:
    """Make this process an ordinary user's; the working directory and what is in it becomes that user's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    own(Path.cwd(), 0)
    group = os.getegid()  # asked before: inside, it has no name yet
    if libc.unshare(CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{INSIDE} 0 1")
        Path("/proc/self/gid_map").write_text(f"{INSIDE} {group} 1")
        return
    own(Path.cwd(), NOBODY)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)()  # (effective, permitted, inheritable) for capabilities 0-31, then for 32-63
    libc.capget(header, capabilities)
    kept = capabilities[1] & (1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    libc.prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0))
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if kept & 1 << capability:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def own(directory: Path, user: int) -> None:
    """Give the directory to the user, unless it already is theirs."""
    if directory.stat().st_uid == user:
        return
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


if __name__ == "__main__":
    main()
