"""The template: a clean process that has imported LangChain once and forks a worker for every request it is sent.

It never runs a script and never holds a secret: it was started by exec with an empty environment. Requests come as one
datagram each on the socket it was given, with the worker's end of a new channel beside them; it answers with the
worker's pid, and again when that worker ends. Started as `python -I -m agent_executor.services.tools.template FD`;
ends, and its workers with it, when the service closes the other end.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from agent_executor import garbage
from agent_executor.services import sandbox
from agent_executor.services.tools import script

CHANNEL = 3  # the worker's one file descriptor beside the standard three
MANY = 4096  # above any descriptor of the template, which holds a handful
DATAGRAM = 65536
NICENESS = 5  # scripts come second to the service's own event loop


def serve(control: socket.socket) -> None:
    """Fork, reap and kill as told, until the service has gone."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    workers: set[int] = set()
    waiting = selectors.DefaultSelector()
    for source in (control.fileno(), wake):
        waiting.register(source, selectors.EVENT_READ)
    while True:
        ready = [key.fd for key, _ in waiting.select()]
        if wake in ready:
            os.read(wake, DATAGRAM)
            _reap(control, workers)
        if control.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(control, DATAGRAM, 1)
            if not data:
                break
            match json.loads(data):
                case {"fork": number, "walls": walls}:
                    pid = _fork(descriptors[0], walls)
                    os.close(descriptors[0])
                    workers.add(pid)
                    _say(control, {"forked": number, "pid": pid})
                case {"kill": pid} if pid in workers:  # not yet reaped, so the number is still this worker's
                    os.kill(pid, signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def _fork(channel: int, walls: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _work(channel, sandbox.Walls(**walls), parent)
    return pid


def _work(channel: int, walls: sandbox.Walls, parent: int) -> NoReturn:
    """The child: keep the channel and nothing else, build the walls, say so, answer one request, end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.dup2(channel, CHANNEL)
        os.closerange(CHANNEL + 1, MANY)
        os.chdir(walls.directory)
        os.environ.update(HOME=walls.directory, TMPDIR=walls.directory)
        tempfile.tempdir = walls.directory
        sandbox.enter(walls, parent)
        os.write(CHANNEL, b"\x01")  # from here on, whatever happens is the script's doing
        script.serve(CHANNEL)
        status = 0
    finally:
        os._exit(status)  # no exit handlers, no waiting for threads that the script left behind


def _reap(control: socket.socket, workers: set[int]) -> None:
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        workers.discard(pid)
        _say(control, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(control: socket.socket, what: dict[str, int]) -> None:
    control.send(json.dumps(what).encode())


def main() -> None:
    """Give up what a worker must not inherit, then serve."""
    with contextlib.suppress(OSError):  # a /proc that may not be written to
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, a worker goes first
    sandbox.shield()
    control = socket.socket(fileno=int(sys.argv[1]))
    with garbage.spared():  # and a collection in a worker would otherwise copy every page of this heap
        script.prepare()
    os.nice(NICENESS)
    os.umask(0o077)
    _say(control, {"forked": -1, "pid": os.getpid()})
    serve(control)


if __name__ == "__main__":
    main()
