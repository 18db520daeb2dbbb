"""Follows the how-to of size profiles as a platform engineer would: writes its files and runs its commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "add-a-size-profile.md"
COMPOSITION = ROOT / "examples/gitops/platform/04-apis/compositions/agent-executor-composition.yaml"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<file>[\w.-]+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_how_to_of_size_profiles_works_as_it_is_written(tmp_path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    commands = 0
    for block in BLOCK.finditer(PAGE.read_text()):
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["text"])
            continue
        assert block["language"] == "console", f"a block that is neither a file nor commands: {block['text']}"
        for step in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            command, _, wanted = step.partition("\n")
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert (done.stdout, done.returncode) == (wanted, 0), f"$ {command}\n{done.stdout}{done.stderr}"
            commands += 1
    assert commands >= 6


def test_the_composition_of_the_page_is_the_platform_trees_with_the_profile_of_the_page_and_nothing_else():
    yaml = YAML(typ="safe", pure=True)
    files = {
        block["file"]: yaml.load(block["text"])
        for block in BLOCK.finditer(PAGE.read_text())
        if block["language"] == "yaml"
    }
    composition, tree = files["composition.yaml"], yaml.load(COMPOSITION.read_text())
    profiles = composition["spec"]["pipeline"][0]["input"]["spec"].pop("profiles")
    assert profiles == files["platform.yaml"]["spec"]["profiles"]
    assert composition == tree
