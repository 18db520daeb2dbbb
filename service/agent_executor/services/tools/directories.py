"""A worker's own directory: made for one call, watched while it runs, removed afterwards whatever the script put there.

No path in here is longer than two steps, however deep a script nested its directories: removal lifts every directory
up to the top before it empties it. Called when no process of the worker is left, so nothing moves underneath.
"""

import os
import secrets
import tempfile
from pathlib import Path


def make(base: Path | None) -> str:
    """A new empty directory, for this user only, by the path that the kernel has for it."""
    return os.path.realpath(tempfile.mkdtemp(prefix="tool-", dir=base))


def usage(directory: str, most_entries: int) -> tuple[int, int]:
    """(bytes, entries) below a directory; stops after `most_entries`. What vanishes meanwhile is passed over."""
    size = entries = 0
    waiting = [directory]
    while waiting and entries <= most_entries:
        try:
            with os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entries > most_entries:
                        break
        except OSError:  # gone, closed to us, or a path grown too long: the entry itself has been counted
            continue
    return size, entries


def remove(directory: str) -> None:
    """Remove a directory and all below it: closed, deep, or full of links. OSError when the file system refuses."""
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        while names := os.listdir(top):  # noqa: PTH208  # by descriptor: there is no path to follow
            for name in names:
                if not _is_directory(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                os.chmod(name, 0o700, dir_fd=top)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                try:
                    for child in os.listdir(inner):  # noqa: PTH208
                        if _is_directory(child, inner):
                            os.chmod(child, 0o700, dir_fd=inner)  # a directory that moves is written to: its `..`
                            os.rename(child, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)  # no name of its
                        else:
                            os.unlink(child, dir_fd=inner)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    Path(directory).rmdir()


def _is_directory(name: str, parent: int) -> bool:
    return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o170000 == 0o040000
