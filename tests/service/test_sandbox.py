"""The walls one by one: the filter as the kernel would read it, on both machines, and what a worker may still do."""

import ctypes
import errno
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_executor.services import sandbox
from agent_executor.services.sandbox import landlock, seccomp, syscalls
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Content, Limits

PID = 4711
ALLOWED, REFUSED, UNKNOWN, KILLED = "allowed", "refused", "unknown", "killed"
VERDICTS = {
    seccomp.ALLOW: ALLOWED,
    seccomp.ERRNO | errno.EPERM: REFUSED,
    seccomp.ERRNO | errno.ENOSYS: UNKNOWN,
    seccomp.KILL: KILLED,
}
THREAD = 0x003D0F00  # what libc passes to clone for a thread
CASES: dict[str, tuple[str, tuple[int, ...], str]] = {
    "reading": ("read", (0, 0, 9), ALLOWED),
    "a thread": ("clone", (THREAD,), ALLOWED),
    "a process": ("clone", (0x01200011,), REFUSED),
    "a thread in a new namespace": ("clone", (THREAD | 0x10000000,), REFUSED),
    "a thread with open files of its own": ("clone", (THREAD & ~0x400,), REFUSED),
    "open files of its own": ("close_range", (3, 9, 2), REFUSED),
    "closing files": ("close_range", (3, 9, 0), ALLOWED),
    "a clone whose flags cannot be seen": ("clone3", (), UNKNOWN),
    "a signal to itself": ("kill", (PID, 9), ALLOWED),
    "a signal to another": ("kill", (PID + 1, 9), REFUSED),
    "a signal to everybody": ("kill", (0xFFFFFFFF, 9), REFUSED),
    "a signal to its group": ("kill", (0, 9), REFUSED),
    "a signal to one of its threads": ("tgkill", (PID, PID, 6), ALLOWED),
    "a signal to another's thread": ("tgkill", (PID + 1, PID, 6), REFUSED),
    "its own limits": ("prlimit64", (0, 7), ALLOWED),
    "another's limits": ("prlimit64", (PID + 1, 7), REFUSED),
    "duplicating a file": ("fcntl", (3, 1030, 0), ALLOWED),
    "signals by way of a file": ("fcntl", (3, 8, 1), REFUSED),
    "asking for a terminal": ("ioctl", (1, 0x5401), ALLOWED),
    "typing into a terminal": ("ioctl", (1, 0x5412), REFUSED),
    "a thread's name": ("prctl", (15, 0), ALLOWED),
    "being dumpable again": ("prctl", (4, 1), REFUSED),
    "a socket": ("socket", (2, 1, 0), REFUSED),
    "a pair of streams": ("socketpair", (1, 1, 0), ALLOWED),
    "a pair of streams, as libc asks for it": ("socketpair", (1, 0o2004001, 0), ALLOWED),
    "a pair of connections that keep packets apart": ("socketpair", (1, 5, 0), ALLOWED),
    "a pair of datagram sockets": ("socketpair", (1, 2, 0), REFUSED),
    "a pair of datagram sockets with flags": ("socketpair", (1, 0o2004002, 0), REFUSED),
    "a pair of raw sockets": ("socketpair", (1, 3, 0), REFUSED),
    "a pair of streams in another family": ("socketpair", (30, 1, 0), REFUSED),
    "sending to the other end": ("sendto", (3, 0, 9, 0, 0, 0), ALLOWED),
    "sending to an address": ("sendto", (3, 0, 9, 0, 0x7FFC, 110), REFUSED),
    "sending to an address with a low half of zeros": ("sendto", (3, 0, 9, 0, 0x7F0000000000, 110), REFUSED),
    "a filter of its own": ("seccomp", (1, 0, 0), REFUSED),
    "capabilities": ("capset", (0, 0), REFUSED),
    "opening to write": ("openat", (0, 0, 0o1101), ALLOWED),
    "emptying by opening to read": ("openat", (0, 0, 0o1000), REFUSED),
}


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize(("name", "arguments", "verdict"), CASES.values(), ids=CASES)
def test_the_filter_on(machine: str, name: str, arguments: tuple[int, ...], verdict: str) -> None:
    on = syscalls.MACHINES[machine]
    number = {**syscalls.ALWAYS, **syscalls.SPECIAL}[name][on.column]

    assert judge(seccomp.program(on, PID, network=False, changes=True), on.audit, number, arguments) == verdict


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_filter_refuses_every_call_it_does_not_list(machine: str) -> None:
    on = syscalls.MACHINES[machine]
    code = seccomp.program(on, PID, network=False, changes=True)
    listed = {n for table in (syscalls.ALWAYS, syscalls.CHANGES) for n in syscalls.numbers(table, on)}
    special = {pair[on.column] for pair in syscalls.SPECIAL.values()} | {syscalls.OPEN_ON_X86}
    others = set(range(600)) - listed - special

    assert {judge(code, on.audit, number, ()) for number in others} == {REFUSED}
    assert {judge(code, on.audit, number | 0x40000000, ()) for number in range(600)} == {REFUSED}  # x32


def test_a_call_of_another_architecture_kills() -> None:
    x86, arm = (syscalls.MACHINES[name] for name in ("x86_64", "aarch64"))

    assert judge(seccomp.program(x86, PID, network=False, changes=True), arm.audit, 63, ()) == KILLED
    assert judge(seccomp.program(arm, PID, network=False, changes=True), 0x40000028, 0, ()) == KILLED  # 32-bit Arm


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize(
    ("family", "verdict"), [(2, ALLOWED), (10, ALLOWED), (1, REFUSED), (16, REFUSED), (17, REFUSED)]
)
def test_with_a_network_only_internet_sockets(machine: str, family: int, verdict: str) -> None:
    on = syscalls.MACHINES[machine]
    code = seccomp.program(on, PID, network=True, changes=True)

    assert judge(code, on.audit, syscalls.number("socket", on), (family, 1, 0)) == verdict
    assert judge(code, on.audit, syscalls.NETWORK["connect"][on.column], ()) == ALLOWED
    assert judge(code, on.audit, syscalls.number("sendto", on), (3, 0, 9, 0, 0x7FFC, 16)) == ALLOWED
    # The calls of this table keep the address out of sight, and a pair of datagram sockets would send to any path.
    assert judge(code, on.audit, syscalls.number("socketpair", on), (1, 2, 0)) == REFUSED


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_without_a_network_nothing_sends_to_an_address_out_of_sight(machine: str) -> None:
    on = syscalls.MACHINES[machine]
    code = seccomp.program(on, PID, network=False, changes=True)

    assert {judge(code, on.audit, n, ()) for n in syscalls.numbers(syscalls.NETWORK, on)} == {REFUSED}


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize(
    ("flags", "verdict"), [(0, ALLOWED), (1, REFUSED), (2, REFUSED), (0o100, REFUSED), (0o1000, REFUSED)]
)
def test_without_landlock_files_are_read_only(machine: str, flags: int, verdict: str) -> None:
    on = syscalls.MACHINES[machine]
    code = seccomp.program(on, PID, network=False, changes=False)

    assert judge(code, on.audit, syscalls.number("openat", on), (0, 0, flags)) == verdict
    assert {judge(code, on.audit, n, ()) for n in syscalls.numbers(syscalls.CHANGES, on)} == {REFUSED}


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_no_number_stands_for_two_calls(machine: str) -> None:
    on = syscalls.MACHINES[machine]
    tables = (syscalls.ALWAYS, syscalls.CHANGES, syscalls.NETWORK, syscalls.SPECIAL)
    numbers = [number for table in tables for number in syscalls.numbers(table, on)]

    assert len(numbers) == len(set(numbers))


GAPS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "another machine": (lambda patch: patch.setattr(syscalls, "machine", lambda: None), "seccomp is missing"),
    "no seccomp": (lambda patch: patch.setattr(sandbox, "_has_seccomp", lambda _: False), "seccomp is missing"),
    "no Landlock": (lambda patch: patch.setattr(landlock, "abi", lambda *_: 0), "Landlock is missing"),
    "root": (lambda patch: patch.setattr(os, "geteuid", lambda: 0), "running as root"),
}


@pytest.mark.parametrize(("lose", "said"), GAPS.values(), ids=GAPS)
def test_the_report_names(
    monkeypatch: pytest.MonkeyPatch, lose: Callable[[pytest.MonkeyPatch], None], said: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lose(monkeypatch)

    assert [gap.partition(":")[0] for gap in sandbox.report()] == [said]


async def test_without_seccomp_no_script_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_has_seccomp", lambda _: False)

    with pytest.raises(sandbox.Unavailable, match="seccomp is missing"):
        sandbox.enter(sandbox.Walls("/nowhere", 1, 1, 1, 1), os.getpid())


def test_a_shielded_process_cannot_be_dumped() -> None:
    pid = os.fork()
    if pid == 0:
        sandbox.shield()
        os._exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


NETWORK_TOOL = '''
import socket
from langchain_core.tools import tool

@tool
def t(port: int) -> str:
    """Connect."""
    said = []
    for family in (socket.AF_UNIX, socket.AF_NETLINK):
        try: socket.socket(family, socket.SOCK_DGRAM)
        except PermissionError: said.append("refused")
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        return " ".join([*said, connection.recv(9).decode()])
'''


PATH_TOOL = '''
import socket
from langchain_core.tools import tool

@tool
def t(path: str, port: int) -> str:
    """Send to a path, then, where there is a network, to a port."""
    said = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        for way in ("sendto", "sendmsg", "connect"):
            try:
                end, other = socket.socketpair(socket.AF_UNIX, kind)
                if way == "sendto": end.sendto(b"PWNED", path)
                elif way == "sendmsg": end.sendmsg([b"PWNED"], [], 0, path)
                else: end.connect(path); end.send(b"PWNED")
            except OSError: pass
    end, other = socket.socketpair()
    end.sendall(b"kept"); said.append(other.recv(9).decode())
    try: said.append(str(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", port))))
    except PermissionError: said.append("refused")
    return " ".join(said)
'''


@pytest.mark.parametrize(("network", "said"), [(True, "kept 5"), (False, "kept refused")])
async def test_a_pair_of_sockets_reaches_no_socket_outside(tmp_path: Path, network: bool, said: str) -> None:
    runner = ToolRunner(replace(Limits(), network=network), tmp_path)
    with (
        tempfile.TemporaryDirectory() as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outside,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as internet,
    ):
        outside.bind(path := f"{short}/s")
        outside.setblocking(False)
        internet.bind(("127.0.0.1", 0))
        given = {"path": path, "port": internet.getsockname()[1]}
        try:
            done = await runner.call(PATH_TOOL, given, job_id="j", tool_call_id="c", state={})
        finally:
            await runner.close()
        assert done == Content(said)
        with pytest.raises(BlockingIOError):
            outside.recv(9)


@pytest.mark.parametrize(("network", "said"), [(True, "refused refused hello"), (False, "PermissionError")])
async def test_the_network_where_the_platform_allows_it(tmp_path: Path, network: bool, said: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        connection, _ = listening.accept()
        connection.sendall(b"hello")
        connection.close()

    threading.Thread(target=greet, daemon=True).start()
    runner = ToolRunner(replace(Limits(), network=network), tmp_path)
    try:
        port = listening.getsockname()[1]
        done: Any = await runner.call(NETWORK_TOOL, {"port": port}, job_id="j", tool_call_id="c", state={})
    finally:
        await runner.close()
        listening.close()

    assert isinstance(done, Content)
    assert said in done.content


def judge(code: list[seccomp.Instruction], arch: int, number: int, arguments: tuple[int, ...]) -> str:
    """What the kernel would make of a call: the five instructions that the filter uses, run in Python."""
    words = {seccomp.NUMBER: number, seccomp.ARCH: arch}
    for i, argument in enumerate(arguments):
        words |= {16 + 8 * i: argument & 0xFFFFFFFF, 20 + 8 * i: argument >> 32}
    value = at = 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == seccomp.LOAD:
            value = words.get(constant, 0)
        elif operation == seccomp.EQUAL:
            at += if_true if value == constant else if_false
        elif operation == seccomp.ANY_BIT:
            at += if_true if value & constant else if_false
        elif operation == seccomp.MASK:
            value &= constant
        else:
            assert operation == seccomp.RETURN
            return VERDICTS[constant]
