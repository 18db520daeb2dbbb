"""Workflows use actions at one commit each, with the exact version whose tag names that commit."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PINNED = re.compile(r"(?P<action>[\w.-]+/[\w./-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)")


def used(workflow: Path) -> list[str]:
    return re.findall(r"^\s*(?:- )?uses: (.+)$", workflow.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_is_pinned_to_a_commit_and_names_its_exact_version(workflow: Path) -> None:
    assert used(workflow)
    assert [line for line in used(workflow) if not PINNED.fullmatch(line)] == []


def test_an_action_is_the_same_everywhere() -> None:
    lines = {line for workflow in WORKFLOWS for line in used(workflow)}
    actions = [PINNED.fullmatch(line)["action"] for line in lines]
    assert len(actions) == len(set(actions)) >= 10
