"""Claims of files, all or none of them, and what is said of observed objects."""

import re
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


@pytest.mark.parametrize("mark", ["crossplane.io/claim-name", "crossplane.io/composite"])
def test_an_object_keeps_the_name_that_it_began_with(tmp_path: Path, mark: str) -> None:
    (one,) = load(tmp_path, SEED.replace("agent-executor-llm-keys", "team-keys"))
    ready = observed("ready.yaml")
    (keys,) = (found for found in ready if found["metadata"]["name"] == "agent-executor-llm-keys")
    assert next(preview.report(one, ready)).endswith(": not ready")
    keys["metadata"] |= {
        "labels": {mark: "agent-executor"},
        "annotations": {"crossplane.io/composition-resource-name": "llm-keys-secret"},
    }
    assert next(preview.report(one, ready)).endswith(": ready")
    keys["metadata"]["labels"] = {mark: "another"}
    assert next(preview.report(one, ready)).endswith(": not ready")


def test_a_field_that_is_left_blank_is_one_that_is_left_out(tmp_path: Path) -> None:
    blank = "  env:\n  postgresSchema:\n  scaling:\n    maxReplicas:\n  externalSecrets: {store: }\n"
    (one,), (other,) = load(tmp_path), load(tmp_path, SEED + blank)
    assert one.objects == other.objects


@pytest.mark.parametrize(
    ("blank", "fault"),
    [
        ("  enf:\n", "spec.enf: unknown field"),
        ("  env: [{name: A}, ]\n  podTemplate: {labels: {a: }}\n", "spec.podTemplate.labels.a: null is not a string"),
        ("  network: {ingressFrom: [null]}\n", "spec.network.ingressFrom[0]: null is not a string"),
    ],
)
def test_what_is_blank_elsewhere_is_a_fault(tmp_path: Path, blank: str, fault: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(fault)):
        load(tmp_path, SEED + blank)


def test_claims_that_would_be_in_each_others_way_are_warned_of(tmp_path: Path) -> None:
    other = SEED.replace("name: agent-executor\n", "name: other\n")
    assert other != SEED
    found = list(preview.collisions(load(tmp_path, f"{SEED}---\n{other}")))
    assert [line.partition(": ")[2] for line in found] == [
        f"intelligence-deepagents/other makes ExternalSecret intelligence-deepagents/agent-executor-{which}, as does "
        f"agent-executor ({tmp_path}/claim.yaml:1): in one cluster only one of them gets it"
        for which in ("postgres", "dragonfly", "llm-keys")
    ]


@pytest.mark.parametrize("change", ["namespace: intelligence-deepagents", "name: agent-executor\n"])
def test_claims_of_two_clusters_or_namespaces_are_not(tmp_path: Path, change: str) -> None:
    moved = {"namespace: intelligence-deepagents": "namespace: another"}.get(change, change)
    assert list(preview.collisions(load(tmp_path, f"{SEED}---\n{SEED.replace(change, moved)}"))) == []


@pytest.mark.parametrize("metadata", [None, "text", [], {"name": ["x"]}])
def test_odd_observed_objects_are_nobodys(tmp_path: Path, metadata: object) -> None:
    (one,) = load(tmp_path)
    assert next(preview.report(one, [{"kind": "Deployment", "metadata": metadata}])).endswith("not ready")
