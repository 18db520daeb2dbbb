"""The directory of one lab, and the janitor that leaves nothing of it behind.

The janitor is a process of its own that waits for the end of its standard input. The end comes when the lab is closed,
or when the test process dies, whatever kills it: either way the janitor ends what is left, so there is one way down.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.lab import janitor

DOWN_SECONDS = 90


@contextlib.contextmanager
def directory(name: str, network: str = "", container: str = "") -> Iterator[Path]:
    """A new directory for what a lab keeps; the network namespace and the container of these names go with it."""
    root = Path(tempfile.mkdtemp(prefix=f"agent-executor-{name}-"))
    root.chmod(0o755)  # PostgreSQL runs as another user, and its files are below
    command = [sys.executable, "-I", janitor.__file__, str(root), network, container]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as caretaker:
        try:
            yield root
        finally:
            if caretaker.stdin:
                caretaker.stdin.close()
            if caretaker.wait(DOWN_SECONDS):
                raise RuntimeError(f"{root}: not everything of the lab could be removed")
