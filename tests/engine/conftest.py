"""The real Crossplane: its command line, its engine, and this function served to them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from function import yaml_reader
from tools import gobinaries, gomodules
from tools.render_examples import ROOT

ENGINE = "github.com/crossplane/crossplane/v2/cmd/crossplane"
CLI = "github.com/crossplane/cli/v2/cmd/crossplane"
PROGRAM = Path(sys.executable).parent / "function-agent-executor"


class Crossplane(NamedTuple):
    """Crossplane's command line, with the engine that it is to use instead of a container."""

    cli: Path
    engine: Path
    home: Path

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """One command, with a home and a cache of its own and no network to look for anything."""
        env = os.environ | {"HOME": str(self.home), "CROSSPLANE_XPKG_CACHE": str(self.home), "NO_COLOR": "1"}
        command = [str(self.cli), *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)

    def output(self, *arguments: object) -> str:
        """What a command prints; it has to succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="session")
def crossplane(tmp_path_factory: pytest.TempPathFactory) -> Crossplane:
    try:
        cli, engine = (gobinaries.build("engine", package) for package in (CLI, ENGINE))
    except gomodules.UnavailableError as error:
        pytest.skip(str(error))
    return Crossplane(cli, engine, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of this function, served without TLS as `examples/functions.yaml` has it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("function") / "log"
    with log.open("w") as sink:
        command = [PROGRAM, "serve", "--insecure", "--address", f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        wait_for(port, process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0, log.read_text()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on {port}: {log.read_text()}")


def documents(text: str) -> list[dict[str, Any]]:
    return [parsed.value for parsed in yaml_reader.parse(text)]
