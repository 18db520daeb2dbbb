"""The real Crossplane engine makes of every example, in both models, exactly what our own preview makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from function import preview, yaml_reader, yaml_writer
from function.refusals import RefusedError
from tools.render_examples import RENDERED, ROOT, Example, examples

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("engine")]

MODELS = {"claim": "XAgentExecutor", "namespaced": "AgentExecutor"}
COMPOSITE = "example-7x2vq"  # a claim's composite gets a suffix; a namespaced one is called as its file says
EXAMPLES = [example for example in examples() if example.claim.parent.name != "xr"]
STATES = [(example, state) for example in EXAMPLES for state in example.observed]
REQUIRED = ("Secret", "Pod")  # what Crossplane sends because the function asks for it: no composed objects
OURS = {"SpecValid", "SecretsReady", "WorkloadAvailable", "ScalingReady"}


class Engine:
    """Renders composites of one model with the real engine and this function."""

    def __init__(self, crossplane: Any, address: str, scratch: Path) -> None:
        self.crossplane, self.address, self.scratch = crossplane, address, scratch

    def composite(self, claim: Path, model: str) -> Path:
        """The composite that Crossplane makes of a claim: in the namespaced model it is the claim's file itself."""
        if model == "namespaced":
            return claim
        made = self.scratch / "composite.yaml"
        self.crossplane.output("xr", "generate", claim, "--name", COMPOSITE, "--kind", MODELS[model], "-o", made)
        return made

    def composition(self, model: str, platform: Path | None) -> Path:
        """The model's Composition, with the Input of a platform in it where one is given."""
        path = ROOT / "apis" / model / "composition.yaml"
        if platform is None:
            return path
        (body,) = read(path)
        (body["spec"]["pipeline"][0]["input"],) = read(ROOT / platform)
        changed = self.scratch / "composition.yaml"
        changed.write_text(yaml_writer.stream([body]))
        return changed

    def render(self, composite: Path, model: str, platform: Path | None = None, observed: Path | None = None) -> Any:
        """One call, as the command line returns it, with the composed and the required objects of a file."""
        arguments = ["composition", "render", composite, self.composition(model, platform), "examples/functions.yaml"]
        arguments += [f"--crossplane-binary={self.crossplane.engine}", f"--xrd=apis/{model}/definition.yaml"]
        if observed:
            bodies = read(observed)
            required = [body for body in bodies if body["kind"] in REQUIRED]
            composed = [body for body in bodies if body["kind"] not in REQUIRED]
            for option, found in (("observed", composed), ("required", required)):
                if found:
                    given = self.scratch / f"{option}.yaml"
                    given.write_text(yaml_writer.stream(found))
                    arguments.append(f"--{option}-resources={given}")
        arguments.append("--include-function-results")
        target = "render.crossplane.io/runtime-development-target"
        return self.crossplane.run(*arguments, f"--function-annotations={target}={self.address}")


@pytest.fixture
def engine(crossplane: Any, function: str, tmp_path: Path) -> Engine:
    return Engine(crossplane, function, tmp_path)


def read(path: Path) -> list[dict[str, Any]]:
    return [parsed.value for parsed in yaml_reader.parse(path.read_text("utf-8"))]


def split(printed: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The composite, the composed objects by their key, and the results."""
    composite, *rest = (parsed.value for parsed in yaml_reader.parse(printed))
    results = [body for body in rest if body["kind"] == "Result"]
    composed = [body for body in rest if body["kind"] != "Result"]
    return (
        composite,
        {b["metadata"]["annotations"]["crossplane.io/composition-resource-name"]: b for b in composed},
        results,
    )


def without_additions(composed: dict[str, Any], composite: dict[str, Any]) -> dict[str, Any]:
    """A composed object as the function gave it: without what Crossplane adds, which has to be right."""
    metadata = dict(composed["metadata"])
    (owner,) = metadata.pop("ownerReferences")
    assert (owner["controller"], owner["kind"], owner["name"]) == (
        True,
        composite["kind"],
        composite["metadata"]["name"],
    )
    assert metadata["labels"]["crossplane.io/composite"] == composite["metadata"]["name"]
    for part in ("labels", "annotations"):
        metadata[part] = {key: value for key, value in metadata[part].items() if not key.startswith("crossplane.io/")}
    return {**composed, "metadata": {key: value for key, value in metadata.items() if value}}


def ours(example: Example, state: Path | None = None) -> preview.Preview:
    platform = str(ROOT / example.platform) if example.platform else None
    (one,) = preview.load([str(ROOT / example.claim)], platform, None, read(ROOT / state) if state else ())
    return one


def made_now(mine: preview.Preview, observed: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """All but what waits for the Secrets, if the platform wants that: with nothing observed that is the workload."""
    held = [line.split(":")[0].strip() for line in preview.report(mine, observed) if " WaitingForSecrets: " in line]
    return {key: made for key, made in mine.objects.items() if key not in held}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.claim.stem)
def test_the_engine_composes_what_our_preview_renders(engine: Engine, example: Example, model: str) -> None:
    done = engine.render(engine.composite(ROOT / example.claim, model), model, example.platform)
    assert done.returncode == 0, done.stderr[-2000:]
    composite, composed, _ = split(done.stdout)
    mine = ours(example)
    assert {key: without_additions(made, composite) for key, made in composed.items()} == made_now(mine)
    assert sorted(map(str, mine.objects.values())) == sorted(map(str, read(ROOT / example.golden())))
    status = composite["status"]
    assert status["endpoint"] == f"http://{mine.claim.name}.{mine.claim.namespace}.svc.cluster.local:8080"
    assert (status["image"], status["size"]) == (mine.claim.image, mine.claim.size)
    assert {c["type"]: c["status"] for c in status["conditions"]}["SpecValid"] == "True"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("example", "state"), STATES, ids=lambda part: getattr(part, "stem", ""))
def test_the_engine_judges_an_observed_state_as_our_preview_does(
    engine: Engine, example: Example, state: Path, model: str
) -> None:
    done = engine.render(engine.composite(ROOT / example.claim, model), model, example.platform, ROOT / state)
    assert done.returncode == 0, done.stderr[-2000:]
    composite, composed, results = split(done.stdout)
    wanted = made_now(ours(example, state), read(ROOT / state))
    assert {key: without_additions(made, composite) for key, made in composed.items()} == wanted
    said = {condition["type"]: condition for condition in composite["status"]["conditions"]}
    lines = [
        f"  {kind}={said[kind]['status']}, {said[kind]['reason']}" + (f": {message}" if message else "")
        for kind in ("SpecValid", "SecretsReady", "WorkloadAvailable", "ScalingReady")
        for message in [said[kind].get("message", "")]
    ]
    golden = (ROOT / RENDERED / state.relative_to("examples").with_suffix(".txt")).read_text("utf-8").splitlines()
    assert lines == golden[-4:]
    assert (said["Ready"]["status"] == "True") == golden[1].endswith(": ready")
    assert said["Synced"]["status"] == "True"
    warnings = [result for result in results if result["severity"] == "Warning"]
    assert bool(warnings) == (state.stem in {"secret-missing", "rollout-stuck", "scaler-error"})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["cluster-scoped", "namespaced"])
def test_the_engine_takes_a_composite_of_its_own_model(engine: Engine, model: str, name: str) -> None:
    if (name == "namespaced") != (model == "namespaced"):
        # The other model's composite is refused by Crossplane before it gets to the function.
        done = engine.render(ROOT / "examples" / "xr" / f"{name}.yaml", model)
        assert done.returncode != 0
        return
    done = engine.render(ROOT / "examples" / "xr" / f"{name}.yaml", model)
    assert done.returncode == 0, done.stderr[-2000:]
    composite, composed, _ = split(done.stdout)
    assert {key: without_additions(made, composite) for key, made in composed.items()} == ours(EXAMPLES[0]).objects
    assert composite["status"].get("observedGeneration") == (1 if model == "namespaced" else None)


def test_only_conditions_of_our_own_reach_the_claim(engine: Engine) -> None:
    done = engine.render(engine.composite(ROOT / "examples" / "claim.yaml", "claim"), "claim")
    composite, _, _ = split(done.stdout)
    assert set(composite["status"]["claimConditionTypes"]) == OURS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("size: medium", "size: huge", "spec.size: 'huge' is not one of "),
        ("natsUrl: nats://", "natsUrl: http://", "spec.natsUrl: "),
        ("executor:v1.0.0", "executor:v1.0.0@sha256:beef", "spec.image: "),
        ("agent-executor-postgres", "Postgres", "spec.postgresConnectionSecret: "),
        (
            "size: medium",
            "podTemplate: {priorityClassName: system-node-critical}",
            "spec.podTemplate.priorityClassName: ",
        ),
        ("size: medium", "externalSecrets: {parameterPrefix: /another/team}", "spec.externalSecrets.parameterPrefix: "),
    ],
)
def test_a_bad_claim_is_fatal_and_says_what_our_preview_says(
    engine: Engine, tmp_path: Path, model: str, old: str, new: str, fault: str
) -> None:
    bad = tmp_path / "bad.yaml"
    seed = (ROOT / "examples" / "claim.yaml").read_text("utf-8")
    assert old in seed
    bad.write_text(seed.replace(old, new))
    with pytest.raises(RefusedError) as refused:
        preview.load([str(bad)])
    said = str(refused.value).partition(": ")[2]
    assert said.startswith(fault)
    done = engine.render(engine.composite(bad, model), model)
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"fatal result: invalid AgentExecutor: {said}" in done.stderr


ROTATION = next(example for example in EXAMPLES if example.claim.stem == "rotation")
CANARY = "c4n4ry-d0-n0t-t3ll"


@pytest.mark.parametrize("model", MODELS)
def test_secrets_that_the_engine_sends_become_hashes_and_nothing_else(
    engine: Engine, tmp_path: Path, model: str
) -> None:
    """Crossplane sends whole Secrets: the engine calls until the requirements stay the same, and prints what it got."""
    state = read(ROOT / "examples" / "observed" / "rotation" / "rotated.yaml")
    for body in state:
        if body["kind"] == "Secret":
            body["data"] = {"OPENAI_API_KEY": CANARY}
    whole = tmp_path / "whole.yaml"
    whole.write_text(yaml_writer.stream(state))
    done = engine.render(engine.composite(ROOT / ROTATION.claim, model), model, ROTATION.platform, whole)
    assert done.returncode == 0, done.stderr[-2000:]
    _, composed, _ = split(done.stdout)
    annotations = composed["deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert sorted(annotations) == [
        f"platform.bizmatters.io/{key}-secret-hash" for key in ("dragonfly", "llm-keys", "postgres")
    ]
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize("model", MODELS)
def test_the_secrets_that_crossplane_does_not_find_change_nothing(engine: Engine, tmp_path: Path, model: str) -> None:
    state = read(ROOT / "examples" / "observed" / "rotation" / "running.yaml")
    gone = tmp_path / "gone.yaml"
    gone.write_text(yaml_writer.stream([body for body in state if body["kind"] != "Secret"]))
    xr = engine.composite(ROOT / ROTATION.claim, model)
    there, missing = (
        split(engine.render(xr, model, ROTATION.platform, file).stdout)[1]["deployment"]["spec"]["template"]
        for file in (ROOT / "examples" / "observed" / "rotation" / "running.yaml", gone)
    )
    assert missing == there
    assert len(there["metadata"]["annotations"]) == 3


EXPLAINED = next(example for example in EXAMPLES if example.claim.stem == "explained-rollout")


@pytest.mark.parametrize("model", MODELS)
def test_the_engine_sends_the_pods_of_the_latest_rollout_and_no_others(
    engine: Engine, tmp_path: Path, model: str
) -> None:
    """The causes of two pods in turn: one of the rollout before, which is not told, and one of the latest."""
    state = read(ROOT / "examples" / "observed" / "explained-rollout" / "image-missing.yaml")
    old, new = (body for body in state if body["kind"] == "Pod")
    old["status"] = new["status"]
    said = []
    for pod in (old, new):
        file = tmp_path / "state.yaml"
        file.write_text(yaml_writer.stream([*(body for body in state if body["kind"] != "Pod"), pod]))
        done = engine.render(engine.composite(ROOT / EXPLAINED.claim, model), model, EXPLAINED.platform, file)
        assert done.returncode == 0, done.stderr[-2000:]
        composite, _, _ = split(done.stdout)
        said += [c["message"] for c in composite["status"]["conditions"] if c["type"] == "WorkloadAvailable"]
    without, explained = said
    assert without.endswith(" waits for 1 pod")
    assert explained == f"{without}: ImagePullBackOff, ghcr.io/arun4infra/agent-executor:v9.9.9 (not found)"
