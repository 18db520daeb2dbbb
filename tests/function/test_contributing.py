"""CONTRIBUTING promises that a test fails for whatever part of an addition was forgotten: forgets them, in a copy."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("apis", "docs", "examples", "function", "migrations", "package", "scripts", "service", "tests", "tools")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "pyproject.toml", "crossplane.yaml")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], None]:
    """Edits one file of the copy in `tmp_path`."""
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path / file)

    def edit(name: str, old: str, new: str) -> None:
        file = tmp_path / name
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), "utf-8")

    return edit


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def failures(directory: Path, *tests: str) -> set[str]:
    done = run(directory, "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *tests)
    return {
        line.partition("::")[2].partition(" ")[0].partition("[")[0]
        for line in done.stdout.splitlines()
        if line.startswith("FAILED")
    }


def stale(directory: Path) -> set[str]:
    done = run(directory, "tools.generate", "--check")
    return {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("stale")}


DEFINITIONS = {"apis/claim/definition.yaml", "apis/namespaced/definition.yaml", "docs/reference/api.md"}


def test_the_copy_lacks_nothing(tmp_path, edited):
    assert not stale(tmp_path) & DEFINITIONS
    assert run(tmp_path, "pytest", "-q", "-n0", *READINESS, *FIELDS).returncode == 0


def test_a_size_profile_without_its_generated_files_is_noticed(tmp_path, edited):
    edited(
        "function/sizes.py",
        '    "large":  ',
        '    "huge": SizeProfile(cpu=Range("4", "8"), memory=Range("8Gi", "16Gi")),\n    "large":  ',
    )
    assert stale(tmp_path) >= DEFINITIONS


READINESS = ("tests/function/test_readiness.py", "tests/function/test_readme.py::test_the_readme_has_every_object")
FIELDS = (
    "tests/function/test_claim_bad_values.py",
    "tests/function/test_generated_claims.py::test_they_set_every_field",
)


def test_a_field_without_generated_files_bad_values_or_a_claim_that_sets_it_is_noticed(tmp_path, edited):
    edited(
        "function/spec.py",
        "    paused: bool = False\n",
        '    colour: Label = "red"\n    """Of the pods."""\n    paused: bool = False\n',
    )
    assert stale(tmp_path) >= DEFINITIONS
    assert failures(tmp_path, *FIELDS) == {
        "test_there_are_at_least_150_of_them_over_all_fields",
        "test_they_set_every_field",
    }


def test_a_composed_resource_without_readiness_golden_or_a_row_in_the_readme_is_noticed(tmp_path, edited):
    edited(
        "function/resources/__init__.py",
        '        "service": Composed(',
        '        "settings": Composed("ConfigMap", service_account.render),\n        "service": Composed(',
    )
    assert failures(tmp_path, *READINESS, "tests/function/test_examples.py") >= {
        "test_every_composed_kind_has_a_judge_of_its_own",
        "test_the_readme_has_every_object",
        "test_every_golden_is_what_its_example_becomes",
    }
