"""The command line from the outside: what it says, where, and with which status."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_executor.local import ANYWHERE
from tests.support.api import ECHO, TOKEN, path, plan, serving
from tests.support.runtime import until

PROGRAM = [str(Path(sys.executable).parent / "agent-executor")]


def run(*arguments: str, env: Mapping[str, str] | None = None, given: str = "") -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "PYTHONDONTWRITEBYTECODE")}
    return subprocess.run(
        [*PROGRAM, *arguments],
        env={**base, **(env or {})},
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def running(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run, *arguments, env=env)


@pytest.fixture
def definition(tmp_path: Path) -> str:
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(ECHO))
    return str(file)


@pytest.fixture
def local(tmp_path: Path) -> Iterator["Local"]:
    made = Local(tmp_path / "data", tmp_path / "ready.json")
    yield made
    made.stop()


class Local:
    """`agent-executor local` on a directory."""

    def __init__(self, directory: Path, ready_file: Path) -> None:
        self.directory, self.ready_file = directory, ready_file
        self.process: subprocess.Popen[str] | None = None

    async def start(self) -> dict[str, str]:
        command = [*PROGRAM, "local", "--data-dir", str(self.directory), "--ready-file", str(self.ready_file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        process = self.process
        await until(lambda: self.ready_file.exists() or process.poll() is not None, 60)
        assert process.poll() is None, process.communicate()[0]
        addresses: dict[str, str] = json.loads(self.ready_file.read_text())
        return addresses

    def stop(self, by: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process is None:
            return 0, ""
        process, self.process = self.process, None
        process.send_signal(by)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said


@pytest.mark.parametrize(
    ("arguments", "env", "status", "said"),
    [
        (["serve"], {}, 2, "NATS_URL: is not set, and would be right as one NATS URL"),
        (["serve"], {"HOME": ""}, 2, "NATS_URL: is not set"),
        (["doctor"], {}, 2, "NATS_URL: is not set"),
        (
            ["local", "--data-dir", "x"],
            {"MAX_CONCURRENT_JOBS": "none"},
            2,
            "MAX_CONCURRENT_JOBS: 'none' is not a whole",
        ),
        (["local", "--data-dir", "/dev/null/x"], {}, 1, "/dev/null/x/service.log: Not a directory"),
        (["run", "nowhere.json", "--input", "x"], {}, 2, "nowhere.json: No such file or directory"),
        (["submit", "-", "--input", "x"], {}, 2, "-: is not JSON"),
        (["cancel", os.fsdecode(b"\xff"), "--url", "http://127.0.0.1:9"], {}, 1, "http://127.0.0.1:9: no connection"),
        (["cancel", "x", "--url", "http://127.0.0.1:9"], {}, 1, "http://127.0.0.1:9: no connection (ConnectError)"),
        (["cancel", "x", "--url", "http://[::1"], {}, 1, "http://[::1: is no address"),
        (
            ["cancel", "x", "--url", "nonsense"],
            {},
            1,
            "nonsense: is no address, and would be right as http://HOST:PORT",
        ),
        *(
            ([command, "x", "--url", url], {}, 1, f"{url}: is no address")
            for command in ("watch", "cancel")
            for url in ("127.0.0.1:8080", "ftp://a.example", "http://", "http://a:99999")
        ),
        (["cancel", "x", "--url", "http://u:s3cret@127.0.0.1:9"], {}, 1, "http://127.0.0.1:9: no connection"),
        (["cancel", "x", "--url", "http://u:s3/c@ret@127.0.0.1:9"], {}, 1, "http://127.0.0.1:9: is no address"),
        (["watch", "x", "--url", "http://u:s3cret@[::1"], {}, 1, "http://[::1: is no address"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    env: dict[str, str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, env={"HOME": str(tmp_path), **env})
    assert (done.returncode, done.stdout.removeprefix("starting in x\n")) == (status, ""), done.stderr
    assert done.stderr.startswith(f"Error: {said}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_definition_that_is_nested_too_deeply_is_one_line_and_a_status() -> None:
    done = run("submit", "-", "--input", "x", given="[" * 100_000)
    assert (done.returncode, done.stderr) == (2, "Error: -: is nested too deeply\n")


@pytest.mark.slow
def test_a_ready_file_that_cannot_be_written_is_one_line_and_a_status(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "ready.json"
    done = run("local", "--data-dir", str(tmp_path / "data"), "--ready-file", str(file))
    assert (done.returncode, done.stderr) == (1, f"Error: {file}: No such file or directory\n")


async def test_a_job_is_submitted_watched_and_cancelled_on_a_service_with_a_token(
    env: dict[str, str], definition: str, tmp_path: Path
) -> None:
    async with serving(env, AGENT_EXECUTOR_API_TOKEN=TOKEN) as api:
        at = {"AGENT_EXECUTOR_URL": str(api.http.base_url), "AGENT_EXECUTOR_API_TOKEN": TOKEN}
        submitted = await running("submit", definition, "--input", "hello there", "--job-id", "a/b", env=at)
        assert (submitted.returncode, submitted.stdout) == (0, "a/b\n"), submitted.stderr
        watched = await running("watch", "a/b", env=at)
        assert watched.returncode == 0, watched.stderr
        assert json.loads(watched.stdout)["output"] == "hello there"
        assert "lead: hello there" in watched.stderr
        assert watched.stderr.endswith("completed\n")
        late = await api.submit(plan({"text": "late", "delay_ms": 20000}))
        await api.reaches(late, "running")
        cancelled = await running("cancel", late, env=at)
        assert cancelled.returncode == 0
        assert await api.ended(late) == "cancelled"
        again = await running("watch", late, env=at)
        assert (again.returncode, again.stdout) == (1, "")
        assert f"{late}: cancelled" in again.stderr
        stranger = await running("cancel", late, env={**at, "AGENT_EXECUTOR_API_TOKEN": "wrong"})
        assert stranger.returncode == 1
        assert stranger.stderr.startswith("Error: 401: this needs the header")


async def test_run_on_a_named_service_follows_its_job(env: dict[str, str], definition: str) -> None:
    async with serving(env) as api:
        payload = json.dumps({"messages": [{"role": "user", "content": "from json"}]})
        done = await running("run", definition, "--input", payload, "--url", str(api.http.base_url))
        assert json.loads(done.stdout)["output"] == "from json", done.stderr


@pytest.mark.slow
def test_run_needs_nothing_but_a_definition_and_leaves_nothing(definition: str, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run("run", definition, "--input", "alone", env={"HOME": str(tmp_path), "TMPDIR": str(temporary)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == "alone"
    assert "{" not in done.stderr
    assert not list(temporary.iterdir())


@pytest.mark.slow
async def test_local_finds_its_jobs_again_and_lets_nobody_else_in(local: Local, definition: str) -> None:
    at = {"AGENT_EXECUTOR_URL": (await local.start())["http"]}
    assert (await running("submit", definition, "--input", "keep me", "--job-id", "kept", env=at)).returncode == 0
    assert (await running("watch", "kept", env=at)).returncode == 0
    second = await running("local", "--data-dir", str(local.directory))
    assert second.returncode == 1
    assert str(local.directory) in second.stderr
    assert second.stderr.count("\n") == 1
    mode = local.ready_file.stat().st_mode & 0o777
    status, said = await asyncio.to_thread(local.stop)
    assert (mode, status) == (0o600, 0)
    assert not local.ready_file.exists()
    assert "{" not in said
    assert "@" not in said
    assert said.endswith("stopped, and everything is kept\n")
    log = [json.loads(line) for line in (local.directory / "service.log").read_text().splitlines()]
    assert "job: ended" in {line["event"] for line in log}
    assert "nats: disconnected" not in {line["event"] for line in log}
    again = {"AGENT_EXECUTOR_URL": (await local.start())["http"]}
    kept = await running("watch", "kept", env=again)
    assert json.loads(kept.stdout)["output"] == "keep me"
    status, _ = await asyncio.to_thread(local.stop, signal.SIGINT)
    assert status == 0


@pytest.mark.slow
def test_the_demo_shows_one_job_and_nothing_else() -> None:
    program = Path(__file__).parents[2] / "examples" / "demo.py"
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("== ")] == [
        "== the service: real PostgreSQL, NATS JetStream and Valkey, migrations applied",
        "== a CloudEvent to agent.execute.demo",
        "== its events, from Redis channel langgraph:stream:demo",
        "== the result, as it came from agent.status.completed",
    ]
    assert '"level"' not in done.stdout


def test_help_costs_no_import_of_the_service() -> None:
    code = "import sys; from agent_executor import cli; sys.exit('fastapi' in sys.modules or 'psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


SETTINGS = {**ANYWHERE, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0"}

# Everything is imported, and nothing runs.
SERVES = """
import gc, sys
import uvloop
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
from agent_executor import cli

def run(service):
    service.close()
    print("agent_executor.api.main" in sys.modules, gc.isenabled(), len(looks) // 2)

uvloop.run = run
looks.clear()
cli.main(["serve"], standalone_mode=False)
"""


def test_the_collector_does_not_look_at_imports_and_does_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES], env=SETTINGS, capture_output=True, text=True, timeout=60, check=False
    )
    imported, enabled, looks = done.stdout.split()
    assert (imported, enabled) == ("True", "True")
    assert int(looks) < 10  # imports make it look hundreds of times


# In the place of the service something that says what it runs on.
RUNS_ON = """
import asyncio
from agent_executor import cli
from agent_executor.api import main

async def serve(settings, **_):
    print(type(asyncio.get_running_loop()).__module__)
    return 0

main.serve = serve
cli.main(["serve"])
"""


def test_the_service_runs_on_uvloop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNS_ON], env=SETTINGS, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("uvloop\n", 0), done.stderr


def test_a_job_that_somebody_named_is_reached_whatever_its_name() -> None:
    raw = os.fsdecode(b"\xff")
    found: dict[str, Any] = {name: path(name) for name in ("..", "a/b", "é", raw)}
    assert found == {"..": "/jobs/%2E%2E", "a/b": "/jobs/a%2Fb", "é": "/jobs/%C3%A9", raw: "/jobs/%FF"}


# Told to stop in the middle of its start.
STOPPED = """
import os, signal, sys

def stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)

class Watch:
    def find_spec(self, name, *_):
        if name == when:
            stop()

when = sys.argv[1]
sys.argv[1:] = ["serve"]
from agent_executor import start
if when == "listen":
    from agent_executor.api import listener
    listener.listen = stop
sys.meta_path.insert(0, Watch())
start.main()
"""
ALONE = ("unshare", "--pid", "--fork", "--kill-child")  # as the first process of a container


@pytest.mark.parametrize("when", ["agent_executor.cli", "click", "uvloop", "fastapi", "listen"])
@pytest.mark.parametrize("around", [(), ALONE], ids=["", "alone"])
def test_a_signal_during_the_start_ends_it_at_once(around: tuple[str, ...], when: str) -> None:
    if around and subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may make a PID namespace")
    command = [*around, sys.executable, "-c", STOPPED, when]
    done = subprocess.run(command, env=SETTINGS, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
