"""Whole responses: what Crossplane gets for a claim, in each of the states that it goes through."""

import asyncio
import copy
import json
import math

import pytest
from crossplane.function import resource
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import claim as claims
from function import fn, logs, platform, resources, sizes
from function.fn import FunctionRunner
from function.invalid import Invalid
from tests.support.calls import (
    DEPLOYED,
    EIGHT,
    NINE,
    RUNNING,
    SCALING,
    SIZES,
    call,
    claim,
    composite,
    conditions,
    objects,
    ready,
    request,
    results,
    said,
)

ENDPOINT = "http://agent-executor.intelligence-deepagents.svc.cluster.local:8080"
FINE = {
    "SpecValid": ("True", "Valid", ""),
    "SecretsReady": ("True", "SecretsSynced", ""),
    "WorkloadAvailable": ("True", "Available", "2 of 2 replicas ready"),
    "ScalingReady": ("True", "Scaling", "replicas follow the queue"),
}
HAS_ALL = {"conditions": said(*((kind, status, reason) for kind, (status, reason, _) in FINE.items()))}


def status(response):
    return resource.struct_to_dict(response.desired.composite.resource)["status"]


async def test_the_seeds_claim_becomes_its_objects_before_anything_is_there():
    response = await call(composite())
    assert sorted(response.desired.resources) == EIGHT
    assert ready(response) == []
    assert response.meta.tag == "tag"
    assert response.meta.ttl.seconds == 60
    assert response.requirements == fnv1.Requirements()
    assert conditions(response) == {
        "SpecValid": ("True", "Valid", ""),
        "SecretsReady": (
            "False",
            "Creating",
            "; ".join(f"agent-executor-{one}: it is being created" for one in ("postgres", "dragonfly", "llm-keys")),
        ),
        "WorkloadAvailable": ("False", "Creating", "it is being created"),
        "ScalingReady": ("False", "Creating", "it is being created"),
    }
    assert results(response) == []
    assert status(response) == {
        "endpoint": ENDPOINT,
        "image": "ghcr.io/arun4infra/agent-executor:v1.0.0",
        "size": "medium",
        "replicas": {"desired": 0, "ready": 0},
        "secrets": [
            {"name": "agent-executor-postgres", "ready": False},
            {"name": "agent-executor-dragonfly", "ready": False},
            {"name": "agent-executor-llm-keys", "ready": False},
        ],
    }


async def test_a_composite_says_which_generation_its_status_is_about_unless_a_claim_gets_a_copy():
    assert status(await call(claim()))["observedGeneration"] == 3
    assert "observedGeneration" not in status(await call(composite()))


async def test_a_running_claim_is_ready_in_every_part_and_makes_no_noise():
    response = await call({**composite(scaling={"minReplicas": 2}), "status": HAS_ALL}, RUNNING)
    assert sorted(response.desired.resources) == ready(response) == NINE
    assert conditions(response) == FINE
    assert results(response) == []
    assert status(response)["replicas"] == {"desired": 2, "ready": 2}
    assert [secret["ready"] for secret in status(response)["secrets"]] == [True, True, True]


@pytest.mark.parametrize("xr", [composite(), claim()], ids=["claim model", "namespaced model"])
async def test_both_crossplane_models_get_the_objects_that_the_preview_shows(xr):
    seen = objects(await call(xr))
    assert seen == json.loads(json.dumps(resources.render(claims.parse(xr), platform.DEFAULT)))
    assert {made["metadata"]["namespace"] for made in seen.values()} == {"intelligence-deepagents"}


async def test_the_other_way_of_writing_a_claim_gives_the_same_objects():
    assert objects(await call(composite())) == objects(await call(claim()))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"size": "huge"}, f"spec.size: 'huge' is not one of {SIZES}"),
        ({"image": 7}, "spec.image: 7 is not a string"),
        ({"natsUrl": "nats://user:secret@x:4222"}, "spec.natsUrl: "),
        ({"scaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.scaling"),
        ({"scaling": {"minReplicas": 1.5}}, "spec.scaling.minReplicas: 1.5"),
        ({"sise": "small"}, "spec.sise: unknown field, did you mean 'size'?"),
        ({"claimRef": None}, ""),
    ],
)
async def test_a_bad_claim_is_refused_by_field_and_changes_nothing(spec, says):
    xr = composite()
    xr["spec"] |= spec
    response = await call(xr, RUNNING)
    ((severity, reason, message),) = results(response)
    assert (severity, reason) == ("FATAL", "InvalidSpec")
    assert says in message
    assert "secret@" not in message
    assert list(conditions(response)) == ["SpecValid"]
    assert conditions(response)["SpecValid"][:2] == ("False", "InvalidSpec")
    assert says in conditions(response)["SpecValid"][2]
    assert response.desired == fnv1.State()


async def test_all_faults_of_a_claim_are_told_at_once():
    response = await call(composite(size="huge", image="UPPER", llmKeysSecret="../x", concurrency=0))
    message = results(response)[0][2]
    assert all(f"spec.{field}: " in message for field in ("size", "image", "llmKeysSecret", "concurrency"))


async def test_a_composite_made_directly_has_no_namespace_and_says_so():
    xr = composite()
    del xr["spec"]["claimRef"]
    assert "spec.claimRef: is missing" in results(await call(xr))[0][2]


async def test_a_bad_input_is_refused_by_field():
    given = {"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": {"dns": {"port": 0}}}
    response = await call(composite(), RUNNING, given)
    ((severity, reason, message),) = results(response)
    assert (severity, reason) == ("FATAL", "InvalidInput")
    assert "input.spec.dns.port: 0 is too small" in message
    assert response.desired == fnv1.State()


async def test_the_inputs_profiles_and_namespaces_are_used():
    row = {"cpu": {"request": "2", "limit": "8"}, "memory": {"request": "4Gi", "limit": "16Gi"}}
    given = {
        "apiVersion": platform.API_VERSION,
        "kind": platform.KIND,
        "spec": {"profiles": {"xlarge": row}, "monitoring": {"namespace": "observability"}},
    }
    seen = objects(await call(composite(size="xlarge"), given=given))
    container = seen["deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "16Gi"}
    assert "observability" in json.dumps(seen["network-policy"])


async def test_profiles_of_a_platforms_own_build_are_used():
    xlarge = sizes.SizeProfile(cpu=sizes.Range("2", "8"), memory=sizes.Range("4Gi", "16Gi"))
    runner = FunctionRunner(profiles={**sizes.STANDARD, "xlarge": xlarge})
    assert results(await call(composite(size="xlarge"), runner=runner)) == []


def test_a_profile_that_can_never_run_stops_the_start():
    odd = sizes.STANDARD["small"].model_copy(update={"cpu": sizes.Range("8", "2")})
    with pytest.raises(Invalid, match="8"):
        FunctionRunner(profiles={"odd": odd})


async def test_what_earlier_steps_desire_is_passed_on():
    sent = request(composite(), RUNNING)
    sent.desired.resources["bucket"].resource.update({"apiVersion": "s3/v1", "kind": "Bucket", "spec": {"a": 1}})
    sent.desired.resources["bucket"].ready = fnv1.READY_TRUE
    sent.desired.resources["deployment"].resource.update({"kind": "Intruder", "metadata": {"name": "other"}})
    sent.desired.composite.resource.update({"status": {"bucket": "b-1", "size": "theirs", "replicas": {"odd": 1}}})
    sent.desired.composite.connection_details["k"] = b"v"
    sent.context.update({"apiextensions.crossplane.io/environment": {"region": "eu"}})
    sent.required_resources["x"].items.add().resource.update({"kind": "ConfigMap"})
    response = await FunctionRunner().RunFunction(sent, None)
    assert response.desired.resources["bucket"] == sent.desired.resources["bucket"]
    assert objects(response)["deployment"] == objects(await call(composite()))["deployment"]
    assert status(response)["bucket"] == "b-1"
    assert status(response)["size"] == "medium"
    assert status(response)["replicas"] == {"desired": 2, "ready": 2}
    assert response.desired.composite.connection_details == {"k": b"v"}
    assert response.context == sent.context


async def test_a_refusal_passes_on_what_earlier_steps_desire_and_no_more():
    sent = request(composite(size="huge"))
    sent.desired.resources["bucket"].resource.update({"kind": "Bucket"})
    assert (await FunctionRunner().RunFunction(sent, None)).desired == sent.desired


DENIED = ("Ready", "False", "SecretSyncedError", "could not get secret data from provider")
TROUBLE = {
    "a secret that cannot be read": (
        {"postgres-secret": {"status": {"conditions": said(DENIED)}}},
        "SecretsReady",
        "ParameterUnreadable",
    ),
    "a rollout that is stuck": (
        {
            "deployment": {
                **DEPLOYED,
                "status": {
                    "observedGeneration": 2,
                    "conditions": said(("Progressing", "False", "ProgressDeadlineExceeded", "timed out")),
                },
            }
        },
        "WorkloadAvailable",
        "ProgressDeadlineExceeded",
    ),
    "a scaler in error": (
        {"scaled-object": {"status": {"conditions": said(("Ready", "False", "TriggerError", "no such consumer"))}}},
        "ScalingReady",
        "TriggerError",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "reason"), TROUBLE.values(), ids=TROUBLE)
async def test_an_event_comes_with_a_change_and_not_again(change, kind, reason):
    xr = {**composite(), "status": copy.deepcopy(HAS_ALL)}
    response = await call(xr, {**RUNNING, **change})
    assert conditions(response)[kind][:2] == ("False", reason)
    assert [(severity, why) for severity, why, _ in results(response)] == [("WARNING", reason)]
    # Crossplane writes the conditions of the response into the composite.
    for said_before in xr["status"]["conditions"]:
        said_before["status"], said_before["reason"], said_before["message"] = conditions(response)[said_before["type"]]
    assert results(await call(xr, {**RUNNING, **change})) == []
    ((severity, why, _),) = results(await call(xr, RUNNING))
    assert (severity, why) == ("NORMAL", FINE[kind][1])


async def test_a_mended_claim_is_told_once():
    xr = {**composite(), "status": {"conditions": said(("SpecValid", "False", "InvalidSpec", "spec.size: …"))}}
    assert ("NORMAL", "Valid", "SpecValid: Valid") in results(await call(xr, RUNNING))


GARBAGE = [
    None,
    True,
    1,
    math.nan,
    math.inf,
    "text",
    [],
    [[]],
    [None],
    {},
    {"fields": 1},
    {"values": [1]},
    [{"type": 1}],
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
async def test_garbage_in_any_place_is_an_answer_and_not_an_exception(garbage):
    def responses():
        for part in ("apiVersion", "kind", "metadata", "spec", "status"):
            yield call({**composite(), part: garbage}, RUNNING)
        for field in (*composite()["spec"], "scaling", "nats", "env", "podTemplate", "network", "externalSecrets"):
            yield call({**composite(), "spec": {**composite()["spec"], field: garbage}})
        yield call({**composite(), "status": {"conditions": garbage}}, RUNNING)
        for key in NINE:
            for part in ("metadata", "spec", "status"):
                yield call(composite(), {**RUNNING, key: {part: garbage}})
            yield call(composite(), {**RUNNING, key: {"status": {"conditions": garbage}}})
            yield call(composite(), {**RUNNING, key: {"status": {"conditions": [garbage]}}})
            yield call(
                composite(),
                {**RUNNING, key: {"metadata": {"generation": garbage}, "status": {"observedGeneration": garbage}}},
            )
        for part in ("apiVersion", "kind", "metadata", "spec"):
            yield call(composite(), RUNNING, {"apiVersion": platform.API_VERSION, "kind": platform.KIND, part: garbage})

    for pending in responses():
        response = await pending
        assert "InternalError" not in {reason for _, reason, _ in results(response)}
        assert response.conditions or response.results


@pytest.mark.parametrize(
    "sent",
    [
        fnv1.RunFunctionRequest(),
        fnv1.RunFunctionRequest(observed=fnv1.State()),
        fnv1.RunFunctionRequest(observed=fnv1.State(composite=fnv1.Resource())),
        fnv1.RunFunctionRequest(observed=fnv1.State(resources={"deployment": fnv1.Resource()})),
    ],
    ids=["nothing", "no composite", "an empty composite", "objects alone"],
)
async def test_a_request_without_a_composite_is_refused(sent):
    ((severity, reason, _),) = results(await FunctionRunner().RunFunction(sent, None))
    assert (severity, reason) == ("FATAL", "InvalidSpec")


async def test_an_unforeseen_failure_is_a_fatal_result_and_a_traceback_in_the_log(monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(resources, "render", broken)
    sent = request(composite())
    sent.desired.resources["bucket"].resource.update({"kind": "Bucket"})
    response = await FunctionRunner().RunFunction(sent, None)
    ((severity, reason, message),) = results(response)
    assert (severity, reason) == ("FATAL", "InternalError")
    assert "ZeroDivisionError" in message
    assert "boom" not in message
    assert response.desired == sent.desired
    (line,) = [json.loads(logs.JsonLine().format(record)) for record in caplog.records if record.levelname == "ERROR"]
    assert (line["msg"], line["claim"]) == ("failed", "agent-executor")
    assert line["exception"].endswith("ZeroDivisionError: boom")


async def test_the_log_names_the_claim(caplog):
    await call(composite(size="huge"))
    (refused,) = [json.loads(logs.JsonLine().format(record)) for record in caplog.records]
    assert refused.pop("ts").endswith("+00:00")
    assert refused == {
        "level": "warning",
        "msg": "refused",
        "xr": "agent-executor-x7k2p",
        "namespace": "intelligence-deepagents",
        "claim": "agent-executor",
        "faults": [f"spec.size: 'huge' is not one of {SIZES}"],
    }


async def test_the_order_of_maps_on_the_wire_does_not_matter():
    xr = composite(podTemplate={"labels": {"a": "1", "b": "2", "c": "3"}})
    turned = dict(reversed(xr.items())) | {"spec": dict(reversed(xr["spec"].items()))}
    runner = FunctionRunner()
    assert objects(await call(xr, runner=runner)) == objects(await call(turned, runner=runner))


async def test_an_answer_never_depends_on_what_was_asked_before():
    runner = FunctionRunner()
    asked = [
        composite(f"claim-{n}", f"team-{n % 3}", size=size) for n in range(40) for size in ("small", "large", "huge")
    ]
    given = {
        "apiVersion": platform.API_VERSION,
        "kind": platform.KIND,
        "spec": {"dns": {"namespace": "dns", "port": 53}},
    }
    for xr in [*asked, *reversed(asked)]:
        for inputs in (None, given):
            for observed in ({}, RUNNING):
                assert await call(xr, observed, inputs, runner) == await call(xr, observed, inputs)


async def test_the_latest_answers_are_remembered_and_no_more(monkeypatch):
    monkeypatch.setattr(fn, "CLAIMS", 3)
    runner = FunctionRunner()
    made = []
    make = runner._make_answer
    monkeypatch.setattr(runner, "_make_answer", lambda *given: made.append(given) or make(*given))

    async def is_remembered(name):
        before = len(made)
        await call(composite(name), runner=runner)
        return len(made) == before

    assert not any([await is_remembered(f"claim-{n}") for n in range(5)])
    assert len(runner._answers) == 3
    assert all([await is_remembered(f"claim-{n}") for n in (2, 3, 4, 2)])
    assert not await is_remembered("claim-1")  # takes the place of 3, which was asked for before 4 and 2
    assert len(runner._answers) == 3
    assert all([await is_remembered(f"claim-{n}") for n in (1, 2, 4)])
    assert not await is_remembered("claim-3")


async def test_sixty_four_claims_at_once_are_never_mixed():
    runner = FunctionRunner()

    async def one(number):
        xr = composite(f"claim-{number:02d}", f"team-{number:02d}", image=f"ghcr.io/org/app:v{number}")
        for _ in range(10):
            await asyncio.sleep(0)
            response = await call(xr, RUNNING, runner=runner)
            made = objects(response)["deployment"]
            assert made["metadata"]["name"] == f"claim-{number:02d}"
            assert made["metadata"]["namespace"] == f"team-{number:02d}"
            assert made["spec"]["template"]["spec"]["containers"][0]["image"] == f"ghcr.io/org/app:v{number}"
            assert status(response)["endpoint"] == f"http://claim-{number:02d}.team-{number:02d}.svc.cluster.local:8080"

    await asyncio.gather(*map(one, range(64)))


async def test_scaled_to_zero_is_ready():
    idle = {**DEPLOYED, "spec": {"replicas": 0}, "status": {"observedGeneration": 2}}
    response = await call(
        composite(scaling={"minReplicas": 0}), {**RUNNING, "deployment": idle, "scaled-object": SCALING}
    )
    assert ready(response) == EIGHT
    assert conditions(response)["WorkloadAvailable"][:2] == ("True", "Idle")


async def test_secrets_made_by_something_else_are_neither_composed_nor_judged():
    response = await call(composite(externalSecrets={"create": False}), RUNNING)
    assert sorted(response.desired.resources) == sorted(key for key in EIGHT if not key.endswith("-secret"))
    assert conditions(response)["SecretsReady"][:2] == ("True", "NotManaged")
    assert status(response)["secrets"] == []


async def test_secrets_that_go_are_told_of_by_name():
    made = {key: {**found, "metadata": {"name": f"old-{key}"}} for key, found in RUNNING.items() if "secret" in key}
    given = composite(externalSecrets={"create": False}, postgresConnectionSecret="new", llmKeysSecret="newer")
    told = "old-dragonfly-secret, old-llm-keys-secret, old-postgres-secret: the Secrets go with their ExternalSecrets"
    found = [(level, why, says) for level, why, says in results(await call(given, RUNNING | made))]
    assert ("WARNING", "SecretsRemoved", f"{told}, because externalSecrets.create is false") in found
    rest = {key: found for key, found in RUNNING.items() if "secret" not in key}
    assert "SecretsRemoved" not in [why for _, why, _ in results(await call(given, rest))]
