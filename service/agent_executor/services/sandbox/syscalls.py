"""What a tool script may ask of the kernel: the allowed system calls and their numbers on two machines.

An allow-list, so that a call this list does not know (ptrace, io_uring, execve, fork, mount, the next one invented) is
refused. Numbers: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and, for aarch64, `include/uapi/asm-generic/unistd.h`;
None where a machine does not have the call. Calls whose arguments matter stand in `seccomp.py`, not here.
"""

import platform
from typing import Final, NamedTuple


class Machine(NamedTuple):
    """One of the two machines: its AUDIT_ARCH value (`linux/audit.h`) and its column in the tables."""

    audit: int
    column: int


MACHINES: Final = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

# Not fallocate, which fills a disk before anybody can look. Nor, further down, what gives a thread files of its own.
FILES: Final = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286), "pwritev2": (328, 287),
    "lseek": (8, 62), "close": (3, 57), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "getdents": (78, None), "getdents64": (217, 61), "readlink": (89, None), "readlinkat": (267, 78),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "ftruncate": (77, 46),
    "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32), "umask": (95, 166), "statfs": (137, 43),
    "fstatfs": (138, 44), "sendfile": (40, 71), "copy_file_range": (326, 285), "fadvise64": (221, 223),
}  # fmt: skip
# Changes by path: allowed where Landlock bounds the paths. Never what Landlock lets pass: chmod, chown, utime and
# extended attributes of any file of this user, and, before Linux 6.2, truncate(2).
CHANGES: Final = {
    "creat": (85, None), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None),
    "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
}  # fmt: skip
MEMORY: Final = {
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "msync": (26, 227), "mincore": (27, 232), "membarrier": (324, 283),
}  # fmt: skip
WAITING: Final = {
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd": (284, None), "eventfd2": (290, 19), "pipe": (22, None), "pipe2": (293, 59),
    "timerfd_create": (283, 85), "timerfd_settime": (286, 86), "timerfd_gettime": (287, 87), "futex": (202, 98),
    "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293), "set_tid_address": (218, 96),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "pause": (34, None), "restart_syscall": (219, 128), "wait4": (61, 260),
    "waitid": (247, 95), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
# A pair of connected sockets is what an asyncio loop wakes itself with. It reaches nobody else: `seccomp.py` says which
# pairs there are, and that what is sent goes to the other end.
PAIRS: Final = {
    "recvfrom": (45, 207), "getsockopt": (55, 209), "setsockopt": (54, 208), "getsockname": (51, 204),
    "getpeername": (52, 205), "shutdown": (48, 210),
}  # fmt: skip
SIGNALS: Final = {
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137), "sigaltstack": (131, 132), "alarm": (37, None),
    "setitimer": (38, 103), "getitimer": (36, 102),
}  # fmt: skip
FACTS: Final = {
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getresuid": (118, 148),
    "getresgid": (120, 150), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getrusage": (98, 165), "getrlimit": (97, 163), "sysinfo": (99, 179), "uname": (63, 160),
    "getrandom": (318, 278), "getpriority": (140, 141),
}  # fmt: skip
NETWORK: Final = {
    "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "sendmmsg": (307, 269), "recvmmsg": (299, 243),
}  # fmt: skip
# Allowed for some arguments only (seccomp.py), or called by the sandbox itself before the filter stands.
SPECIAL: Final = {
    "openat": (257, 56), "clone": (56, 220), "clone3": (435, 435), "kill": (62, 129), "tgkill": (234, 131),
    "fcntl": (72, 25), "ioctl": (16, 29), "prctl": (157, 167), "prlimit64": (302, 261), "socket": (41, 198),
    "socketpair": (53, 199), "sendto": (44, 206), "seccomp": (317, 277), "capset": (126, 91),
    "close_range": (436, 436), "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip
ALWAYS: Final = {**FILES, **MEMORY, **WAITING, **PAIRS, **SIGNALS, **FACTS}


def machine() -> Machine | None:
    """This machine, or None when its numbers are not known here."""
    return MACHINES.get(platform.machine())


def numbers(names: dict[str, tuple[int, int]] | dict[str, tuple[int, int | None]], on: Machine) -> list[int]:
    """The numbers of a table's calls on a machine, sorted."""
    return sorted(number for pair in names.values() if (number := pair[on.column]) is not None)


OPEN_ON_X86: Final = 2  # open(2) itself; elsewhere there is only openat


def number(name: str, on: Machine) -> int:
    """The number of one of `SPECIAL`, all of which both machines have."""
    return SPECIAL[name][on.column]
