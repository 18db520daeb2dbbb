"""Both images, built and run by a Docker engine (`engine` says which): small, locked down, the same files each time."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.images.engine import (
    BASE,
    DOCKER,
    LOCKED_DOWN,
    copied,
    docker,
    inspected,
    library,
    network,
    present,
    running,
    said,
    stopped,
    until,
    written,
)
from tests.support.servers import Database
from tools import base_image, wheelhouse
from tools.render_examples import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("images")]

MEGABYTE = 1000 * 1000


class Images(NamedTuple):
    """The names of what was built."""

    function: str
    service: str


@pytest.fixture(scope="session")
def images() -> Images:
    try:
        there = docker("version", "--format={{.Server.Version}}", check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        there = False
    if not there:
        pytest.skip("no Docker engine answers")
    if not present(BASE):
        pytest.skip(
            f"no base image: {BASE} cannot be pulled; `python -m tools.base_image` makes another for BASE_IMAGE"
        )
    build = [ROOT / "scripts" / "ci" / "images.sh", "--build-arg", f"BASE_IMAGE={BASE}", *network()]
    own = os.environ | {"REGISTRY": "agent-executor-tests", "DOCKER": DOCKER}
    done = subprocess.run(build, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    function, service = (line for line in done.stdout.splitlines() if line.startswith("agent-executor-tests/"))
    return Images(function, service)


@pytest.mark.parametrize(("half", "megabytes"), [("function", 130), ("service", 330)])
def test_an_image_adds_little_to_its_base(images: Images, half: str, megabytes: int) -> None:
    added = inspected(getattr(images, half))["Size"] - inspected(BASE)["Size"]
    print(f"{half}: {added / MEGABYTE:.0f} MB over the base")
    assert added < megabytes * MEGABYTE


@pytest.mark.parametrize(
    ("half", "title", "description"),
    [
        ("function", "function-agent-executor", "Crossplane composition function: "),
        ("service", "agent-executor", "Runs AI agents as jobs "),
    ],
)
def test_an_image_says_what_it_is_and_runs_as_nobody(images: Images, half: str, title: str, description: str) -> None:
    config = inspected(getattr(images, half))["Config"]
    assert config["User"] == "65532:65532"
    assert config.get("Healthcheck") is None
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == title
    assert labels["description"].startswith(description)
    assert labels["source"] == "https://github.com/arun4infra/agent-executor"
    assert labels["licenses"] == "Apache-2.0"
    assert getattr(images, half).endswith(f":v{labels['version']}")
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])
    # By the commit that it names, and not by HEAD, which may have moved since the build.
    show = ["git", "show", "--no-patch", "--format=%ct", labels["revision"]]
    committed = subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert datetime.fromisoformat(labels["created"]) == datetime.fromtimestamp(int(committed), UTC)


# Prints every program on the PATH.
PROGRAMS = """
import os, pathlib
print(*{file.name for place in os.environ["PATH"].split(":") for file in pathlib.Path(place).glob("*")})
"""


@pytest.mark.parametrize(("half", "own"), [("function", "function-agent-executor"), ("service", "agent-executor")])
def test_an_image_has_no_program_but_a_shell_python_and_its_environments(images: Images, half: str, own: str) -> None:
    programs = set(said(getattr(images, half), PROGRAMS).split())
    environment = set(said(getattr(images, half), "import os; print(*os.listdir('/opt/agent-executor/bin'))").split())
    assert {"sh", "python3", own} <= programs
    system = {name for name in programs - environment if not re.fullmatch(r"python(3(\.\d+)?)?", name)}
    assert system == {"sh", "dash"}


@pytest.mark.parametrize("half", Images._fields)
def test_the_sbom_lists_what_is_locked_and_ourselves(images: Images, half: str) -> None:
    image = getattr(images, half)
    sbom = json.loads(written(image))
    listed = {(part["name"].lower().replace("_", "-"), part["version"]) for part in sbom["components"]}
    lock = wheelhouse.chosen((ROOT / "requirements" / f"{half}.txt").read_text("utf-8"), base_image.official().python)
    locked = re.findall(r"^([\w.-]+)(?:\[[^]]+\])?==([\w.]+)", lock, re.MULTILINE)
    ours = {part for part in listed if part[0] == "agent-executor"}
    assert sbom["bomFormat"] == "CycloneDX"
    assert len(ours) == 1
    assert {(name.replace(".", "-"), version) for name, version in listed - ours} == {
        (name.replace(".", "-"), version) for name, version in locked
    }


# Reads an SBOM, and prints what is wrong with it by CycloneDX's own schema.
VALIDATE = """
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = sys.stdin.read()
print(JsonStrictValidator(SchemaVersion.from_version(json.loads(text)["specVersion"])).validate_str(text))
"""


@pytest.mark.parametrize("half", Images._fields)
def test_the_sbom_is_valid(images: Images, half: str) -> None:
    """By the tool that wrote it, which only the build's own stage has."""
    build = ["build", "--quiet", "--target=build", f"--build-arg=BASE_IMAGE={BASE}", *network(), "."]
    stage = docker(*build).stdout.strip()
    validate = ["run", "--rm", "--interactive", "--network=none", stage, "/build/bin/python", "-c", VALIDATE]
    assert docker(*validate, input=written(getattr(images, half))).stdout == "None\n"


def test_the_function_serves_locked_down_and_ends_when_told(images: Images) -> None:
    with running(images.function, "--network=none", command=("--insecure",)) as container:
        until(lambda: '"serving"' in docker("logs", container).stdout, container)
        assert stopped(container) == 0


def test_the_service_migrates_serves_a_job_and_ends_when_told_locked_down(
    images: Images, env: dict[str, str], database: Database
) -> None:
    given = env | database.postgres  # an empty one
    options = [f"--env={name}={value}" for name, value in given.items()]
    # As the Deployment has it: an empty /tmp is all that can be written to.
    options += ["--network=host", "--tmpfs=/tmp"]
    with running(images.service, *options, "--entrypoint=scripts/ci/run-migrations.sh") as migrations:
        assert docker("wait", migrations).stdout.strip() == "0", docker("logs", migrations).stderr
    url = f"http://127.0.0.1:{env['HTTP_PORT']}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False

    with running(images.service, *options) as container:
        until(ready, container)
        smoke = [Path(sys.executable).with_name("agent-executor"), "smoke", "--url", url]
        done = subprocess.run(smoke, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + docker("logs", container).stderr[-2000:]
        assert stopped(container) == 0


def test_a_service_without_settings_says_which_one_is_missing(images: Images) -> None:
    done = docker("run", "--rm", "--network=none", *LOCKED_DOWN, images.service, check=False)
    assert (done.returncode, done.stderr.split(": is not set")[0]) == (2, "Error: NATS_URL")


# Prints how the bytecode of what is loaded is kept up to date (PEP 552), or which file there is not.
BYTECODE = """
import pathlib, sys
import {}
files = {{m.__spec__.cached for m in sys.modules.values() if getattr(m, "__spec__", None) and m.__spec__.has_location}}
print({{(pathlib.Path(file).read_bytes()[4] if pathlib.Path(file).exists() else file) for file in files if file}})
"""


@pytest.mark.parametrize(("half", "program"), [("function", "function.serve"), ("service", "agent_executor.api.main")])
def test_nothing_is_compiled_or_compared_with_its_source_at_a_start(images: Images, half: str, program: str) -> None:
    """Nor the standard library, which the official base has no bytecode of, and where nobody can write it."""
    assert said(getattr(images, half), BYTECODE.format(program)) == "{1}\n"  # a hash, and not to be checked


@pytest.mark.parametrize("half", Images._fields)
def test_two_builds_hold_the_same_files(images: Images, half: str, tmp_path: Path) -> None:
    again = ["build", "--no-cache", f"--target={half}", f"--build-arg=BASE_IMAGE={BASE}", *network()]
    image = docker(*again, "--quiet", ".").stdout.strip()
    try:
        for path in ("/opt/agent-executor", library(image)):
            first = copied(getattr(images, half), path, tmp_path / "first.tar")
            second = copied(image, path, tmp_path / "again.tar")
            assert first
            assert {name for name in first | second if first.get(name) != second.get(name)} == set()
    finally:
        docker("image", "rm", "--force", image)
