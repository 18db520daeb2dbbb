"""An engine that answers is used, and one of our own leaves nothing."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.images import fakes
from tools import docker
from tools.gomodules import UnavailableError
from tools.render_examples import ROOT

# Holds an engine until it is killed, and says where that listens, or why there is none.
PROGRAM = """
import os, time
from tools import docker, gomodules
try:
    with docker.engine():
        print(os.environ["DOCKER_HOST"], flush=True)
        time.sleep(100)
except gomodules.UnavailableError as error:
    print(error, flush=True)
"""


def test_an_engine_that_answers_is_the_one_that_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PATH", fakes.path(tmp_path / "programs", docker="echo 28.0", dockerd=f"touch {tmp_path}/started")
    )
    monkeypatch.setenv("DOCKER_HOST", "unix:///the/one")
    with docker.engine():
        assert os.environ["DOCKER_HOST"] == "unix:///the/one"
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("scripts", "user", "said"),
    [
        ({"docker": "exit 1"}, 0, "no Docker engine answers, and dockerd is not on this machine"),
        ({"dockerd": ""}, 0, "no Docker engine answers, and docker is not on this machine"),
        ({"docker": "exit 1", "dockerd": ""}, 1000, "no Docker engine answers, and only root can start one"),
        (
            {"docker": "exit 1", "dockerd": "echo no cgroups; exit 1", "unshare": 'shift 2; exec "$@"'},
            0,
            "no Docker engine: dockerd does not start: no cgroups",
        ),
    ],
)
def test_it_is_said_why_there_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str], user: int, said: str
) -> None:
    monkeypatch.setenv("PATH", fakes.path(tmp_path / "programs", **scripts))
    monkeypatch.delenv("DOCKER", raising=False)
    monkeypatch.setattr(docker.os, "geteuid", lambda: user)
    with pytest.raises(UnavailableError, match=f"^{re.escape(said)}$"), docker.engine():
        pass


def test_a_client_that_fails_says_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fakes.path(tmp_path / "programs", docker="echo no such image >&2; exit 1"))
    with pytest.raises(RuntimeError, match=r"^docker save: no such image$"):
        docker.run("save", "that")


@pytest.mark.slow
def test_an_engine_of_our_own_does_not_outlive_whoever_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, program],
        cwd=ROOT,
        env=os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/nobody", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as killed:
        said = killed.stdout.readline().strip()
        if not said.startswith("unix://"):
            raise UnavailableError(said)
        home = Path(said.removeprefix("unix://")).parent
        started = psutil.Process(int((home / "docker.pid").read_text()))
        processes = [started, *started.children(recursive=True)]
        killed.kill()
    assert not psutil.wait_procs(processes, timeout=30)[1]
    deadline = time.monotonic() + 30
    while home.exists():
        assert time.monotonic() < deadline, list(home.iterdir())
        time.sleep(0.1)


@pytest.mark.slow
def test_an_engine_of_our_own_leaves_no_process_mount_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with docker.engine():
        home = Path(os.environ["DOCKER_HOST"].removeprefix("unix://")).parent
        assert docker.run("info", "--format={{.Driver}}").stdout.strip()
        started = psutil.Process(int((home / "docker.pid").read_text()))
        processes = [started, *started.children(recursive=True)]
    assert os.environ["DOCKER_HOST"] == f"unix://{tmp_path}/nobody"
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert str(home) not in Path("/proc/mounts").read_text()
    assert not home.exists()
