"""Files of a worker that have no name any more and take their space all the same: open, mapped, or on their way.

Read from `/proc/<pid>`, which a worker behind Landlock leaves readable to this user (`sandbox.enter`). All threads of a
worker share their memory and their descriptors: the filter allows no others.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

DELETED = b" (deleted)"


def size(pid: int, directory: str, most_each: int) -> int:
    """The bytes of a worker's files that were removed from its directory, or more; 0 when it has ended.

    What is only mapped does not tell its size, and counts as `most_each`; so does what was sent to a socket that nobody
    has received from.
    """
    for task in _tasks(pid):
        try:
            maps = Path(task, "maps").read_bytes()
            if maps:  # not of a thread that has ended
                opened = dict(_opened(task))
                mapped = _mapped(maps, directory) - opened.keys()
                return sum(opened.values()) + most_each * (len(mapped) + _sent(task))
        except OSError:
            continue
    return 0


def _tasks(pid: int) -> Iterator[str]:
    """The process itself, and its threads where its first one has ended before them."""
    yield f"/proc/{pid}"
    try:
        yield from (f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
    except OSError:
        return


def _opened(task: str) -> Iterator[tuple[int, int]]:
    for number in os.listdir(f"{task}/fd"):  # noqa: PTH208  # a path for each would take longer than the call
        try:
            found = os.stat(f"{task}/fd/{number}")  # noqa: PTH116
        except OSError:  # closed meanwhile
            continue
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
            yield found.st_ino, found.st_blocks * 512


def _mapped(maps: bytes, directory: str) -> set[int]:
    """The inodes of files that were below `directory`: anonymous shared memory is shown as a deleted file, too."""
    if DELETED not in maps:
        return set()
    below = os.fsencode(directory) + b"/"
    lines = [line.split(maxsplit=5) for line in maps.splitlines() if line.endswith(DELETED)]
    return {int(line[4]) for line in lines if len(line) == 6 and line[5].startswith(below)}


def _sent(task: str) -> int:
    sent = 0
    for number in os.listdir(f"{task}/fdinfo"):  # noqa: PTH208
        try:
            about = Path(task, "fdinfo", number).read_bytes()
        except OSError:
            continue
        if b"scm_fds:" in about:
            sent += int(about.partition(b"scm_fds:")[2].split(None, 1)[0])
    return sent
