"""What was released still holds: a claim of an older release keeps its objects, under the names that they have."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from function import resources
from function.claim import Claim
from function.resources import deployment, external_secrets, service
from tools import released
from tools.packages import version

RECORDS = released.records()
WHERE = "intelligence-deepagents/agent-executor"
SCALER = f"ScaledObject.keda.sh {WHERE}"
OLD = f"claims that are there keep Service {WHERE}, and others do not have it"


@pytest.fixture
def record() -> dict[str, Any]:
    """What the seed's claim was in the latest release."""
    found = released.load(RECORDS[-1])
    found["examples"] = {"examples/claim.yaml": found["examples"]["examples/claim.yaml"]}
    return found


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_what_was_released_still_holds(path: Path) -> None:
    assert list(released.faults(released.load(path))) == []


def test_the_version_has_a_record_of_examples_with_every_object() -> None:
    path = next((path for path in RECORDS if path.stem == version()), None)
    assert path, "run `make released`"
    found = released.load(path)
    assert found["version"] == version()
    kept = [promised["objects"] for promised in found["examples"].values()]
    assert set().union(*kept) >= {"service-account", "deployment", "pod-disruption-budget"}
    assert len(kept) >= 20
    assert len(found["migrations"]) >= 3


def registry(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The registry, changed."""
    return MappingProxyType(change(dict(resources.REGISTRY)))


def other(key: str, **changed: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Renders another kind, version or metadata under the same key."""

    def change(composed: dict[str, Any]) -> dict[str, Any]:
        def render(*given: Any) -> dict[str, Any]:
            made = copy.deepcopy(dict(before.render(*given)))
            made["metadata"] = {**made["metadata"], **changed.get("metadata", {})}
            return made | {name: value for name, value in changed.items() if name != "metadata"}

        before = composed[key]
        return composed | {key: before._replace(render=render)}

    return change


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], list[str]]] = {
    "a renamed key": (
        lambda composed: {{"deployment": "workload"}.get(key, key): one for key, one in composed.items()},
        [f"deployment is called workload: Crossplane would delete Deployment.apps {WHERE} and make it again"],
    ),
    "a key that is gone": (
        lambda composed: {key: one for key, one in composed.items() if key != "network-policy"},
        [f"network-policy is gone: Crossplane would delete NetworkPolicy.networking.k8s.io {WHERE}"],
    ),
    "another kind": (
        other("deployment", kind="StatefulSet"),
        [f"deployment is a StatefulSet.apps: Deployment.apps {WHERE} would be left behind, and nobody's"],
    ),
    "another group": (
        other("scaled-object", apiVersion="autoscaling/v2"),
        [f"scaled-object is a ScaledObject.autoscaling: {SCALER} would be left behind, and nobody's"],
    ),
    "another name": (
        other("service", metadata={"name": "agents"}),
        [f"service is Service intelligence-deepagents/agents: {OLD}"],
    ),
    "another namespace": (
        other("service", metadata={"namespace": "agents"}),
        [f"service is Service agents/agent-executor: {OLD}"],
    ),
    "a newer version of a kind": (other("scaled-object", apiVersion="keda.sh/v1"), []),
    "another object": (lambda composed: composed | {"second-service": composed["service"]}, []),
    "other labels and annotations": (other("service", metadata={"annotations": {"a": "b"}, "labels": {}}), []),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), CHANGES.values(), ids=CHANGES)
def test_a_changed_object_is_told_with_what_it_would_do(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch, change: Any, told: list[str]
) -> None:
    monkeypatch.setattr(resources, "REGISTRY", registry(change))
    assert list(released.faults(record)) == [f"examples/claim.yaml of {record['version']}: {fault}" for fault in told]


def test_a_changed_selector_is_told(record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "selector", lambda claim: {"app": claim.name, "version": "2"})
    (fault,) = released.faults(record)
    assert "deployment: selector {'matchLabels': {'app': 'agent-executor', 'version': '2'}}, it was " in fault
    assert "Kubernetes refuses to change it" in fault


def test_labels_that_every_object_shares_are_told_where_pods_lose_them(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "labels", lambda claim: {"app": claim.name})
    (fault,) = released.faults(record)
    assert "deployment: labels missing, it was app.kubernetes.io/component=executor, " in fault


def test_keys_of_secrets_never_change(record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**external_secrets.LLM_KEYS, "MISTRAL_API_KEY": "/mistral_api_key"}
    monkeypatch.setattr(external_secrets, "LLM_KEYS", more)
    (fault,) = released.faults(record)
    assert "llm-keys-secret: keys " in fault
    assert "wait for a parameter that nobody has" in fault


def test_a_variable_that_pods_lose_is_told_and_one_more_is_not(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = deployment._environment
    monkeypatch.setattr(deployment, "_environment", lambda claim: [*before(claim), {"name": "NEW", "value": "x"}])
    assert list(released.faults(record)) == []
    monkeypatch.setattr(deployment, "_environment", lambda claim: before(claim)[1:])
    (fault,) = released.faults(record)
    assert fault.endswith("env of agent-executor missing, it was HTTP_PORT: somebody builds against it")


def test_a_stream_or_schema_that_moves_is_told(record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claim, "stream", "JOBS")
    monkeypatch.setattr(Claim, "postgres_schema", "agents")
    executor, migrations = sorted(released.faults(record))
    assert "'NATS_STREAM': 'JOBS'" in executor
    assert "'POSTGRES_SCHEMA': 'agents'" in executor
    assert "deployment: places of run-migrations {'POSTGRES_SCHEMA': 'agents'}, it was " in migrations
    assert executor.endswith(": jobs and state would be looked for where nobody has put them")


def test_a_port_that_moves_is_told(record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = service.render

    def moved(*given: Any) -> Any:
        made = copy.deepcopy(dict(before(*given)))
        made["spec"]["ports"][0]["port"] = 80
        return made

    composed = {**resources.REGISTRY, "service": resources.REGISTRY["service"]._replace(render=moved)}
    monkeypatch.setattr(resources, "REGISTRY", composed)
    (fault,) = released.faults(record)
    assert "service: ports missing, it was http 8080" in fault


def test_a_claim_that_is_refused_now_is_told(record: dict[str, Any]) -> None:
    record["examples"]["examples/claim.yaml"]["claim"]["spec"]["dropped"] = True
    (fault,) = released.faults(record)
    assert "examples/claim.yaml of 0.1.0 is refused now: spec.dropped: unknown field" in fault


def test_a_changed_migration_is_told(record: dict[str, Any]) -> None:
    record["migrations"]["001_create_checkpointer_tables.up.sql"] = "another"
    (fault,) = released.faults(record)
    assert "migrations/001_create_checkpointer_tables.up.sql: is not what it was" in fault


def test_another_name_of_the_api_is_told(record: dict[str, Any]) -> None:
    record["definitions"]["apis/claim/definition.yaml"]["has versions"] += ["v1alpha0"]
    record["definitions"]["apis/claim/composition.yaml"]["steps"] = ["compose"]
    version_fault, step_fault = released.faults(record)
    assert "apis/claim/definition.yaml: versions missing, it was v1alpha0" in version_fault
    assert "apis/claim/composition.yaml: steps ['agent-executor'], it was ['compose']" in step_fault


def test_a_record_is_only_written_when_all_of_them_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(released, "RECORDS", tmp_path)
    assert released.main() == 0
    (written,) = tmp_path.iterdir()
    assert written.name == f"{version()}.json"
    assert list(released.faults(json.loads(written.read_text("utf-8")))) == []
    before = written.read_bytes()
    monkeypatch.setattr(resources, "REGISTRY", registry(CHANGES["a renamed key"][0]))
    assert released.main() == 1
    assert "deployment is called workload: Crossplane would delete " in capsys.readouterr().err
    assert written.read_bytes() == before


def test_records_are_in_the_order_of_their_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released, "RECORDS", tmp_path)
    for name in ("0.10.0", "0.9.1", "1.0.0", "0.9.0"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert [path.stem for path in released.records()] == ["0.9.0", "0.9.1", "0.10.0", "1.0.0"]
