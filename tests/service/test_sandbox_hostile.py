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

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
NOBODY = 65534
CANARY = "canary-7d1f0c2e"


NOBODYS = (
    ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # Where this Python is in a home closed to others: nobody in a user namespace, without any right outside.
    ("unshare", f"--map-user={NOBODY}", f"--map-group={NOBODY}"),
)
# What needs Landlock to fail, or a directory of its own to be tried at all.
OF_FILES = {"reads the files of the service", "writes a huge file", "fills the disk", "digs a deep hole and closes it"}
OF_FILES |= {
    "fills the disk with files that it maps and removes",
    "makes files without end",
    "leaves its directory by a link",
}


def _works(prefix: tuple[str, ...]) -> bool:
    template = "import langchain, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    probe = [*prefix, sys.executable, "-c", template]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _nobody() -> tuple[str, ...]:
    """The start of a command that runs the rest as a user without rights; empty for one that has none."""
    return next(filter(_works, NOBODYS), NOBODYS[0]) if os.geteuid() == 0 else ()


WAYS = ("as nobody", "as nobody, on a kernel without Landlock", *(["as root"] if os.geteuid() == 0 else []))
_seen: dict[str, dict[str, Any]] = {}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def outcomes(way: str) -> dict[str, Any]:
    """What became of every script, run once in each way."""
    if way not in _seen:
        base = tempfile.mkdtemp()
        prefix = () if way == "as root" else _nobody()
        if prefix[:1] == ("setpriv",):
            os.chown(base, NOBODY, NOBODY)
        env = {"PATH": os.environ["PATH"], "CANARY": CANARY, "PYTHONPATH": str(ROOT)}
        command = [*prefix, sys.executable, "-m", "tests.support.hostile_driver", base, way]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
        subprocess.run(["rm", "-rf", base], check=True)
        assert done.returncode == 0, done.stderr
        _seen[way] = json.loads(done.stdout)
        said = [outcome for name, outcome in _seen[way]["outcomes"].items() if name not in _out_of_reach(way)]
        assert CANARY not in str(said) + done.stderr
    return _seen[way]


def _out_of_reach(way: str) -> set[str]:
    return OF_FILES if "without Landlock" in way else set()


@pytest.mark.parametrize("tool", TOOLS, ids=[tool.name for tool in TOOLS])
def test_a_script_that(tool: Any, way: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes["outcomes"][tool.name]

    if tool.name not in _out_of_reach(way):
        assert re.search(tool.answer, outcome["content"]), outcome["content"][:500]
        assert "PWNED" not in outcome["content"]
    assert (outcome["other"], outcome["next"]) == ("ANOTHER JOB", tool.name.upper())


@pytest.mark.parametrize("name", UNDESCRIBABLE)
def test_a_script_cannot_be_described_that(name: str, outcomes: dict[str, Any]) -> None:
    said = outcomes["outcomes"][name]["content"]

    assert said.startswith("tool_definitions[0].runtime.script: ")
    assert UNDESCRIBABLE[name][1] in said
    assert sys.prefix not in said


def test_the_service_says_what_the_kernel_does_not_give(way: str, outcomes: dict[str, Any]) -> None:
    said = [gap.partition(":")[0] for gap in outcomes["gaps"]]

    expected = {"as root": ["running as root"], "as nobody": [], WAYS[1]: ["Landlock is missing"]}
    assert said == expected[way]


def test_nothing_is_left_behind(outcomes: dict[str, Any]) -> None:
    assert outcomes["left"] == []
