"""The filter on system calls that a tool worker puts on itself: classic BPF, assembled here as the kernel reads it.

Whatever is not allowed fails with EPERM, which a script sees as a PermissionError; a call of another architecture
kills the process, since its numbers mean other calls. The order of instructions is the whole logic: architecture,
number, arguments. Sources: Linux `Documentation/userspace-api/seccomp_filter.rst`,
`include/uapi/linux/{seccomp,filter,bpf_common}.h`.
"""

import ctypes
import errno
import struct
from typing import Final

from agent_executor.services.sandbox import syscalls
from agent_executor.services.sandbox.syscalls import Machine

LOAD, EQUAL, ANY_BIT, MASK, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # BPF_LD|W|ABS, JEQ|K, JSET|K, ALU|AND|K, RET|K
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCH = 0, 4  # offsets in struct seccomp_data; argument i is at 16 + 8 * i, its low half first on both machines
SECCOMP_SET_MODE_FILTER = 1

O_WRITING, O_CREAT, O_TRUNC = 0o3, 0o100, 0o1000  # O_WRONLY | O_RDWR, and two that are the same on both machines
CLONE_FILES, CLONE_THREAD = 0x00000400, 0x00010000
CLOSE_RANGE: Final = (0, 4)  # CLOSE_RANGE_CLOEXEC; not CLOSE_RANGE_UNSHARE
CLONE_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
# Not F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: through them the kernel signals any process of this user.
FCNTL: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
IOCTL: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX
PRCTL: Final = (15, 16)  # PR_SET_NAME, PR_GET_NAME: thread names
INTERNET: Final = (2, 10)  # AF_INET, AF_INET6; never AF_UNIX (the node's sockets) nor AF_NETLINK
AF_UNIX = 1
# SOCK_STREAM, SOCK_SEQPACKET: such a pair is connected for good. SOCK_DGRAM, which SOCK_RAW becomes, sends and connects
# to any socket that has a path, and no wall of Landlock's is around those.
CONNECTED: Final = (1, 5)
SOCKET_FLAGS: Final = 0o2004000  # SOCK_CLOEXEC | SOCK_NONBLOCK, in the same argument; the same on both machines

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def program(on: Machine, pid: int, *, network: bool, changes: bool) -> list[Instruction]:
    """The filter of the process `pid`, which may signal nobody but itself.

    Without `changes`, files can be read only: for a kernel where nothing else bounds what a path may name.
    """
    allowed = syscalls.numbers(syscalls.ALWAYS, on)
    if network:
        allowed += syscalls.numbers(syscalls.NETWORK, on)
    if changes:
        allowed += syscalls.numbers(syscalls.CHANGES, on)
    code: list[Instruction] = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, on.audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    for number in allowed:
        code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code += _when("clone3", on, [(RETURN, 0, 0, ERRNO | errno.ENOSYS)])  # its flags are out of reach: libc uses clone
    code += _when("clone", on, _thread())
    code += _when("openat", on, _opening(2, changes=changes))
    if on.column == 0:
        opening = _opening(1, changes=changes)
        code += [(EQUAL, 0, len(opening), syscalls.OPEN_ON_X86), *opening]
    code += _when("kill", on, _one_of(0, (pid,)))
    code += _when("tgkill", on, _one_of(0, (pid,)))
    code += _when("prlimit64", on, _one_of(0, (0, pid)))
    code += _when("fcntl", on, _one_of(1, FCNTL))
    code += _when("ioctl", on, _one_of(1, IOCTL))
    code += _when("prctl", on, _one_of(0, PRCTL))
    code += _when("close_range", on, _one_of(2, CLOSE_RANGE))
    code += _when("socketpair", on, _pair())
    if network:
        code += _when("socket", on, _one_of(0, INTERNET))
    # With a network every socket that can send to an address is an internet one. Of sendmsg and sendmmsg, which keep
    # the address out of sight, there is nothing to allow without one.
    code += _when("sendto", on, [(RETURN, 0, 0, ALLOW)] if network else _to_its_peer())
    return [*code, (RETURN, 0, 0, ERRNO | errno.EPERM)]


def install(libc: ctypes.CDLL, on: Machine, code: list[Instruction]) -> None:
    """Put the filter on this thread (the only one); needs no_new_privs. OSError when the kernel refuses."""
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    head = struct.pack("@HP", len(code), ctypes.addressof(buffer))  # struct sock_fprog
    done = libc.syscall(syscalls.number("seccomp", on), SECCOMP_SET_MODE_FILTER, 0, ctypes.c_char_p(head))
    if done != 0:
        raise OSError(ctypes.get_errno(), "seccomp: the kernel refused the filter")


def _when(name: str, on: Machine, body: list[Instruction]) -> list[Instruction]:
    return [(EQUAL, 0, len(body), syscalls.number(name, on)), *body]


def _one_of(argument: int, values: tuple[int, ...], *, besides: int = 0) -> list[Instruction]:
    """Whether an argument is one of the values, whatever bits it has `besides`."""
    body: list[Instruction] = [(LOAD, 0, 0, 16 + 8 * argument), (MASK, 0, 0, ~besides & 0xFFFFFFFF)]
    for value in values:
        body += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    return [*body, (RETURN, 0, 0, ERRNO | errno.EPERM)]


def _opening(flags: int, *, changes: bool) -> list[Instruction]:
    body: list[Instruction] = [(LOAD, 0, 0, 16 + 8 * flags)]
    if changes:  # a file opened to be read must not be emptied by it: Landlock before Linux 6.2 would let it
        body += [(ANY_BIT, 0, 2, O_TRUNC), (ANY_BIT, 1, 0, O_WRITING), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    else:
        body += [(ANY_BIT, 0, 1, O_WRITING | O_CREAT | O_TRUNC), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    return [*body, (RETURN, 0, 0, ALLOW)]


def _pair() -> list[Instruction]:
    family: list[Instruction] = [(LOAD, 0, 0, 16), (EQUAL, 1, 0, AF_UNIX), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    return [*family, *_one_of(1, CONNECTED, besides=SOCKET_FLAGS)]


def _to_its_peer() -> list[Instruction]:
    """Without an address: both halves of the pointer are null."""
    halves = [(LOAD, 0, 0, 48), (EQUAL, 0, 2, 0), (LOAD, 0, 0, 52), (EQUAL, 1, 0, 0)]
    return [*halves, (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ALLOW)]


def _thread() -> list[Instruction]:
    return [
        (LOAD, 0, 0, 16),
        (ANY_BIT, 0, 3, CLONE_THREAD),
        (ANY_BIT, 0, 2, CLONE_FILES),  # whoever watches the worker looks at one table of open files
        (ANY_BIT, 1, 0, CLONE_NAMESPACES),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
    ]
