"""Who decided each value: a claim field, a size profile, a platform setting, or the function itself."""

import functools
from pathlib import Path

import pytest

from function import explain, preview
from tools.render_examples import ROOT, examples

SEED = str(ROOT / "examples" / "claim.yaml")
CONTAINER = "deployment.spec.template.spec.containers[0]"
PREFIX = CONTAINER.replace("[0]", "[agent-executor]")


@functools.cache
def everything() -> dict[str, tuple[str, ...]]:
    return decided(SEED)


def decided(file: str, path: str = "", platform: str | None = None) -> dict[str, tuple[str, ...]]:
    (one,) = preview.load([file], platform)
    return {f"{found.key}.{found.path}": found.inputs for found in explain.decisions(one, path)}


def test_the_size_decides_resources_through_its_profile() -> None:
    assert decided(SEED, f"{CONTAINER}.resources") == {
        f"{PREFIX}.resources.{kind}.{resource}": (f"spec.size ({SEED}:8)", f"size profile medium: {resource}.{field}")
        for kind, field in (("requests", "request"), ("limits", "limit"))
        for resource in ("cpu", "memory")
    }


@pytest.mark.parametrize(
    ("path", "inputs"),
    [
        (f"{PREFIX}.image", (f"spec.image ({SEED}:7)",)),
        (f"{PREFIX}.env[NATS_URL].value", (f"spec.natsUrl ({SEED}:9)",)),
        (f"{PREFIX}.env[POSTGRES_SCHEMA].value", ("spec.postgresSchema (its default)",)),
        (f"{PREFIX}.env[MAX_CONCURRENT_JOBS].value", ("size profile medium: concurrency",)),
        (f"{PREFIX}.ports[http].containerPort", ()),
        ("deployment.kind", ()),
        ("deployment.metadata.name", (f"metadata.name ({SEED}:4)",)),
        ("deployment.metadata.namespace", (f"metadata.namespace ({SEED}:5)",)),
        ("scaled-object.spec.maxReplicaCount", ("size profile medium: maxReplicas",)),
        ("scaled-object.spec.minReplicaCount", ("spec.scaling.minReplicas (its default)",)),
        ("scaled-object.spec.triggers[0].metadata.lagThreshold", ("size profile medium: concurrency",)),
        ("scaled-object.spec.triggers[0].metadata.natsServerMonitoringEndpoint", (f"spec.natsUrl ({SEED}:9)",)),
        ("network-policy.spec.egress[2].ports[0].port", ("platform databases.postgres.port (its default)",)),
        (
            "postgres-secret.spec.data[0].remoteRef.key",
            ("platform externalSecrets.parameterPrefix (its default)", "spec.externalSecrets.create (its default)"),
        ),
    ],
)
def test_a_value_names_what_decided_it(path: str, inputs: tuple[str, ...]) -> None:
    assert everything()[path] == inputs


def test_what_the_claim_sets_is_no_longer_the_profiles(tmp_path: Path) -> None:
    claim = tmp_path / "claim.yaml"
    claim.write_text(Path(SEED).read_text() + "  concurrency: 2\n")
    path = "scaled-object.spec.triggers[0].metadata.lagThreshold"
    assert decided(str(claim), path) == {path: (f"spec.concurrency ({claim}:13)",)}


def test_a_platform_that_decides_is_named() -> None:
    claim, platform = (str(ROOT / "examples" / part / "platform-profile.yaml") for part in ("claims", "platforms"))
    found = decided(claim, "network-policy.spec", platform)
    assert found["network-policy.spec.egress[2].ports[0].port"] == ("platform databases.postgres.port (its default)",)
    namespace = "network-policy.spec.egress[2].to[0].namespaceSelector.matchLabels['kubernetes.io/metadata.name']"
    assert found[namespace] == ("platform databases.postgres.namespace",)
    limits = f"{PREFIX}.resources.limits.cpu"
    assert decided(claim, limits, platform)[limits][-1] == "size profile xlarge: cpu.limit"


def test_without_a_path_every_field_of_every_object_is_there() -> None:
    (one,) = preview.load([SEED])
    assert list(everything()) == [f"{key}.{path}" for key, path in explain.flat(one.objects)]


@pytest.mark.parametrize("path", ["deploy", "deployment.spec.replicas", "postgres-secret.spec.data[9]"])
def test_a_path_that_leads_nowhere_is_said(path: str) -> None:
    with pytest.raises(LookupError, match="there is"):
        decided(SEED, path)


@pytest.mark.parametrize(
    "example", [e for e in examples() if e.platform or e.claim.stem in ("office-hours", "environment")]
)
def test_every_value_that_a_claim_writes_decides_something(example: object) -> None:
    """Each value of these claims is where it should be: what moves nothing would be a field that is not rendered."""
    file, platform = str(ROOT / example.claim), example.platform and str(ROOT / example.platform)
    (one,) = preview.load([file], platform)
    named = {said for found in explain.decisions(one) for said in found.inputs}
    written = {given.said for given in explain.inputs(one) if file in given.said}
    assert written <= named
