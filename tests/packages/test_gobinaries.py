"""Go programs are built once for each manifest, by one process, or it is said why not."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import gobinaries
from tools.gomodules import UnavailableError

PROGRAM = 'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("first") }\n'
here = pytest.mark.skipif(shutil.which("go") is None, reason="Go is not on this machine")
pytestmark = pytest.mark.timeout(600)  # the first build on a machine compiles Go's own library


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of its own, called `small`, and an empty cache; nothing that was built before is remembered."""
    directory = tmp_path / "manifests" / "small"
    directory.mkdir(parents=True)
    (directory / "go.mod").write_text("module example.com/small\n\ngo 1.22\n")
    (directory / "go.sum").touch()
    (directory / "main.go").write_text(PROGRAM)
    monkeypatch.setattr(gobinaries, "MANIFESTS", directory.parent)
    if shutil.which("go"):  # Go's own cache would move with ours, and be empty
        kept = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
        monkeypatch.setenv("GOCACHE", kept)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gobinaries, "build", gobinaries.build.__wrapped__)
    return directory


def said(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stdout


@here
def test_a_program_is_built_again_only_for_another_manifest_or_source(manifest: Path, tmp_path: Path) -> None:
    first = gobinaries.build("small", "example.com/small")
    assert first.is_relative_to(tmp_path / "cache" / "agent-executor")
    assert said(first) == "first"
    written = first.stat().st_mtime_ns
    assert gobinaries.build("small", "example.com/small") == first
    assert first.stat().st_mtime_ns == written
    (manifest / "main.go").write_text(PROGRAM.replace("first", "second"))
    second = gobinaries.build("small", "example.com/small")
    (manifest / "go.mod").write_text("module example.com/small\n\ngo 1.23\n")
    third = gobinaries.build("small", "example.com/small")
    assert len({first, second, third}) == 3
    assert [said(binary) for binary in (first, second, third)] == ["first", "second", "second"]


@here
def test_two_that_want_one_program_build_it_once(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []
    compiled = gobinaries.compile_into
    monkeypatch.setattr(gobinaries, "compile_into", lambda *given: (builds.append(given), compiled(*given)))
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: gobinaries.build("small", "example.com/small"), range(4)))
    assert len(builds) == len(made) == 1


@here
def test_a_program_that_does_not_compile_says_why_and_leaves_nothing(manifest: Path) -> None:
    (manifest / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"(?s)`go build` in .*small failed: .*undefined: undefined"):
            gobinaries.build("small", "example.com/small")


def test_without_go_it_is_said_that_go_is_missing(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(manifest))
    with pytest.raises(UnavailableError, match=r"^example\.com/small: Go is not on this machine$"):
        gobinaries.build("small", "example.com/small")


@here
def test_a_program_that_wants_its_version_from_the_linker_gets_the_one_of_its_manifest(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gobinaries.VERSIONS, "small", ("main.version", "example.com/module"))
    (manifest / "main.go").write_text(
        'package main\n\nimport "os"\n\nvar version string\n\nfunc main() { os.Stdout.WriteString(version) }\n'
    )
    monkeypatch.setattr(gobinaries.gomodules, "version", lambda module, directory: f"v1.2.3-{module[-6:]}")
    assert said(gobinaries.build("small", "example.com/small")) == "v1.2.3-module"
