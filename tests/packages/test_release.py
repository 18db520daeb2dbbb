"""The release's own steps, with programs in the place of what pushes and pulls."""

import os
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"
# Writes what it was asked for into the file that it was told to write, as `docker save` and our own tool do.
DOCKER = """#!/bin/sh -e
while [ $# -gt 0 ]; do
  case $1 in --platform) platform=$2 ;; --output) output=$2 ;; esac
  shift
done
[ -z "$output" ] || echo "$platform" > "$output"
"""
MAKE = "#!/bin/sh -e\nmkdir -p .venv/bin\ncp ../programs/package .venv/bin/python\n"
PACKAGE = """#!/bin/sh -e
[ "$1 $2 $3" = "-m tools.packages --runtime-image" ]
mkdir -p build/packages
for name in function configuration; do echo "$(cat "$4") $6" > build/packages/$name.xpkg; done
"""


def test_each_package_is_built_around_the_image_of_its_architecture(tmp_path: Path) -> None:
    steps = YAML(typ="safe").load(WORKFLOW)["jobs"]["packages"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("name") == "Build each package for both architectures")
    programs, checkout = tmp_path / "programs", tmp_path / "checkout"
    for directory in (programs, checkout):
        directory.mkdir()
    for name, text in {"docker": DOCKER, "make": MAKE, "package": PACKAGE}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.defpath}", "REGISTRY": "r", "GITHUB_REF_NAME": "v1.2.3"}
    # As the runner starts it.
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    built = {str(path.relative_to(checkout)): path.read_text().split() for path in checkout.rglob("*.xpkg")}
    assert built == {
        f"build/release/{architecture}/{name}.xpkg": [f"linux/{architecture}", architecture]
        for architecture in ("amd64", "arm64")
        for name in ("function", "configuration")
    }
