"""A script's share of the disk, and of files without a name; afterwards nothing is left of it."""

import asyncio
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog

from agent_executor.services.tools import directories
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Content, Limits

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
LIMITS = replace(Limits(), wall_seconds=8.0, file_bytes=4 << 20, directory_bytes=16 << 20, directory_entries=3000)
HEAD = """
import ctypes, os, socket, threading, time
from langchain_core.tools import tool

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p

def unnamed(name="f"):
    file = os.open(name, os.O_RDWR | os.O_CREAT)
    os.unlink(name)
    os.write(file, bytes(4 << 20))
    return file

def mapped(flags):
    file = unnamed()
    libc.mmap(None, 4096, 1, flags, file, 0)
    os.close(file)

@tool
def t() -> str:
    "Do it."
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ToolRunner]:
    base = tmp_path_factory.mktemp("tools")
    runner = ToolRunner(LIMITS, base)
    yield runner
    await runner.close()
    assert list(base.iterdir()) == []


async def call(runner: ToolRunner, body: str) -> Content:
    source = HEAD + "\n".join(f"    {line}" for line in body.strip().splitlines()) + "\n"
    answer = await runner.call(source, {}, job_id="job", tool_call_id="c", state={})
    assert isinstance(answer, Content)
    return answer


TOO_MUCH = {
    "open": "kept = [unnamed() for _ in range(6)]\ntime.sleep(30)",
    "replaced": """
kept = []
for _ in range(6):
    kept.append(os.open("new", os.O_RDWR | os.O_CREAT))
    os.write(kept[-1], bytes(4 << 20))
    os.rename("new", "old")
time.sleep(30)
""",
    "never named": """
kept = [os.open(".", os.O_RDWR | os.O_TMPFILE) for _ in range(6)]
for each in kept: os.write(each, bytes(4 << 20))
time.sleep(30)
""",
    "mapped": "for _ in range(6): mapped(1)\ntime.sleep(30)",
    "mapped for itself": "for _ in range(6): mapped(2)\ntime.sleep(30)",
    "open after its first thread": """
kept = []
def keep():
    kept.extend(unnamed() for _ in range(6))
    time.sleep(30)
threading.Thread(target=keep).start()
libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
""",
}


@pytest.mark.parametrize("body", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_files_without_a_name_count_that_are(runner: ToolRunner, body: str) -> None:
    answer = await call(runner, body)

    assert answer.status == "error"
    assert "MB, and 16 MB are allowed" in answer.content


async def test_files_that_are_sent_and_not_received_count(tmp_path: Path) -> None:
    body = """
ends = socket.socketpair()
for _ in range(6):
    file = unnamed()
    socket.send_fds(ends[0], [b"x"], [file])
    os.close(file)
time.sleep(30)
"""
    runner = ToolRunner(replace(LIMITS, network=True), tmp_path)
    try:
        answer = await call(runner, body)
    finally:
        await runner.close()
    assert "MB, and 16 MB are allowed" in answer.content


async def test_space_is_not_taken_at_a_stroke(runner: ToolRunner) -> None:
    answer = await call(runner, 'os.posix_fallocate(os.open("f", os.O_RDWR | os.O_CREAT), 0, 1 << 20)')

    assert "PermissionError" in answer.content


async def test_temporary_files_and_shared_memory_are_a_scripts_own(runner: ToolRunner) -> None:
    body = """
import mmap, sqlite3, tempfile
shared = mmap.mmap(-1, 32 << 20)
shared.write(bytes(32 << 20))
for _ in range(8):
    with tempfile.TemporaryFile() as file, tempfile.NamedTemporaryFile() as named:
        file.write(bytes(2 << 20)); named.write(bytes(2 << 20))
        named.flush()
        assert mmap.mmap(named.fileno(), 0).read(1) == bytes(1)
database = sqlite3.connect("data.db")
database.execute("create table t (x)")
database.execute("insert into t values (1)")
database.commit()
time.sleep(1)
return str(database.execute("select x from t").fetchall())
"""
    assert await call(runner, body) == Content("[(1,)]")


async def test_a_directory_is_removed_whatever_names_are_in_it(runner: ToolRunner) -> None:
    body = f"""
for k in range(1, 9):
    os.makedirs(f"a{{k}}/b")
    os.makedirs(f"lifted-{{k}}-{os.getpid()}/c")
return "done"
"""
    assert await call(runner, body) == Content("done")


async def test_a_directory_that_cannot_be_removed_is_no_failure_of_the_call_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed, remove = [], directories.remove

    def moody(directory: str) -> None:
        removed.append(directory)
        if len(removed) == 1:
            raise OSError(errno.EIO, "Input/output error", "a name")
        remove(directory)

    monkeypatch.setattr(directories, "remove", moody)
    runner = ToolRunner(LIMITS, tmp_path)
    try:
        with structlog.testing.capture_logs() as logged:
            answers = [await call(runner, "return 'x'") for _ in range(2)]
    finally:
        await runner.close()
    assert answers == [Content("x")] * 2
    assert list(tmp_path.iterdir()) == []
    (line,) = [line for line in logged if line["log_level"] == "warning"]
    assert (line["directory"], line["error"], "a name" in str(line)) == (removed[0], "Input/output error", False)


async def test_what_a_killed_service_left_is_swept_and_no_living_ones(tmp_path: Path) -> None:
    living, base = directories.Home(tmp_path), str(tmp_path)
    kept = Path(living.make())
    program = f"""
import os, pathlib, signal
from agent_executor.services.tools import directories
left = pathlib.Path(directories.Home({base!r}).make(), "left")
left.write_text("left")
os.kill(os.getpid(), signal.SIGKILL)
"""
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await service.wait()
    (other := tmp_path / "other").mkdir()
    assert len(list(tmp_path.glob("*/*/left"))) == 1

    runner = ToolRunner(LIMITS, tmp_path)
    try:
        assert await call(runner, "return 'x'") == Content("x")
        assert kept.is_dir()
    finally:
        await runner.close()
    assert set(tmp_path.iterdir()) == {kept.parent, other}
    kept.rmdir()
    living.close()
    assert list(tmp_path.iterdir()) == [other]


async def test_the_directory_of_a_service_is_made_again_when_somebody_tidies_up(tmp_path: Path) -> None:
    home = directories.Home(tmp_path)
    first = Path(home.make())
    shutil.rmtree(first.parent)

    assert Path(home.make()).is_dir()


async def test_a_directory_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdtemp, other = tempfile.mkdtemp, directories.Home(tmp_path)

    def swept(**given: Any) -> str:
        path = mkdtemp(**given)
        monkeypatch.undo()
        other.sweep()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", swept)

    assert Path(directories.Home(tmp_path).make()).is_dir()
