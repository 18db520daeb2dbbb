"""A changed Secret reaches the pods by a rollout, where the platform asks for it, and nothing else ever does."""

import copy
import gc
import itertools
import json
import logging
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import Struct

from function import documents, explain, platform, preview, resources, rotation
from function.fn import FunctionRunner
from function.resources.external_secrets import KEYS
from tests.support.calls import (
    DEPLOYED,
    EIGHT,
    RUNNING,
    SYNCED,
    call,
    claim,
    composite,
    conditions,
    objects,
    ready,
    request,
    results,
)
from tests.support.calls import said as conditions_of
from tools.render_examples import ROOT

NAMESPACE = "intelligence-deepagents"
NAMES = dict(zip(KEYS, ("agent-executor-postgres", "agent-executor-dragonfly", "agent-executor-llm-keys"), strict=True))
CANARY = "c4n4ry-d0-n0t-t3ll"
HASHES = {key: f"{number}" * 56 for number, key in enumerate(KEYS, 1)}
OTHER = "f" * 56
ON = {
    "apiVersion": platform.API_VERSION,
    "kind": platform.KIND,
    "spec": {"externalSecrets": {"rolloutOnChange": True}},
}
FAILING = {"status": {"conditions": conditions_of(("Ready", "False", "SecretSyncedError", "no such store"))}}


def secret(name: str, data_hash: object = None, **metadata: Any) -> dict[str, Any]:
    """A Secret as Crossplane sends it: whole, its data with it."""
    annotations = {} if data_hash is None else {rotation.DATA_HASH: data_hash}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations, **metadata},
        "data": {"POSTGRES_PASSWORD": CANARY, CANARY: "x"},
        "type": "Opaque",
    }


def secrets(**changed: Any) -> dict[str, Any]:
    """All three by key; `postgres_secret=…` has another hash, or is not there where that is None."""
    given = HASHES | {key.replace("_", "-"): value for key, value in changed.items()}
    return {key: None if given[key] is None else secret(NAMES[key], given[key]) for key in KEYS}


def annotations(response: fnv1.RunFunctionResponse) -> dict[str, str]:
    """Those of the pods, by the key of the Secret."""
    found = objects(response)["deployment"]["spec"]["template"]["metadata"].get("annotations", {})
    prefix, suffix = "platform.bizmatters.io/", "-hash"
    return {k.removeprefix(prefix).removesuffix(suffix): v for k, v in found.items() if k.startswith(prefix)}


def applied(response: fnv1.RunFunctionResponse) -> dict[str, Any]:
    """What is observed once a running claim's answer has been applied."""
    made = objects(response)["deployment"]
    return {**RUNNING, "deployment": {**DEPLOYED, "spec": {**made["spec"], "replicas": 2}}}


ALL = {key: rotation.digest(secret("x", value)) for key, value in HASHES.items()}


async def test_nothing_of_it_happens_unless_the_platform_asks():
    plain = await call(composite(), RUNNING)
    assert plain.requirements == fnv1.Requirements()
    assert annotations(plain) == {}
    assert await call(composite(), RUNNING, required=secrets()) == plain
    assert sorted(objects(await call(composite(), required=secrets()))) == EIGHT


STATES = {"nothing yet": {}, "running": RUNNING, "failing": {**RUNNING, "postgres-secret": FAILING}}
SENT = {"not asked yet": {}, "none there": dict.fromkeys(KEYS), "all": secrets(), "one": secrets(dragonfly_secret=None)}


@pytest.mark.parametrize("xr", [composite(), claim()], ids=["claim model", "namespaced model"])
async def test_the_same_three_secrets_are_required_in_every_call(xr):
    wanted = fnv1.Requirements()
    for key, name in NAMES.items():
        selector = fnv1.ResourceSelector(api_version="v1", kind="Secret", match_name=name, namespace=NAMESPACE)
        wanted.resources[key].CopyFrom(selector)
    for observed, sent in itertools.product(STATES.values(), SENT.values()):
        response = await call(xr, observed, ON, required=sent)
        assert response.requirements == wanted
        assert "FATAL" not in {severity for severity, _, _ in results(response)}


async def test_the_required_secrets_are_those_of_the_claim():
    own = {"postgresConnectionSecret": "a", "dragonflyConnectionSecret": "b", "llmKeysSecret": "c"}
    required = (await call(composite("x", "team-y", **own), given=ON)).requirements.resources
    assert {key: (one.match_name, one.namespace) for key, one in required.items()} == {
        key: (name, "team-y") for key, name in zip(KEYS, "abc", strict=True)
    }


async def test_a_refusal_requires_nothing():
    response = await call(composite(size="huge"), RUNNING, ON, required=secrets())
    assert response.requirements == fnv1.Requirements()
    assert results(response)[0][0] == "FATAL"


async def test_the_pods_say_which_data_they_have():
    response = await call(composite(), RUNNING, ON, required=secrets())
    assert annotations(response) == ALL
    assert len(set(ALL.values())) == 3
    plain, hashed = objects(await call(composite(), RUNNING)), objects(response)
    del hashed["deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert hashed == plain


@pytest.mark.parametrize("key", KEYS)
async def test_a_changed_secret_changes_one_annotation_and_nothing_else(key):
    before = await call(composite(), RUNNING, ON, required=secrets())
    after = await call(composite(), applied(before), ON, required=secrets(**{key.replace("-", "_"): OTHER}))
    assert annotations(after) == {**ALL, key: rotation.digest(secret("x", OTHER))}
    assert annotations(after)[key] != ALL[key]
    one, other = objects(before), objects(after)
    for made in (one, other):
        del made["deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert one == other


async def test_what_is_not_data_changes_nothing():
    before = await call(composite(), RUNNING, ON, required=secrets())
    touched = secrets()
    for key in KEYS:
        touched[key]["metadata"] |= {"resourceVersion": "99", "uid": "new", "labels": {"a": "b"}, "generation": 9}
        touched[key]["metadata"]["annotations"]["example.com/seen"] = "today"
        touched[key]["data"] = {"whatever": "stands here"}  # External Secrets' hash is what counts
    after = await call(composite(), applied(before), ON, required=touched)
    assert after.desired.resources == before.desired.resources
    again = await call(composite(), applied(after), ON, required=secrets())
    assert again.desired.resources == before.desired.resources


async def test_other_annotations_of_the_pods_stay():
    xr = composite(podTemplate={"annotations": {"example.com/owner": "a"}})
    found = objects(await call(xr, RUNNING, ON, required=secrets()))["deployment"]["spec"]["template"]["metadata"]
    assert found["annotations"]["example.com/owner"] == "a"
    assert len(found["annotations"]) == 4


# What stands in a Secret's metadata instead of a hash that External Secrets wrote.
NONSENSE = {
    "nothing": None,
    "an empty text": "",
    "a word": "thisiswronghash",
    "too short": "abc123",
    "upper case": "A" * 56,
    "huge": "a" * 300_000,
    "unicode": "\u202e\U0001f511" * 28,
    "digits of another script": "\u0661" * 56,
    "a line end": "1" * 56 + "\n",
    "a number": 1e56,
    "true": True,
    "a list": ["1" * 56],
    "an object": {"a": "1" * 56},
}


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
async def test_what_cannot_be_read_stays_what_it_was(value):
    odd = secrets()
    odd["postgres-secret"] = secret(NAMES["postgres-secret"], value)
    first = await call(composite(), RUNNING, ON, required=odd)
    assert annotations(first) == {key: ALL[key] for key in KEYS[1:]}
    running = await call(composite(), RUNNING, ON, required=secrets())
    then = await call(composite(), applied(running), ON, required=odd)
    assert annotations(then) == ALL
    assert str(value) not in str(then) or len(str(value)) < 7


@pytest.mark.parametrize(
    "metadata", [None, 1, "x", [], {"annotations": None}, {"annotations": "x"}, {"annotations": []}]
)
async def test_garbage_instead_of_a_secret_is_no_hash(metadata):
    odd = secrets()
    odd["llm-keys-secret"]["metadata"] = metadata
    assert annotations(await call(composite(), RUNNING, ON, required=odd)) == {key: ALL[key] for key in KEYS[:2]}


@pytest.mark.parametrize("sent", [name for name in SENT if name != "all"])
async def test_secrets_that_are_not_there_restart_nothing(sent):
    before = await call(composite(), RUNNING, ON, required=secrets())
    after = await call(composite(), applied(before), ON, required=SENT[sent])
    assert after.desired.resources["deployment"] == before.desired.resources["deployment"]


async def test_one_that_is_gone_does_not_keep_another_from_rolling_out():
    before = await call(composite(), RUNNING, ON, required=secrets())
    sent = secrets(postgres_secret=None, llm_keys_secret=OTHER)
    after = annotations(await call(composite(), applied(before), ON, required=sent))
    assert after == {**ALL, "llm-keys-secret": rotation.digest(secret("x", OTHER))}


@pytest.mark.parametrize("value", ["", "zzzzzzzz", "d9f75a091", "\u0661" * 8, 12345678, None, ["d9f75a09"], CANARY])
async def test_what_is_no_hash_of_ours_is_not_kept(value):
    found = {"platform.bizmatters.io/postgres-secret-hash": value}
    deployment = {**DEPLOYED, "spec": {"replicas": 2, "template": {"metadata": {"annotations": found}}}}
    response = await call(
        composite(), {**RUNNING, "deployment": deployment}, ON, required=secrets(postgres_secret=None)
    )
    assert annotations(response) == {key: ALL[key] for key in KEYS[1:]}


async def test_from_the_first_call_on_the_deployments_pods_never_change():
    """As it goes on a cluster: ExternalSecrets, then one Secret after another, then the Deployment with all hashes."""
    runner, seen, pods = FunctionRunner(), {}, []
    arrived: dict[str, Any] = dict.fromkeys(KEYS)
    steps = [{}, *({key: secret(NAMES[key], HASHES[key])} for key in KEYS), {}, {}]
    for step in steps:
        arrived |= step
        response = await call(composite(), seen, ON, runner, arrived)
        made = objects(response)
        seen = {key: {**body, **({} if key.endswith("-secret") else RUNNING[key])} for key, body in made.items()}
        seen |= {key: {**made[key], **SYNCED} for key in KEYS if arrived[key]}
        if "deployment" in made:
            seen["deployment"] = {**DEPLOYED, "spec": {**made["deployment"]["spec"], "replicas": 2}}
            pods.append(made["deployment"]["spec"]["template"])
        else:
            assert {key for key in EIGHT if key not in made} == {"deployment", "scaled-object"}
            assert conditions(response)["WorkloadAvailable"][:2] == ("False", "WaitingForSecrets")
            assert conditions(response)["ScalingReady"][:2] == ("False", "WaitingForSecrets")
            assert conditions(response)["SecretsReady"][0] == "False"
    assert len(pods) == 3
    assert all(one == pods[0] for one in pods)
    assert annotations(response) == ALL
    assert ready(response) == EIGHT


HELD = {
    "nothing is there": ({}, SENT["none there"], {}, True),
    "a Secret is missing": ({"postgres-secret": SYNCED}, SENT["one"], {}, True),
    "every hash is known": ({}, secrets(), {}, False),
    "the Secrets are synced and nobody says a hash": (dict.fromkeys(KEYS, SYNCED), SENT["none there"], {}, False),
    "the Deployment is there": ({"deployment": DEPLOYED}, SENT["none there"], {}, False),
    "something else makes the Secrets": ({}, SENT["none there"], {"externalSecrets": {"create": False}}, False),
}


@pytest.mark.parametrize(("observed", "sent", "spec", "held"), HELD.values(), ids=HELD)
async def test_the_deployment_waits_for_the_secrets_once_and_only_then(observed, sent, spec, held):
    made = objects(await call(composite(**spec), observed, ON, required=sent))
    assert ("deployment" not in made) == ("scaled-object" not in made) == held


async def test_a_scaled_object_that_is_there_is_not_taken_away():
    made = objects(await call(composite(), {"scaled-object": RUNNING["scaled-object"]}, ON, required={}))
    assert "scaled-object" in made
    assert "deployment" not in made


async def test_waiting_for_secrets_is_no_event():
    assert results(await call(composite(), {}, ON, required=SENT["none there"])) == []


async def test_secrets_of_something_else_count_where_they_say_a_hash():
    xr = composite(externalSecrets={"create": False})
    none = {key: secret(NAMES[key]) for key in KEYS}
    assert annotations(await call(xr, RUNNING, ON, required=none)) == {}
    one = {**none, "llm-keys-secret": secret(NAMES["llm-keys-secret"], HASHES["llm-keys-secret"])}
    assert annotations(await call(xr, RUNNING, ON, required=one)) == {"llm-keys-secret": ALL["llm-keys-secret"]}


async def test_switching_it_on_or_off_is_one_rollout():
    runner, observed, pods = FunctionRunner(), RUNNING, []
    for given in (None, ON, ON, ON, None, None):
        response = await call(composite(), observed, given, runner, secrets() if given else None)
        observed = applied(response)
        pods.append(objects(response)["deployment"]["spec"]["template"])
    assert [key for key, _ in itertools.groupby(map(json.dumps, pods))] == [json.dumps(pods[n]) for n in (0, 1, 4)]
    assert pods[0] == pods[4]


async def test_an_answer_never_depends_on_the_hashes_of_another_call():
    runner = FunctionRunner()
    sent = [*SENT.values(), secrets(postgres_secret=OTHER), secrets(llm_keys_secret=OTHER)]
    calls = list(itertools.product((composite(), composite("other", "team")), STATES.values(), (ON, None), sent))
    for xr, observed, given, required in [*calls, *reversed(calls)]:
        assert await call(xr, observed, given, runner, required) == await call(xr, observed, given, None, required)


def reachable(root: object) -> set[str]:
    """Every text, also that in bytes, that something holds on to."""
    found, seen, todo = set(), set(), [root]
    while todo:
        here = todo.pop()
        if id(here) in seen or isinstance(here, type) or type(here).__name__ in ("module", "function"):
            continue
        seen.add(id(here))
        if isinstance(here, bytes | str):
            found.add(here if isinstance(here, str) else here.decode("latin-1"))
        todo += gc.get_referents(here)
    return found


@pytest.mark.parametrize("spec", [{}, {"size": "huge"}], ids=["valid", "invalid"])
async def test_nothing_of_a_secret_is_told_logged_or_kept(caplog, capfd, monkeypatch, spec):
    caplog.set_level(logging.DEBUG)
    runner = FunctionRunner()
    for observed, sent in itertools.product(STATES.values(), SENT.values()):
        response = await call(composite(**spec), observed, ON, runner, sent)
        assert CANARY not in str(response)
        assert not any(value in str(response) for value in HASHES.values())
    kept = reachable([runner._answers, runner._plan, runner._platform])
    assert any("agent-executor-postgres" in text for text in kept)  # so whatever is kept is found
    monkeypatch.setattr(resources, "render", lambda *_: 1 / 0)
    failed = await call(composite("another", **spec), RUNNING, ON, runner, secrets())
    assert CANARY not in str(failed)
    texts = [*kept, caplog.text, *capfd.readouterr(), *(str(vars(record)) for record in caplog.records)]
    assert not [text for text in texts if CANARY in text or any(value in text for value in HASHES.values())]
    assert caplog.records


def test_a_hash_is_short_and_not_external_secrets_own():
    for key, value in HASHES.items():
        assert len(ALL[key]) == 8
        assert ALL[key] not in value
    many = {rotation.digest(secret("x", f"{number:056x}")) for number in range(2000)}
    assert len(many) == 2000


@pytest.mark.parametrize("value", [*NONSENSE.values(), *HASHES.values()], ids=lambda value: type(value).__name__)
def test_a_dict_and_a_struct_are_read_alike(value):
    body, struct = secret("x", value), Struct()
    struct.update(body)
    before = struct.SerializeToString(deterministic=True)
    assert rotation.digest(body) == rotation.digest(struct)
    assert struct.SerializeToString(deterministic=True) == before


STATE = ROOT / "examples" / "observed" / "rotation"
CLAIM, PLATFORM = (str(ROOT / "examples" / part / "rotation.yaml") for part in ("claims", "platforms"))


def observed(state: str) -> list[dict[str, Any]]:
    return [document.body for document in documents.read(str(STATE / f"{state}.yaml"))]


@pytest.mark.parametrize("state", ["first-sync", "running", "rotated"])
async def test_the_preview_of_a_state_shows_what_the_function_answers(state):
    found = observed(state)
    (one,) = preview.load([CLAIM], PLATFORM, None, found)
    names = {preview.identity(made, NAMESPACE): key for key, made in one.objects.items()}
    there = {names[where]: body for body in found if (where := preview.identity(body, NAMESPACE)) in names}
    by_name = {body["metadata"]["name"]: body for body in found if body["kind"] == "Secret"}
    response = await call(one.document.body, there, ON, required={key: by_name.get(NAMES[key]) for key in KEYS})
    held = {"deployment", "scaled-object"} if state == "first-sync" else set()
    assert objects(response) == json.loads(json.dumps({k: v for k, v in one.objects.items() if k not in held}))
    for condition, (status, reason, message) in conditions(response).items():
        told = f": {message}" if message else ""
        assert f"  {condition}={status}, {reason}{told}" in list(preview.report(one, found))


def test_a_preview_without_a_cluster_has_no_hash():
    (one,) = preview.load([CLAIM], PLATFORM)
    assert "annotations" not in one.objects["deployment"]["spec"]["template"]["metadata"]
    (off,) = preview.load([CLAIM], None, None, observed("running"))
    assert off.objects == one.objects


def test_secrets_of_another_namespace_are_not_read():
    found = observed("running")
    for body in found:
        body["metadata"]["namespace"] = "another"
    (one,) = preview.load([CLAIM], PLATFORM, None, found)
    assert one.hashes == {}


def test_explain_names_the_secret_and_the_setting():
    (one,) = preview.load([CLAIM], PLATFORM, None, observed("rotated"))
    path = "deployment.spec.template.metadata.annotations"
    decided = {found.path: found.inputs for found in explain.decisions(one, path)}
    setting = "platform externalSecrets.rolloutOnChange"
    assert decided == {
        f"spec.template.metadata.annotations['platform.bizmatters.io/{key}-hash']": (
            f"the data of the Secret {NAMES[key]}",
            setting,
        )
        for key in KEYS
    }


def test_reading_changes_nothing_that_was_sent():
    sent = request(composite(), RUNNING, ON, secrets(postgres_secret=None))
    before = copy.deepcopy(sent)
    FunctionRunner()._make_answer(sent.observed, None, {})
    rotation.known((key, found.items[0].resource) for key, found in sent.required_resources.items() if found.items)
    assert sent == before
