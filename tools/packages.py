"""Builds the Function package and both Configuration packages into `build/packages/` with Crossplane's command line.

Each is built from a directory that holds its files and nothing else, because the command takes every YAML file below
the package's root, and the root of one of them is the repository's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

from tools import gobinaries
from tools.gomodules import UnavailableError

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "build" / "packages"
CLI = ("engine", "github.com/crossplane/cli/v2/cmd/crossplane")
FUNCTION = "function-agent-executor"
# Name to the files of the package and to the examples that it carries, from the repository's root.
PACKAGES = {
    FUNCTION: (["package/crossplane.yaml", "package/input/*.yaml"], ["examples/platforms/*.yaml"]),
    "configuration-agent-executor": (["crossplane.yaml", "apis/claim/*.yaml"], ["examples/claim.yaml"]),
    "configuration-agent-executor-namespaced": (["apis/namespaced/*.yaml"], ["examples/claim.yaml"]),
}


def version() -> str:
    """The version of everything here, from pyproject.toml."""
    stated: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return stated


def build(name: str, into: Path = BUILT, runtime: Path | None = None, architecture: str | None = None) -> Path:
    """Build one package and return its file; `runtime` is a tarball of the image that a Function package embeds.

    Raises:
        UnavailableError: Go is not on this machine.
        RuntimeError: the tarball's image is not for `architecture`, where that is given, or Crossplane's command line
            does not take the package; the message ends with its own.
    """
    if runtime and architecture and (found := platform(runtime)) != f"linux/{architecture}":
        # An engine that keeps one architecture of a tag saves that one, whatever it is asked for.
        raise RuntimeError(f"{runtime}: holds an image for {found}, and not for linux/{architecture}")
    crossplane = gobinaries.build(*CLI)
    stage, package = into / name, into / f"{name}-{version()}.xpkg"
    shutil.rmtree(stage, ignore_errors=True)
    for part, patterns in zip(("package", "examples"), PACKAGES[name], strict=True):
        (stage / part).mkdir(parents=True)
        for source in (source for pattern in patterns for source in ROOT.glob(pattern)):
            shutil.copyfile(source, stage / part / source.name)
    command = [crossplane, "xpkg", "build", f"--package-root={stage / 'package'}"]
    command += [f"--examples-root={stage / 'examples'}", f"--package-file={package}"]
    command += [f"--embed-runtime-image-tarball={runtime}"] if runtime else []
    # The command keeps a configuration file in its home, and this is no place for it to make one.
    done = subprocess.run(command, env=os.environ | {"HOME": str(stage)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stderr or done.stdout).strip()[-800:]}")
    shutil.rmtree(stage)
    return package


def platform(image: Path) -> str:
    """What the one image of a tarball, as `docker save` writes it, runs on: linux/arm64."""
    with tarfile.open(image) as files:

        def read(name: str) -> Any:
            member = files.extractfile(name)
            return json.load(member) if member else None

        (one,) = read("manifest.json")
        config = read(one["Config"])
    return f"{config['os']}/{config['architecture']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime-image", type=Path, help="tarball of the function's image, to embed in its package")
    parser.add_argument("--architecture", help="what that image has to be for, such as arm64")
    given = parser.parse_args()
    try:
        if not given.runtime_image:
            print(f"without --runtime-image {FUNCTION} has nothing to run", file=sys.stderr)
        for name in PACKAGES:
            runtime = given.runtime_image if name == FUNCTION else None
            print(build(name, BUILT, runtime, given.architecture).relative_to(ROOT))
    except UnavailableError as error:
        print(f"{error}; Crossplane's command line is built with it", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
