"""One embedded server as a process, and the locks that give a data directory to one process at a time.

A server never outlives its owner: child.py asks the kernel for a signal when the owner dies.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 30.0  # also the longest crash recovery that is waited for
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02
HOST = "127.0.0.1"
CHILD = Path(__file__).with_name("child.py")


class EmbeddedError(RuntimeError):
    """An embedded server cannot be had; the message says why and what would help."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One server process; it can be stopped, killed and started again on the same port."""

    name: str
    directory: Path
    command: Callable[[int], list[str]]
    is_ready: Callable[[int], bool]
    lock: int
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the server's output goes."""
        return self.directory.parent / f"{self.name}.log"

    def spawn(self) -> None:
        """Start the process; `wait` tells when it serves. It ends with the thread that calls this, at the latest."""
        self.process = launch(self.command(self.port), self.directory, self.log, self.lock)

    def wait(self) -> None:
        """Return once the server answers.

        Raises:
            EmbeddedError: it ended or stayed silent; the message carries the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                # A killed PostgreSQL's sessions take a moment to notice.
                if "shared memory block" not in self.log.read_text(errors="replace"):
                    break
                self.spawn()
            if self.is_ready(self.port):
                return
            time.sleep(POLL_SECONDS)
        end = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        raise EmbeddedError(f"{self.name}: did not start on port {self.port}, its log ends: {' | '.join(end)}")

    def start(self) -> None:
        """Start the process and wait until it serves."""
        self.spawn()
        self.wait()

    def stop(self) -> None:
        """Ask the server to end, cleanly, and see that it does."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def launch(command: list[str], directory: Path, log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start one program that ends with this process; a new session keeps the terminal's Ctrl-C from it."""
    directory.mkdir(exist_ok=True, mode=0o700)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603  # our own binaries, no shell
            [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), *command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            start_new_session=True,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        )


@contextlib.contextmanager
def owned(data_dir: Path) -> Iterator[int]:
    """Own the directory; yields the lock that its servers inherit and so hold for as long as one of them lives.

    The owner's lock goes with the owner, so a second owner is refused at once. The servers' lock goes with the last
    server, so a start right after a `kill -9` waits for them to end rather than meeting them.
    """
    with (data_dir / "owner.lock").open("a+") as owner, (data_dir / "servers.lock").open("a+") as servers:
        if not _locked(owner.fileno()):
            owner.seek(0)
            pid = owner.read().strip() or "?"
            raise EmbeddedError(f"{data_dir}: in use by process {pid}; stop it, or use another directory")
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        deadline = time.monotonic() + START_SECONDS
        while not _locked(servers.fileno()):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{data_dir}: servers of an earlier start are still running; end them first")
            time.sleep(POLL_SECONDS)
        yield servers.fileno()


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
