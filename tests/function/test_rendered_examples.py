"""Every object of every example is one that the API server, and Pod Security *restricted*, would take."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from function.resources import REGISTRY
from tests.support import validate

RENDERED = Path(__file__).parents[2] / "examples" / "rendered"
FILES = sorted(RENDERED.glob("**/*.yaml"))


def objects(file: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(file))


def deployments(file: Path) -> list[dict[str, Any]]:
    return [manifest for manifest in objects(file) if manifest["kind"] == "Deployment"]


def test_the_examples_show_every_kind():
    assert {manifest["kind"] for file in FILES for manifest in objects(file)} == {c.kind for c in REGISTRY.values()}


EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(RENDERED)))


@EACH
def test_the_schemas_of_kubernetes_accept(file):
    built_in = [manifest for manifest in objects(file) if manifest["kind"] not in validate.CUSTOM]
    assert [fault for manifest in built_in for fault in validate.faults(manifest)] == []


@EACH
def test_the_schemas_of_keda_and_external_secrets_accept(file):
    custom = [manifest for manifest in objects(file) if manifest["kind"] in validate.CUSTOM]
    assert [fault for manifest in custom for fault in validate.faults(manifest)] == []


def test_pod_security_allows_every_pod():
    pods = [manifest["spec"]["template"] for file in FILES for manifest in deployments(file)]
    assert len(pods) >= len(FILES)
    assert validate.forbidden(pods) == [[]] * len(pods)


@EACH
def test_replicas_are_left_to_keda(file):
    assert ["replicas" for manifest in deployments(file) if "replicas" in manifest["spec"]] == []
