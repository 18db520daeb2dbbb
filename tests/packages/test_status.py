"""What a tool cannot have is one line and an exit status."""

import pytest

from tools import gomodules, packages
from tools.gomodules import UnavailableError


def test_what_cannot_be_had_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise UnavailableError("a thing: not on this machine")

    assert gomodules.status(work) == 1
    assert capsys.readouterr().err == "a thing: not on this machine\n"


def test_work_that_is_done_is_no_failure() -> None:
    done: list[str] = []
    assert gomodules.status(lambda: done.append("it")) == 0
    assert done == ["it"]


def test_a_function_package_without_a_runtime_is_not_taken_for_a_whole_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "build", lambda name, into, runtime, architecture: into / f"{name}.xpkg")
    monkeypatch.setattr("sys.argv", ["packages"])
    assert packages.main() == 0
    assert capsys.readouterr().err == "without --runtime-image function-agent-executor has nothing to run\n"
    monkeypatch.setattr("sys.argv", ["packages", "--runtime-image=function.tar"])
    assert packages.main() == 0
    assert capsys.readouterr().err == ""
