"""How many workers fit beside the service: a container that runs out of memory is killed whole, jobs and all.

The limit is read where the kernel keeps it, in the control groups of version 2 (`memory.max`) or 1
(`memory.limit_in_bytes`): this process's own group and those around it, as far as they can be seen from inside.
Sources: Linux `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from agent_executor.services.tools.specs import MEGABYTE

RESERVE = 512 * MEGABYTE  # the service with its libraries and what its jobs hold, the template, and a worker that waits
COPIED = 64 * MEGABYTE  # of the template's pages, which a worker's own limit leaves out, should a script write to all
GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> int:
    """The bytes that this process and its children may use together; without a limit, what the machine has."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits(groups, own)])


def workers(bytes_available: int, bytes_each: int) -> int:
    """How many workers may run at a time when each may take so much; one at least."""
    return max(1, (bytes_available - RESERVE) // (bytes_each + COPIED))


def _limits(groups: Path, own: Path) -> Iterator[int]:
    for file in _files(groups, own):
        try:
            yield int(file.read_text())
        except (OSError, ValueError):  # not to be seen from here, or "max"
            continue


def _files(groups: Path, own: Path) -> Iterator[Path]:
    """Where a limit may stand. A container sees its own group as the root, and not always names it so."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for each in (group, *group.parents):
            yield base / each / name
