"""The Dockerfile, the scripts and the workflows are what their linters want."""

import subprocess
from pathlib import Path

import pytest

from tools import gobinaries, pyprograms
from tools.render_examples import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one on a machine installs the programs

SCRIPTS = [*sorted((ROOT / "scripts").rglob("*.sh")), ROOT / ".ci" / "run"]


def complaints(*command: str | Path) -> str:
    """What a linter says; nothing where it is content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def said(name: str, *arguments: str | Path) -> str:
    """What one of the locked linters says."""
    return complaints(pyprograms.program(name, "linters"), *arguments)


def test_hadolint_is_content_with_the_dockerfile() -> None:
    assert said("hadolint", "Dockerfile") == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_is_content_with_a_script(script: Path) -> None:
    assert said("shellcheck", script) == ""


def test_zizmor_is_content_with_the_workflows() -> None:
    assert said("zizmor", "--offline", "--no-progress", ".github/workflows") == ""


def actionlint(*arguments: str | Path) -> str:
    """What it says of workflows, and shellcheck of the shell in them; of the repository's own without arguments."""
    program = gobinaries.build("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")
    shellcheck = f"-shellcheck={pyprograms.program('shellcheck', 'linters')}"
    return complaints(program, "-no-color", "-pyflakes=", shellcheck, *arguments)


def test_actionlint_is_content_with_the_workflows() -> None:
    assert actionlint() == ""


def test_actionlint_finds_what_is_wrong_with_a_workflow_and_with_its_shell(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    steps = "[{run: 'rm $1'}, {run: 'echo ${{ nothing.here }}'}]"
    file.write_text(f"on: push\njobs: {{one: {{runs-on: ubuntu-24.04, steps: {steps}}}}}\n")
    found = actionlint(file)
    assert "SC2086" in found
    assert 'undefined variable "nothing"' in found


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("hadolint", "Dockerfile", "FROM debian:latest\n"),
        ("shellcheck", "bad.sh", "#!/bin/sh\nrm $1\n"),
    ],
)
def test_a_linter_that_finds_something_says_so(tmp_path: Path, name: str, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert file in said(name, tmp_path / file) or "DL" in said(name, tmp_path / file)
