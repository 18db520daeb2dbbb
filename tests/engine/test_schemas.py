"""Crossplane's own validation, offline: every example fits the generated XRDs and CRDs, and what is wrong does not."""

from pathlib import Path
from typing import Any

import pytest

from function import yaml_reader, yaml_writer
from tools import gomodules
from tools.render_examples import ROOT, examples

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("engine")]

CLAIMS = [ROOT / example.claim for example in examples() if example.claim.parent.name != "xr"]
XRDS = {model: ROOT / "apis" / model / "definition.yaml" for model in ("claim", "namespaced")}
CUSTOM = {"ExternalSecret", "ScaledObject"}


def validate(crossplane: Any, schemas: Path, objects: Path) -> Any:
    """One call. The empty image is what keeps it from looking for Crossplane's own CRDs on the network."""
    return crossplane.run(
        "resource", "validate", "--crossplane-image=", "--error-on-missing-schemas", schemas, objects
    )  # fmt: skip


def gathered(into: Path, files: list[Path]) -> Path:
    """A file of all the objects in some files."""
    bodies = [parsed.value for file in files for parsed in yaml_reader.parse(file.read_text("utf-8"))]
    into.write_text(yaml_writer.stream(bodies))
    return into


@pytest.mark.parametrize("model", XRDS)
def test_every_claim_fits_the_xrd_of_both_models(crossplane: Any, tmp_path: Path, model: str) -> None:
    # A size that only a platform's Input has is not in the enum that is committed: see the test below.
    standard = [claim for claim in CLAIMS if claim.stem != "platform-profile"]
    done = validate(crossplane, XRDS[model], gathered(tmp_path / "claims.yaml", standard))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(standard)} success cases" in done.stdout


@pytest.mark.parametrize(("model", "name"), [("claim", "cluster-scoped"), ("namespaced", "namespaced")])
def test_a_composite_fits_the_xrd_of_its_model(crossplane: Any, model: str, name: str) -> None:
    done = validate(crossplane, XRDS[model], ROOT / "examples" / "xr" / f"{name}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_size_of_the_platforms_own_fits_the_xrd_that_is_printed_for_it(crossplane: Any, tmp_path: Path) -> None:
    from function import preview, schema

    claim = ROOT / "examples" / "claims" / "platform-profile.yaml"
    assert validate(crossplane, XRDS["claim"], claim).returncode != 0
    settings = preview.read_platform(str(ROOT / "examples" / "platforms" / "platform-profile.yaml"))
    (tmp_path / "xrd.yaml").write_text(yaml_writer.stream([schema.xrd_claim(settings)]))
    done = validate(crossplane, tmp_path / "xrd.yaml", claim)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_platform_fits_the_crd_of_the_input(crossplane: Any, tmp_path: Path) -> None:
    (crd,) = (ROOT / "package" / "input").glob("*.yaml")
    platforms = sorted((ROOT / "examples" / "platforms").glob("*.yaml"))
    done = validate(crossplane, crd, gathered(tmp_path / "platforms.yaml", platforms))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rendered_custom_object_fits_the_crds_of_keda_and_external_secrets(
    crossplane: Any, tmp_path: Path
) -> None:
    try:
        keda, secrets = map(
            gomodules.directory, ("github.com/kedacore/keda/v2", "github.com/external-secrets/external-secrets")
        )
    except gomodules.UnavailableError as error:
        pytest.skip(str(error))
    scaled = keda / "config" / "crd" / "bases" / "keda.sh_scaledobjects.yaml"
    crds = gathered(tmp_path / "crds.yaml", [scaled, secrets / "deploy" / "crds" / "bundle.yaml"])
    goldens = sorted((ROOT / "examples" / "rendered").rglob("*.yaml"))
    bodies = [parsed.value for golden in goldens for parsed in yaml_reader.parse(golden.read_text("utf-8"))]
    (tmp_path / "objects.yaml").write_text(yaml_writer.stream(body for body in bodies if body["kind"] in CUSTOM))
    done = validate(crossplane, crds, tmp_path / "objects.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.parametrize("model", XRDS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: medium", "size: huge"),
        ("size: medium", "sise: medium"),
        ("size: medium", "scaling: {minReplicas: -1}"),
        ("size: medium", "scaling: {minReplicas: 5, maxReplicas: 2}"),
        ("size: medium", "concurrency: many"),
        ("natsUrl: nats://", "natsUrl: http://"),
        ("  image: ", "  imag: "),
    ],
)
def test_the_api_server_already_refuses_what_a_schema_can(
    crossplane: Any, tmp_path: Path, model: str, old: str, new: str
) -> None:
    seed = (ROOT / "examples" / "claim.yaml").read_text("utf-8")
    assert old in seed
    (tmp_path / "bad.yaml").write_text(seed.replace(old, new))
    assert validate(crossplane, XRDS[model], tmp_path / "bad.yaml").returncode != 0
