"""Claims of files, all or none of them, and what is said of observed objects."""

from pathlib import Path

import pytest

from function import documents, preview
from function.refusals import RefusedError
from tests.support.calls import SIZES
from tools.render_examples import ROOT

SEED = (ROOT / "examples" / "claim.yaml").read_text("utf-8")


def load(tmp_path: Path, text: str = SEED) -> list[preview.Preview]:
    (tmp_path / "claim.yaml").write_text(text)
    return preview.load([str(tmp_path / "claim.yaml")])


def test_one_bad_claim_of_two_renders_neither(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        load(tmp_path, SEED + "---\n" + SEED.replace("size: medium", "size: huge\n  spread: 1"))
    first, second = str(refused.value).splitlines()
    assert first.startswith(f"{tmp_path}/claim.yaml:22: spec.spread: unknown field")
    assert second == f"{tmp_path}/claim.yaml:21: spec.size: 'huge' is not one of {SIZES}"


def test_a_field_that_is_missing_is_placed_where_it_would_stand(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"claim\.yaml:6: spec\.image: is missing"):
        load(tmp_path, SEED.replace("  image: ghcr.io/arun4infra/agent-executor:v1.0.0\n", ""))


def observed(state: str) -> list[dict]:
    return [document.body for document in documents.read(str(ROOT / "examples" / "observed" / "claim" / state))]


def test_observed_objects_of_others_are_passed_over(tmp_path: Path) -> None:
    (one,) = load(tmp_path)
    ready = observed("ready.yaml")
    for found in ready:
        found["metadata"]["namespace"] = "another"
    lines = list(preview.report(one, ready))
    assert lines[0] == "intelligence-deepagents/agent-executor: not ready"
    assert lines[1:9] == [f"  {key}: not ready, Creating: it is being created" for key in one.objects]


def test_an_observed_object_without_a_namespace_is_in_the_claims(tmp_path: Path) -> None:
    (one,) = load(tmp_path)
    ready = observed("ready.yaml")
    for found in ready:
        del found["metadata"]["namespace"]
    assert next(preview.report(one, ready)) == "intelligence-deepagents/agent-executor: ready"


@pytest.mark.parametrize("metadata", [None, "text", [], {"name": ["x"]}])
def test_odd_observed_objects_are_nobodys(tmp_path: Path, metadata: object) -> None:
    (one,) = load(tmp_path)
    assert next(preview.report(one, [{"kind": "Deployment", "metadata": metadata}])).endswith("not ready")
