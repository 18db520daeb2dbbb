"""The files that a tool worker may reach, by Landlock: what is listed, and nothing else, not even `/proc`.

A ruleset holds every right that this kernel can hold back, so a newer kernel holds back more; `missing` says what an
older one cannot. A process under Landlock can also trace or read the memory of none outside, root or not. Source:
Linux `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h`.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from agent_executor.services.sandbox import syscalls
from agent_executor.services.sandbox.syscalls import Machine

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ: Final = READ_FILE | READ_DIR
OF_A_FILE: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
RIGHTS_OF_ABI: Final = ((5, 16), (3, 15), (2, 14), (1, 13))  # from this ABI on, so many of the rights above
NETWORK_ABI, SCOPE_ABI = 4, 6
TCP: Final = 0b11  # bind, connect
SCOPES: Final = 0b11  # abstract Unix sockets, signals
PATH_BENEATH = 1


def abi(libc: ctypes.CDLL, on: Machine) -> int:
    """The kernel's Landlock version; 0 when it has none or it is switched off."""
    return max(0, int(libc.syscall(syscalls.number("landlock_create_ruleset", on), None, 0, 1)))


def missing(version: int) -> list[str]:
    """What a kernel with this ABI cannot hold back, in words. What ABIs above 0 lack, seccomp makes up for."""
    if version:
        return []
    gap = "Landlock is missing: tool scripts can read every file that this user can, and write none at all"
    return [f"{gap}; Linux 5.13 or newer with Landlock switched on would be right"]


def restrict(
    libc: ctypes.CDLL, on: Machine, *, readable: Iterable[str], devices: Iterable[str], own: str, network: bool
) -> None:
    """Leave this process `readable` to read, `devices` to read and write, and `own` to do with as it likes.

    Paths that do not exist are passed over. Needs no_new_privs. OSError when the kernel refuses.
    """
    version = abi(libc, on)
    if version == 0:
        return
    rights = (1 << next(count for since, count in RIGHTS_OF_ABI if version >= since)) - 1
    attributes = struct.pack(
        "=QQQ",
        rights,
        TCP if version >= NETWORK_ABI and not network else 0,
        SCOPES if version >= SCOPE_ABI else 0,
    )
    size = 24 if version >= SCOPE_ABI else 16 if version >= NETWORK_ABI else 8
    ruleset = _call(libc, on, "landlock_create_ruleset", ctypes.c_char_p(attributes), size, 0)
    try:
        for path in readable:
            _allow(libc, on, ruleset, path, READ & rights)
        for path in devices:
            _allow(libc, on, ruleset, path, (READ_FILE | WRITE_FILE) & rights)
        _allow(libc, on, ruleset, own, rights & ~(MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEV | EXECUTE))
        _call(libc, on, "landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, on: Machine, ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= OF_A_FILE
        rule = struct.pack("=Qi", rights, opened)  # struct landlock_path_beneath_attr, packed
        _call(libc, on, "landlock_add_rule", ruleset, PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(opened)


def _call(libc: ctypes.CDLL, on: Machine, name: str, *arguments: object) -> int:
    done = int(libc.syscall(syscalls.number(name, on), *arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"{name}: the kernel refused")
    return done
