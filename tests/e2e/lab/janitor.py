"""Ends a lab: `python -I janitor.py DIRECTORY [NETWORK [CONTAINER]]` waits for the end of its input, then cleans up.

What is left then are the node's pods (their shims and processes are nobody's children), its mounts, its cgroups, the
network namespace, the directory, and the container that is kind's node. Only the standard library is imported: it runs
when everything else is gone.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SECONDS = 30


def main() -> int:
    """Wait, clean up, and say by the exit status whether all is gone."""
    directory, network, container = (*sys.argv[1:], "", "")[:3]
    root = Path(directory)
    sys.stdin.buffer.read()
    # The container first: an engine starts a node of kind's again when its first process is killed.
    gone = not container or remove(container)
    gone &= until(lambda: not end_processes(root, network))
    gone &= until(lambda: not unmount(root))
    remove_cgroups(root)
    if network and Path("/run/netns", network).exists():
        subprocess.run(["ip", "netns", "delete", network], check=False)  # its veth goes with it
    shutil.rmtree(root, ignore_errors=True)
    return 0 if gone and not root.exists() else 1


def until(done: Callable[[], bool]) -> bool:
    """Try again until it is done, or there has been time enough."""
    deadline = time.monotonic() + SECONDS
    while not (is_done := done()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_done


def remove(container: str) -> bool:
    """Remove a container and its volumes; returns whether it is gone, which it is if it never came to be."""
    command = [os.environ.get("DOCKER", "docker"), "rm", "--force", "--volumes", container]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode == 0 or "No such container" in done.stderr


def end_processes(root: Path, network: str) -> bool:
    """Kill every process in the lab's cgroups and in its network; returns whether there were any."""
    processes = {int(line) for file in cgroups(root, "cgroup.procs") for line in file.read_text().split()}
    if network:
        asked = subprocess.run(["ip", "netns", "pids", network], capture_output=True, text=True, check=False)
        processes |= set(map(int, asked.stdout.split()))
    for process in processes - {os.getpid()}:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(processes)


def cgroups(root: Path, name: str = "") -> list[Path]:
    """The cgroups named after the lab's directory, in every hierarchy, or the files of one name in them."""
    tops = [*CGROUPS.glob(f"*/{root.name}"), *CGROUPS.glob(root.name)]
    return [file for top in tops for file in (top.rglob(name) if name else [top])]


def unmount(root: Path) -> bool:
    """Unmount everything below the directory, the newest first; returns whether there was anything."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounted = [point for line in lines if (point := line.split()[1]).startswith(f"{root}/")]
    for point in reversed(mounted):
        subprocess.run(["umount", "--lazy", point], check=False)
    return bool(mounted)


def remove_cgroups(root: Path) -> None:
    """A cgroup can be removed once nothing is in it, the deepest first."""
    for top in cgroups(root):
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                Path(directory).rmdir()
            except OSError:
                continue


if __name__ == "__main__":
    sys.exit(main())
