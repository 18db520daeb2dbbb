"""What the function's image installs: what the code imports and no more, small, locked without addresses."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
MOST_PACKAGES, MOST_BYTES = 15, 30_000_000
FOLDERS = (
    "apis",
    "docs",
    "examples",
    "function",
    "migrations",
    "package",
    "requirements",
    "scripts",
    "service",
    "tests",
)
# In pieces, or this file would be a finding of its own.
ADDRESSES = (
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    r"proxy\." + r"golang\.org",
    r"registry\." + "npmjs",
    "--extra-" + "index-url",
    r"https?://[^/\s]+/" + "simple",
)
MACHINE_PATHS = r"(?<![\w.$}~-])/(" + "ro" + "ot|wo" + r"rk|home/\w+|Us" + r"ers/\w+)/"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(extra: str) -> list[str]:
    text = (ROOT / f"requirements/{extra}.txt").read_text("utf-8")
    return [canonical(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]+\])?==", text, re.MULTILINE)]


def imported(folder: Path) -> set[str]:
    """The distributions that a folder's modules import, one of Python's own left out."""
    modules = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
    where = metadata.packages_distributions()
    found = set()
    for module in modules:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and top != folder.name:
            held = [name for name in where[top] if holds(name, module)]
            assert held, module
            found |= set(map(canonical, held))
    return found


def holds(distribution: str, module: str) -> bool:
    """Whether this distribution, of those that share a top-level name, is the one with the module."""
    path = module.replace(".", "/")
    files = [str(file) for file in metadata.files(distribution) or ()]
    return any(file.startswith((f"{path}/", f"{path}.")) for file in files)


def test_the_function_extra_names_what_the_function_imports_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {canonical(re.match(r"[\w.-]+", line)[0]) for line in project["optional-dependencies"]["function"]}
    assert imported(ROOT / "function") - {"pydantic-core"} == named  # which is a part of pydantic, and pinned by it


def test_the_function_installs_few_packages():
    assert 0 < len(locked("function")) <= MOST_PACKAGES


def test_the_function_installs_little():
    files = [file for name in locked("function") for file in metadata.files(name) or ()]
    sizes = [file.locate().stat().st_size for file in files if file.suffix != ".pyc" and file.locate().is_file()]
    assert len(sizes) > 100
    assert sum(sizes) <= MOST_BYTES, f"{sum(sizes) / 1e6:.1f} MB"


@pytest.mark.parametrize("lock", sorted(file.name for file in (ROOT / "requirements").glob("*.txt")))
def test_every_locked_package_has_a_hash_and_nothing_else(lock):
    lines = (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
    allowed = re.compile(r"[a-z0-9-]+(\[[a-z, -]+\])?==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not allowed.fullmatch(line)] == []


def test_a_package_that_another_wants_with_an_extra_is_locked_with_it():
    """Else older pips look for the newest release that has the extra, and refuse it for having no hash."""
    text = (ROOT / "requirements/dev.txt").read_text("utf-8")
    lines = [Requirement(line) for line in re.findall(r"^(\S.*) \\$", text, re.MULTILINE)]
    here = [line for line in lines if line.marker is None or line.marker.evaluate()]
    extras = {canonical(line.name): line.extras for line in here}
    wanted = [
        (asked.name, asked.extras)
        for name in extras
        for asked in map(Requirement, metadata.requires(name) or ())
        if asked.extras and (asked.marker is None or asked.marker.evaluate({"extra": ""}))
    ]
    assert wanted
    assert [(name, asked) for name, asked in wanted if not asked <= extras[canonical(name)]] == []


def test_no_committed_file_names_a_registry_or_a_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    kept = [file for part in FOLDERS for file in (ROOT / part).rglob("*") if "__pycache__" not in file.parts]
    names = listed.stdout.split("\0")[:-1] if listed.returncode == 0 else [str(file.relative_to(ROOT)) for file in kept]
    forbidden = re.compile("|".join((*ADDRESSES, MACHINE_PATHS)))
    found = []
    for name in names:
        file = ROOT / name
        if file.is_file():  # one that was just moved is not
            text = file.read_text("utf-8", errors="replace")
            found += [f"{name}: {match[0]}" for match in forbidden.finditer(text)]
    assert found == []
