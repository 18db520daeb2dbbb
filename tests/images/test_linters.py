"""The Dockerfile, the scripts and the workflows are what their linters want."""

import subprocess
from pathlib import Path

import pytest

from tools import pyprograms
from tools.render_examples import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one on a machine installs the programs

SCRIPTS = [*sorted((ROOT / "scripts").rglob("*.sh")), ROOT / ".ci" / "run"]


def said(name: str, *arguments: str | Path) -> str:
    """What a linter says; nothing where it is content."""
    command = [pyprograms.program(name, "linters"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def test_hadolint_is_content_with_the_dockerfile() -> None:
    assert said("hadolint", "Dockerfile") == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_is_content_with_a_script(script: Path) -> None:
    assert said("shellcheck", script) == ""


def test_zizmor_is_content_with_the_workflows() -> None:
    assert said("zizmor", "--offline", "--no-progress", ".github/workflows") == ""


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
