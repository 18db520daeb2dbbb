"""The lab's processes: each logs to a file, is waited for until it serves, and ends with the tests at the latest."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.e2e.lab.network import Network

T = TypeVar("T")
RESOLV_CONF = "resolv.conf"  # below the lab's directory
STOP_SECONDS = 15
RUN_SECONDS = 120
POLL_SECONDS = 0.05


class LabError(RuntimeError):
    """A part of the lab does not do what it should; the message says which, and what it said last."""


def until(condition: Callable[[], T], what: str, seconds: float, *, every: float = POLL_SECONDS) -> T:
    """The first true answer.

    Raises:
        LabError: there was none within so many seconds; it names `what` was waited for, and the last answer.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s; last: {answer!r}")
        time.sleep(every)
    return answer


def listens(host: str, port: int) -> bool:
    """Whether anybody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@dataclass
class Process:
    """One process; it can be stopped, killed and started again."""

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    running: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> None:
        """Start it, and return once it serves."""
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                # The kernel ends it with the thread that started it: a crash of the tests leaves no process.
                ["setpriv", "--pdeathsig", "KILL", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, "PATH": os.environ["PATH"]},
                start_new_session=True,
            )
        try:
            until(self._is_ready, f"{self.name} serves", seconds)
        except LabError as error:
            raise LabError(f"{error}; its log ends: {self.tail()}") from None

    def _is_ready(self) -> bool:
        if self.running and self.running.poll() is not None:
            raise LabError(f"{self.name}: ended with status {self.running.returncode}")
        return self.ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and see that it has ended."""
        if self.running is None:
            return
        self.running.send_signal(how)
        try:
            self.running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        self.running = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing inside the block, unless it is ended there: its callers wait for their answers."""
        assert self.running is not None
        stopped = self.running
        stopped.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            stopped.send_signal(signal.SIGCONT)

    def tail(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:]


@dataclass
class Processes:
    """All processes of one lab, with the directory of their logs and what enters its network."""

    root: Path
    network: Network
    all: list[Process] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        ready: Callable[[], bool],
        *,
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
        resolving: bool = False,
    ) -> Process:
        """Start one process inside the lab's network, and return once it serves.

        One that is `resolving` asks the cluster's DNS for names, as a pod does.
        """
        logs = self.root / "logs"
        logs.mkdir(exist_ok=True)
        enter = self.network.enter_with(self.root / RESOLV_CONF) if resolving else self.network.enter
        process = Process(name, [*enter, *command], logs / f"{name}.log", environment or {}, ready)
        self.all.append(process)
        process.start(seconds)
        return process

    def run(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], *, tries: int = 1) -> None:
        """Run a program to its end inside the lab's network; it may fail until the last try."""
        log = self.root / "logs" / f"{name}.log"
        for _ in range(tries):
            with log.open("ab") as output:
                done = subprocess.run(
                    [*self.network.enter, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environment, "PATH": os.environ["PATH"]},
                    timeout=RUN_SECONDS,
                    check=False,
                )
            if not done.returncode:
                return
        raise LabError(f"{name}: status {done.returncode}; its log ends: {log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """End them all, the newest first."""
        for process in reversed(self.all):
            process.stop()


@contextmanager
def running(root: Path, network: Network, *, nameserver: str) -> Iterator[Processes]:
    """Those of a lab, with the address of the cluster's DNS; they end with the block."""
    (root / RESOLV_CONF).write_text(f"nameserver {nameserver}\nsearch svc.cluster.local cluster.local\n")
    all_of_them = Processes(root, network)
    try:
        yield all_of_them
    finally:
        all_of_them.stop()
