"""What a command finds and needs around it: settings, logs, a service of its own, or the nearest one to talk to."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_executor.arguments import Failed, Misused

if TYPE_CHECKING:
    from agent_executor.client import Client

HOME = Path(os.environ.get("HOME") or ".")  # a pod's user may have none
DATA_DIR = Path(os.environ.get("XDG_DATA_HOME") or HOME / ".local" / "share") / "agent-executor"
LOG_FILE = "service.log"
LEVELS = ("debug", "info", "warning", "error")
LOG_BYTES = 16 * 1024 * 1024  # after which a start begins a new one beside it


@contextmanager
def starting() -> Iterator[None]:
    """What keeps a service of one's own from starting, as one line."""
    from agent_executor.local import LocalError  # noqa: PLC0415
    from agent_executor.settings import SettingsError  # noqa: PLC0415

    try:
        yield
    except LocalError as error:
        raise Failed(str(error)) from None
    except SettingsError as error:
        raise Misused(str(error)) from None


def read_settings() -> Any:
    """The environment's settings; a wrong one is one line, and status 2."""
    from agent_executor import settings  # noqa: PLC0415

    try:
        return settings.load(os.environ)
    except settings.SettingsError as error:
        raise Misused(str(error)) from None


def take_port(settings: Any) -> socket.socket:
    """Listen where the settings say; what is in the way is one line."""
    from agent_executor.api.listener import StartError, listen  # noqa: PLC0415

    try:
        return listen(settings)
    except StartError as error:
        raise Failed(str(error)) from None


def log_to_terminal(level: str) -> None:
    """Logs go to standard error here: standard output is for what a person asked for."""
    from agent_executor.telemetry import logs  # noqa: PLC0415

    logs.configure(level, stream=sys.stderr)


def log_to_file(directory: Path) -> Path:
    """Logs of `local` go to a file, which is returned: the terminal is for what a person wants to see."""
    from agent_executor.telemetry import logs  # noqa: PLC0415

    file = directory.resolve() / LOG_FILE
    level = os.environ.get("LOG_LEVEL", "info").lower()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if file.exists() and file.stat().st_size > LOG_BYTES:
            file.replace(file.with_suffix(".log.old"))
        stream = file.open("a", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}") from None
    logs.configure(level if level in LEVELS else "info", stream=stream)  # `settings` complains of a wrong one
    return file


@contextmanager
def service(url: str | None, token: str | None) -> "Iterator[Client]":
    """The service at `url`, or the nearest one; what it says against a request is one line."""
    from agent_executor.client import Client, ClientError  # noqa: PLC0415

    try:
        with Client(url or nearest(), token) as found:
            yield found
    except ClientError as error:
        raise Failed(str(error)) from None


def nearest() -> str:
    """The service that `local` runs in its default directory, else where a port-forward would be."""
    try:
        return str(json.loads((DATA_DIR / "ready.json").read_text())["http"])
    except (OSError, ValueError, KeyError, TypeError):
        return "http://127.0.0.1:8080"
