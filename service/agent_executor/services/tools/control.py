"""The template process as the service holds it: started, asked for workers, told to kill one, ended.

Each worker's end is a future that is always settled: by the template's word, or, when the template goes, by that.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

from agent_executor.services import sandbox

START_SECONDS = 30.0  # the template imports LangChain, on a busy machine
FORK_SECONDS = 10.0
STOP_SECONDS = 5.0
READY = -1  # the number of the template's own announcement
DATAGRAM = 65536


@dataclass(frozen=True)
class Forked:
    """A new process: our end of its channel, and how it ends.

    That is its exit code, minus the signal that ended it, or None when the template went and took it along.
    """

    pid: int
    channel: socket.socket
    ended: asyncio.Future[int | None]


class Template:
    """One template process; `start` makes it. Once `gone`, it stays so."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._asked: dict[int, asyncio.Future[tuple[int, asyncio.Future[int | None]]]] = {}
        self._ended: dict[int, asyncio.Future[int | None]] = {}
        self._number = 0
        self.gone = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def fork(self, walls: dict[str, Any]) -> Forked:
        """A new worker behind these walls. OSError or TimeoutError when there is none."""
        ours, theirs = socket.socketpair()
        self._number += 1
        try:
            with theirs:
                request = json.dumps({"fork": self._number, "walls": walls}).encode()
                socket.send_fds(self._control, [request], [theirs.fileno()])
            pid, ended = await self._answer(self._number, FORK_SECONDS)
        except BaseException:
            ours.close()  # which ends the worker, should there be one
            raise
        return Forked(pid, ours, ended)

    def kill(self, pid: int) -> None:
        """Have a worker killed, unless it has ended."""
        with contextlib.suppress(OSError):  # the template has gone, and its workers with it
            self._control.send(json.dumps({"kill": pid}).encode())

    async def stop(self) -> None:
        """End it, and its workers with it."""
        self._lose()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ready(self) -> None:
        """Wait until it can fork. OSError or TimeoutError when it never can."""
        asyncio.get_running_loop().add_reader(self._control, self._heard)
        await self._answer(READY, START_SECONDS)

    async def _answer(self, number: int, seconds: float) -> tuple[int, asyncio.Future[int | None]]:
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(asked, seconds)
        finally:
            self._asked.pop(number, None)

    def _heard(self) -> None:
        """Read what the template says: it forked, a worker ended, or, without words, it has ended itself."""
        try:
            data = self._control.recv(DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        match json.loads(data or b"null"):
            case {"forked": number, "pid": pid}:
                ended = self._ended[pid] = asyncio.get_running_loop().create_future()
                if (asked := self._asked.get(number)) is not None and not asked.done():
                    asked.set_result((pid, ended))
            case {"ended": pid, "status": status}:
                self._ended.pop(pid).set_result(status)
            case _:
                self._lose()

    def _lose(self) -> None:
        if self.gone:
            return
        self.gone = True
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionError("the template of the tool workers has ended"))
        for ended in self._ended.values():
            ended.set_result(None)
        self._ended.clear()


async def start() -> Template:
    """A template that is ready to fork. OSError or TimeoutError when it cannot be had."""
    sandbox.shield()  # from here on this process has children that are not its friends
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)  # noqa: FBT003  # the socket module's own signature
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "agent_executor.services.tools.template", str(theirs.fileno()),
            pass_fds=[theirs.fileno()], env=_clean(), cwd="/", start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    template = Template(process, ours)
    try:
        await template.ready()
    except (OSError, TimeoutError):
        await template.stop()
        raise
    return template


def _clean() -> dict[str, str]:
    # Nothing of the service's own environment, where its secrets are. Two arenas: each takes 64 MB of address space.
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "LANGSMITH_TRACING": "false"}
