"""A worker's own directory: made for one call, watched while it runs, removed afterwards whatever the script put there.

All of one service are in a directory of its own, which it keeps locked. A lock ends with its process, and a volume does
not: a directory of this name that nobody has locked is one that a killed service has left behind.

No path in here is longer than two steps, however deep a script nested its directories: removal lifts every directory
up to the top before it empties it. Called when no process of the worker is left, so nothing moves underneath.
"""

import contextlib
import fcntl
import os
import secrets
import tempfile
from pathlib import Path

PREFIX = "agent-executor-tools-"


class Home:
    """The directory that one service has its workers' in; made when the first is needed, and again when it is gone."""

    def __init__(self, base: Path | None) -> None:
        self._base = base
        self._path = ""
        self._lock = -1

    def make(self) -> str:
        """A new empty directory, for this user only, by the path that the kernel has for it. OSError."""
        while not self._path or not Path(self._path).is_dir():
            self.close()
            path = os.path.realpath(tempfile.mkdtemp(prefix=PREFIX, dir=self._base))
            self._lock = _lock(path)
            self._path = path if self._lock >= 0 else ""  # swept away before it was locked
        return tempfile.mkdtemp(prefix="tool-", dir=self._path)

    def sweep(self) -> None:
        """Remove what killed services have left behind here, of this user's. OSError when the file system refuses."""
        for left in Path(self._base or tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):  # another service sweeps, too
                if left.lstat().st_uid == os.geteuid() and (lock := _lock(str(left))) >= 0:
                    try:
                        remove(str(left))
                    finally:
                        os.close(lock)

    def close(self) -> None:
        """Remove it with its lock, once it is empty."""
        try:
            if self._path:
                Path(self._path).rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # a worker has not ended yet
            return
        if self._lock >= 0:
            os.close(self._lock)
        self._path, self._lock = "", -1


def _lock(path: str) -> int:
    """An open descriptor that keeps a directory locked; -1 when somebody else does, or has removed it."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if Path(path).is_dir():
            return opened
    except OSError:
        pass
    os.close(opened)
    return -1


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
