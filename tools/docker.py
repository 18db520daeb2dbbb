"""The Docker engine: the one that answers, or one of our own for as long as it is needed.

`DOCKER` names the client and `DOCKER_HOST` the engine, as for the client itself. Our own keeps everything in a
directory that goes with it, and has neither a bridge nor a rule in the packet filter: it builds without a network.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.gomodules import UnavailableError

START_SECONDS = 60
STOP_SECONDS = 30
# Removes a directory at the end of its input, which comes when nobody is left to write there.
CARETAKER = "import shutil, sys; sys.stdin.buffer.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


def run(*arguments: str, check: bool = True, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the client; raises UnavailableError without one, and RuntimeError with its last words when it fails."""
    try:
        done = subprocess.run([client(), *arguments], capture_output=True, text=True, check=False, **options)
    except OSError as error:
        raise UnavailableError(f"no Docker engine: {client()} cannot be run") from error
    if check and done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done


def client() -> str:
    return os.environ.get("DOCKER", "docker")


def answers() -> bool:
    """Whether the engine that DOCKER_HOST names, or the usual one, is there."""
    try:
        return run("version", "--format={{.Server.Version}}", check=False, timeout=30).returncode == 0
    except (UnavailableError, subprocess.TimeoutExpired):
        return False


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """With an engine that answers, in the environment of this process: the one that is there, or our own meanwhile.

    Raises:
        UnavailableError: none answers, and none can be started here.
    """
    if answers():
        yield
        return
    for program in ("dockerd", client()):
        if not shutil.which(program):
            raise UnavailableError(f"no Docker engine answers, and {program} is not on this machine")
    if os.geteuid():
        raise UnavailableError("no Docker engine answers, and only root can start one")
    with directory() as (home, held), own(home, held) as address:
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = address
        try:
            yield
        finally:
            del os.environ["DOCKER_HOST"]
            if before is not None:
                os.environ["DOCKER_HOST"] = before


@contextlib.contextmanager
def directory() -> Iterator[tuple[Path, int]]:
    """A new directory, and the open file of all who use it: once they have closed it or died, the directory goes."""
    home = Path(tempfile.mkdtemp(prefix="agent-executor-docker-"))
    ended, held = os.pipe()
    caretaker = subprocess.Popen(
        [sys.executable, "-I", "-c", CARETAKER, str(home)],
        stdin=ended, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(ended)
    try:
        yield home, held
    finally:
        os.close(held)
        caretaker.wait(STOP_SECONDS)


@contextlib.contextmanager
def own(home: Path, held: int) -> Iterator[str]:
    """Start an engine that keeps everything in `home` and holds a file, and stop it at the end; where it listens."""
    address, log = f"unix://{home / 'docker.sock'}", home / "dockerd.log"
    command = ["dockerd", f"--host={address}", f"--data-root={home / 'data'}", f"--exec-root={home / 'exec'}"]
    command += [f"--pidfile={home / 'docker.pid'}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    # A namespace of its own: a mount that is left over, also after a kill, goes with its last process.
    # Told to stop by the kernel when this process dies, however that dies.
    command = ["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private", *command]
    with log.open("w") as sink:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, pass_fds=[held])
    try:
        deadline = time.monotonic() + START_SECONDS
        while run("--host", address, "version", check=False).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"no Docker engine: dockerd does not start: {log.read_text()[-500:].strip()}")
            time.sleep(0.2)
        yield address
    finally:
        daemon.terminate()
        try:
            daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
