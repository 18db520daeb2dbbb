"""The program: the command line, and before anything else what a service does with a SIGTERM until it can do better.

The first process of a container has no default for it: until there is a handler the signal is lost, and the pod that
was told to stop becomes ready and takes jobs. The command line alone takes a quarter of a second to import.
"""

import os
import signal
import sys


def main() -> None:
    """Run the command that was typed."""
    if sys.argv[1:2] == ["serve"]:
        # Until uvicorn takes signals over nothing runs that could be lost.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from agent_executor import cli  # noqa: PLC0415

    cli.main()
