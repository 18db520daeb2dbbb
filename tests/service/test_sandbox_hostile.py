"""Every hostile script hurts its own call only, for root and for a user without rights, as in a pod."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_tools import TOOLS, UNDESCRIBABLE

ROOT = Path(__file__).parents[2]
NOBODY = 65534
CANARY = "canary-7d1f0c2e"


NOBODYS = (
    ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # Where this Python is in a home closed to others: nobody in a user namespace, without any right outside.
    ("unshare", f"--map-user={NOBODY}", f"--map-group={NOBODY}"),
)


def _works(prefix: tuple[str, ...]) -> bool:
    template = "import langchain, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    probe = [*prefix, sys.executable, "-c", template]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _ways() -> dict[str, tuple[str, ...]]:
    """Who runs the scripts, to the start of the command that makes it so."""
    if os.geteuid() != 0:
        return {"this user": ()}
    return {"root": (), "nobody": next(filter(_works, NOBODYS), NOBODYS[0])}


WAYS = _ways()
_seen: dict[str, dict[str, Any]] = {}


@pytest.fixture(params=WAYS)
def outcomes(request: pytest.FixtureRequest) -> dict[str, Any]:
    way = request.param
    if way not in _seen:
        base = tempfile.mkdtemp()
        prefix = WAYS[way]
        if prefix[:1] == ("setpriv",):
            os.chown(base, NOBODY, NOBODY)
        env = {"PATH": os.environ["PATH"], "CANARY": CANARY, "PYTHONPATH": str(ROOT)}
        command = [*prefix, sys.executable, "-m", "tests.support.hostile_driver", base]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
        subprocess.run(["rm", "-rf", base], check=True)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
        _seen[way] = json.loads(done.stdout)
    return _seen[way]


@pytest.mark.parametrize("tool", TOOLS, ids=[tool.name for tool in TOOLS])
def test_a_script_that(tool: Any, outcomes: dict[str, Any]) -> None:
    outcome = outcomes["outcomes"][tool.name]

    assert re.search(tool.answer, outcome["content"]), outcome["content"][:500]
    assert "PWNED" not in outcome["content"]
    assert (outcome["other"], outcome["next"]) == ("ANOTHER JOB", tool.name.upper())


@pytest.mark.parametrize("name", UNDESCRIBABLE)
def test_a_script_cannot_be_described_that(name: str, outcomes: dict[str, Any]) -> None:
    said = outcomes["outcomes"][name]["content"]

    assert said.startswith("tool_definitions[0].runtime.script: ")
    assert UNDESCRIBABLE[name][1] in said
    assert sys.prefix not in said


def test_nothing_is_left_behind(outcomes: dict[str, Any]) -> None:
    assert outcomes["left"] == []
