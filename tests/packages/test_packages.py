"""The packages that Crossplane's command line builds hold what they should, nothing else, and agree with each other."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from function import yaml_reader
from tools import packages
from tools.gomodules import UnavailableError

ROOT = packages.ROOT
FUNCTION_PACKAGE = "ghcr.io/arun4infra/function-agent-executor"

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("engine")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    try:
        return {name: packages.build(name, tmp_path_factory.mktemp("packages")) for name in packages.PACKAGES}
    except UnavailableError as error:
        pytest.skip(str(error))


def layers(package: Path) -> dict[str, dict[str, str]]:
    """What each annotated layer of an .xpkg holds: the layer's name to its files and their text."""
    with tarfile.open(package) as image:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        config = json.load(image.extractfile(manifest["Config"]))
        labels = {
            label.removeprefix("io.crossplane.xpkg:sha256:"): name for label, name in config["config"]["Labels"].items()
        }
        found = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                found[labels[layer.split(".")[0]]] = {
                    member.name: files.extractfile(member).read().decode() for member in files if member.isfile()
                }
        return found


def documents(text: str) -> list[dict[str, Any]]:
    return [parsed.value for parsed in yaml_reader.parse(text)]


def source(path: str) -> dict[str, Any]:
    (document,) = documents((ROOT / path).read_text("utf-8"))
    return document


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        (
            "function-agent-executor",
            [
                ("Function", "function-agent-executor"),
                ("CustomResourceDefinition", "agentexecutorplatforms.agentexecutor.fn.bizmatters.io"),
            ],
        ),
        (
            "configuration-agent-executor",
            [
                ("Configuration", "configuration-agent-executor"),
                ("CompositeResourceDefinition", "xagentexecutors.platform.bizmatters.io"),
                ("Composition", "agent-executor-composition"),
            ],
        ),
        (
            "configuration-agent-executor-namespaced",
            [
                ("Configuration", "configuration-agent-executor-namespaced"),
                ("CompositeResourceDefinition", "agentexecutors.platform.bizmatters.io"),
                ("Composition", "agent-executor-composition"),
            ],
        ),
    ],
)
def test_a_package_holds_its_documents_and_no_others(
    built: dict[str, Path], name: str, holds: list[tuple[str, str]]
) -> None:
    base = layers(built[name])["base"]
    assert list(base) == ["package.yaml"]
    assert sorted((d["kind"], d["metadata"]["name"]) for d in documents(base["package.yaml"])) == sorted(holds)


def test_a_configuration_carries_the_claim_as_its_example(built: dict[str, Path]) -> None:
    for name in ("configuration-agent-executor", "configuration-agent-executor-namespaced"):
        assert documents(layers(built[name])["upbound"][".up/examples.yaml"]) == [source("examples/claim.yaml")]


def test_what_chooses_no_composition_gets_the_one_of_its_package(built: dict[str, Path]) -> None:
    for name in ("configuration-agent-executor", "configuration-agent-executor-namespaced"):
        by_kind = {d["kind"]: d for d in documents(layers(built[name])["base"]["package.yaml"])}
        definition, composition = by_kind["CompositeResourceDefinition"], by_kind["Composition"]
        assert definition["spec"]["defaultCompositionRef"] == {"name": composition["metadata"]["name"]}


def test_a_build_is_the_same_to_the_byte_every_time(built: dict[str, Path], tmp_path: Path) -> None:
    for name, package in built.items():
        assert packages.build(name, tmp_path).read_bytes() == package.read_bytes()
        assert [path.name for path in tmp_path.iterdir()] == [package.name]
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


@pytest.mark.parametrize("configuration", ["crossplane.yaml", "apis/namespaced/crossplane.yaml"])
def test_a_configuration_depends_on_the_function_of_its_own_version(configuration: str) -> None:
    assert source(configuration)["spec"]["dependsOn"] == [
        {
            "apiVersion": "pkg.crossplane.io/v1",
            "kind": "Function",
            "package": FUNCTION_PACKAGE,
            "version": f">=v{packages.version()}",
        }
    ]


@pytest.mark.parametrize("composition", ["apis/claim/composition.yaml", "apis/namespaced/composition.yaml"])
def test_a_composition_names_the_function_as_crossplane_names_the_dependency(composition: str) -> None:
    (step,) = source(composition)["spec"]["pipeline"]
    repository = FUNCTION_PACKAGE.partition("/")[2]
    assert step["functionRef"]["name"] == re.sub(r"[./:]", "-", repository)
    assert step["functionRef"]["name"] == source("examples/functions.yaml")["metadata"]["name"]
    assert source("examples/functions.yaml")["spec"]["package"] == f"{FUNCTION_PACKAGE}:v{packages.version()}"


def test_both_models_have_one_pipeline() -> None:
    claim, namespaced = (source(f"apis/{model}/composition.yaml") for model in ("claim", "namespaced"))
    assert claim["spec"].pop("compositeTypeRef")["kind"] == "XAgentExecutor"
    assert namespaced["spec"].pop("compositeTypeRef")["kind"] == "AgentExecutor"
    assert claim == namespaced
