"""What README and the other pages say is so: the claim, the table, commands, files and links."""

import re
from pathlib import Path

import pytest

from function import resources
from function.main import commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).parts,
)
FILE = re.compile(r"`((?:function|service|tests|tools|docs|examples|apis|package|migrations|scripts)/[\w./-]+?)/?`")


def test_the_readme_shows_the_seeds_claim():
    assert f"```yaml\n{(ROOT / 'examples/claim.yaml').read_text('utf-8')}```" in README


def test_the_readme_has_every_object():
    rows = re.findall(r"^\| (\w+)(?: \u00d7(\d))? \| `agent-executor", README, re.MULTILINE)
    kinds = [composed.kind for composed in resources.REGISTRY.values()]
    assert {kind: int(count or 1) for kind, count in rows} == {kind: kinds.count(kind) for kind in kinds}


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_and_every_file_that_a_page_names_is_there(page):
    text = page.read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (page.parent / link).exists()]
    missing += [file for file in FILE.findall(text) if "NNN" not in file and not (ROOT / file).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_that_a_page_names_is_there(page):
    text = page.read_text("utf-8")
    there = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    targets = {target for line in re.findall(r"(?:`|\$ )make ([a-z][a-z0-9 -]*)", text) for target in line.split()}
    assert targets <= there
    assert set(re.findall(r"function-agent-executor ([a-z]+)", text)) <= set(commands.commands)
