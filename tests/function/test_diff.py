"""What changes between two renderings."""

from pathlib import Path

import pytest

from function import diff, preview
from tools.render_examples import ROOT

SEED = (ROOT / "examples" / "claim.yaml").read_text("utf-8")
HERE = "intelligence-deepagents/agent-executor"


def changes(tmp_path: Path, *, old: str = SEED, new: str = SEED) -> dict[str, list[tuple[str, str | None, str | None]]]:
    sides = []
    for name, text in (("old.yaml", old), ("new.yaml", new)):
        (tmp_path / name).write_text(text)
        sides.append(preview.load([str(tmp_path / name)]))
    return {title: [tuple(change) for change in found] for title, found in diff.compare(*sides)}


def test_the_same_claim_changes_nothing(tmp_path: Path) -> None:
    assert changes(tmp_path) == {}


def test_a_new_image_changes_both_containers_and_nothing_else(tmp_path: Path) -> None:
    before, after = (f"ghcr.io/arun4infra/agent-executor:{tag}" for tag in ("v1.0.0", "v1.1.0"))
    assert changes(tmp_path, new=SEED.replace("v1.0.0", "v1.1.0")) == {
        f"Deployment {HERE}": [
            ("spec.template.spec.initContainers[run-migrations].image", before, after),
            ("spec.template.spec.containers[agent-executor].image", before, after),
        ]
    }


def test_a_variable_more_is_one_field_more_and_moves_no_other(tmp_path: Path) -> None:
    (found,) = changes(tmp_path, new=SEED + "  env: [{name: LOG_LEVEL, value: 'on'}]\n").values()
    env = "spec.template.spec.containers[agent-executor].env[LOG_LEVEL]"
    assert found == [(f"{env}.name", None, "LOG_LEVEL"), (f"{env}.value", None, '"on"')]


@pytest.mark.parametrize(("way", "suffix"), [("new", " (new)"), ("old", " (deleted)")])
def test_an_object_that_comes_or_goes_is_shown_whole(tmp_path: Path, way: str, suffix: str) -> None:
    found = changes(tmp_path, **{way: SEED + "  scaling: {minReplicas: 2}\n"})
    whole = found.pop(f"PodDisruptionBudget {HERE}{suffix}")
    assert {path for path, _, _ in whole} >= {"kind", "metadata.name", "spec.selector.matchLabels.app"}
    assert list(found) == [f"ScaledObject {HERE}"]


def test_an_object_keeps_its_name_when_its_secret_gets_another(tmp_path: Path) -> None:
    found = changes(tmp_path, new=SEED.replace("agent-executor-llm-keys", "team-keys"))
    secret = found[f"ExternalSecret {HERE}-llm-keys"]
    assert secret == [("spec.target.name", "agent-executor-llm-keys", "team-keys")]
    assert list(found) == [f"ExternalSecret {HERE}-llm-keys", f"Deployment {HERE}"]


def test_another_name_is_another_set_of_objects(tmp_path: Path) -> None:
    found = changes(tmp_path, new=SEED.replace("name: agent-executor\n", "name: second\n"))
    titles = list(found)
    assert f"Deployment {HERE} (deleted)" in titles
    assert "Deployment intelligence-deepagents/second (new)" in titles
