"""What each kind has to show to be ready, and what is said when it is not."""

# ruff: noqa: E501 - a case is a row of a table

import pytest
from google.protobuf.struct_pb2 import Struct

from function import claim as claims
from function import platform, readiness, resources
from function.readiness import Readiness, judge
from tests.support.calls import DEPLOYED, SCALING, SYNCED, claim, said

SEEDS = resources.render(claims.parse(claim()), platform.DEFAULT)


def deployment(*conditions, replicas=2, ready=1, generation=2, observed=2):
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": observed, "readyReplicas": ready, "conditions": said(*conditions)},
    }


def rollout(found, waiting):
    containers = [{"name": "agent-executor", "image": "ghcr.io/a/b:v2"}]
    template = {"spec": {"containers": containers}}
    status = {**found["status"], "unavailableReplicas": waiting}
    return {**found, "spec": {**found["spec"], "template": template}, "status": status}


def secret(*conditions, **status):
    return {**SEEDS["postgres-secret"], "status": {"conditions": said(*conditions), **status}}


def second(found):
    """The same object, whose spec was changed once."""
    return {**found, "metadata": {**found["metadata"], "generation": 2}}


def scaler(*conditions):
    return {"status": {"conditions": said(*conditions)}}


AVAILABLE = ("Available", "True", "MinimumReplicasAvailable")
UNAVAILABLE = ("Available", "False", "MinimumReplicasUnavailable")
WORKING = ("Ready", "True", "ScaledObjectReady")
PAUSED = ("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")
DENIED = ("Ready", "False", "SecretSyncedError", "could not get secret data from provider")
NAMED = (
    "Ready",
    "False",
    "SecretSyncedError",
    "could not get secret data from provider: key: /zerotouch/prod/agent-executor/postgres/db not found",
)
ALL_FIVE = ", ".join(
    f"/zerotouch/prod/agent-executor/postgres/{key}" for key in ("host", "port", "db", "user", "password")
)
STILL = "KEDA is paused, and the claim is not: if that stays, look at the ScaledObject's annotations"
THROUGH = "can be read through ClusterSecretStore aws-parameter-store"

CASES = {
    "a deployment that is available": (
        "Deployment", deployment(AVAILABLE, ready=2), {}, True, "Available", "2 of 2 replicas ready"),
    "a deployment that is being rolled out but serves": (
        "Deployment", deployment(AVAILABLE, ("Progressing", "True", "ReplicaSetUpdated")), {}, True, "Available",
        "1 of 2 replicas ready"),
    "a deployment whose new pods do not come up": (
        "Deployment", rollout(deployment(AVAILABLE, ("Progressing", "True", "ReplicaSetUpdated"), ready=2), waiting=1), {}, True,
        "Available", "2 of 2 replicas ready; the rollout of ghcr.io/a/b:v2 waits for 1 pod"),
    # What Kubernetes 1.34 says of a Deployment with `maxUnavailable: 0` while a scaler adds pods, or one has no room.
    "a deployment that is being scaled out": (
        "Deployment", rollout(deployment(UNAVAILABLE, ("Progressing", "True", "NewReplicaSetAvailable")), waiting=1), {}, True,
        "Available", "1 of 2 replicas ready"),
    "a deployment that is scaled out in the middle of a rollout": (
        "Deployment", rollout(deployment(UNAVAILABLE, ("Progressing", "True", "ReplicaSetUpdated")), waiting=1), {}, True,
        "Available", "1 of 2 replicas ready; the rollout of ghcr.io/a/b:v2 waits for 1 pod"),
    "a deployment with fewer replicas than the claim's minimum": (
        "Deployment", deployment(UNAVAILABLE), {}, False, "MinimumReplicasUnavailable", "1 of 2 replicas ready"),
    "a deployment without any replica that is ready": (
        "Deployment", deployment(UNAVAILABLE, ready=0), {}, False, "MinimumReplicasUnavailable", "0 of 2 replicas ready"),
    "a deployment that may have none, without any replica that is ready": (
        "Deployment", deployment(UNAVAILABLE, ready=0), {}, False, "MinimumReplicasUnavailable", "0 of 2 replicas ready"),
    "a deployment whose change was not seen yet": (
        "Deployment", deployment(AVAILABLE, generation=3), {}, False, "Reconciling", "its latest change has not been taken up yet"),
    "a deployment that nobody looked at yet": (
        "Deployment", {"metadata": {"generation": 1}, "spec": {"replicas": 1}}, {}, False, "Reconciling",
        "its latest change has not been taken up yet"),
    "a rollout past its deadline, with old pods still there": (
        "Deployment",
        deployment(AVAILABLE, ("Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.')),
        {}, False, "ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing. (1 of 2 replicas ready)'),
    "pods that are refused": (
        "Deployment", deployment(UNAVAILABLE, ("ReplicaFailure", "True", "FailedCreate", "exceeded quota: team")), {}, False,
        "FailedCreate", "exceeded quota: team"),
    "no replicas under a working scaler": (
        "Deployment", deployment(replicas=0, ready=0), {"scaled-object": scaler(WORKING)}, True, "Idle",
        "no replicas, because there are no jobs"),
    "no replicas of a claim that wants some": (
        "Deployment", deployment(replicas=0, ready=0), {"scaled-object": scaler(WORKING)}, False, "MinimumReplicasUnavailable",
        "no replicas yet, and the claim wants 2 at least"),
    "no replicas of a paused claim": (
        "Deployment", deployment(replicas=0, ready=0), {"scaled-object": scaler(WORKING, PAUSED)}, True, "Paused",
        "no replicas while the claim is paused"),
    "no replicas under a scaler in error": (
        "Deployment", deployment(replicas=0, ready=0), {"scaled-object": scaler(("Ready", "False", "TriggerError", "no stream"))},
        False, "ScalerNotReady", "no replicas, and the scaler is not ready: no stream"),
    "no replicas and no scaler": (
        "Deployment", deployment(replicas=0, ready=0), {}, False, "ScalerNotReady",
        "no replicas, and the scaler is not ready: it is being created"),
    "a scaler that works": ("ScaledObject", scaler(WORKING, ("Fallback", "False", "NoFallbackFound")), {}, True, "Scaling",
                            "replicas follow the queue"),
    "a scaler that is paused": ("ScaledObject", scaler(PAUSED), {}, True, "Paused", "the claim is paused"),
    "a scaler that is paused, of a claim that is not": (
        "ScaledObject", scaler(WORKING, PAUSED), {}, False, "Resuming",
        STILL),
    "no replicas under a scaler that is paused, of a claim that is not": (
        "Deployment", deployment(replicas=0, ready=0), {"scaled-object": scaler(WORKING, PAUSED)}, False, "ScalerNotReady",
        f"no replicas, and the scaler is not ready: {STILL}"),
    "a scaler that KEDA has not seen": ("ScaledObject", scaler(), {}, False, "WaitingForKeda", "KEDA has not looked at it yet"),
    "a scaler that KEDA has begun to look at": (
        "ScaledObject", scaler(("Ready", "Unknown")), {}, False, "WaitingForKeda", "KEDA has not looked at it yet"),
    "a scaler whose check failed": (
        "ScaledObject", scaler(("Ready", "False", "ScaledObjectCheckFailed", "target not found")), {}, False,
        "ScaledObjectCheckFailed", "target not found"),
    "a scaler whose metrics cannot be had": (
        "ScaledObject", scaler(WORKING, ("HPAActive", "False", "FailedGetExternalMetric", "HPA is not actively scaling: refused")),
        {}, False, "FailedGetExternalMetric", "HPA is not actively scaling: refused"),
    "a scaler in error whose autoscaler knows more": (
        "ScaledObject",
        scaler(("Ready", "False", "TriggerError", "Triggers are not working"), ("HPAActive", "False", "Failed", "connection refused")),
        {}, False, "TriggerError", "Triggers are not working; connection refused"),
    "a scaler that the autoscaler disabled at zero": (
        "ScaledObject", scaler(WORKING, ("HPAActive", "True", "ScalingDisabled")), {}, True, "Scaling", "replicas follow the queue"),
    "a secret that is there": ("ExternalSecret", secret(("Ready", "True", "SecretSynced")), {}, True, "SecretSynced", ""),
    "a secret that was synced since its latest change": (
        "ExternalSecret", second(secret(("Ready", "True", "SecretSynced"), syncedResourceVersion="2-4b1c9f")), {}, True,
        "SecretSynced", ""),
    "a secret that was not synced since its latest change": (
        "ExternalSecret", second(secret(("Ready", "True", "SecretSynced"), syncedResourceVersion="1-4b1c9f")), {}, False,
        "WaitingForSync", "its latest change has not been taken up yet"),
    "a secret of an operator that does not say what it synced": (
        "ExternalSecret", second(secret(("Ready", "True", "SecretSynced"), syncedResourceVersion="")), {}, True,
        "SecretSynced", ""),
    "a secret that was not looked at yet": (
        "ExternalSecret", secret(), {}, False, "WaitingForSync", "External Secrets has not looked at it yet"),
    "a secret whose provider does not say which parameter": (
        "ExternalSecret", secret(DENIED), {}, False, "ParameterUnreadable", f"{DENIED[3]}: check that {ALL_FIVE} {THROUGH}"),
    "a secret whose provider says which parameter": (
        "ExternalSecret", secret(NAMED), {}, False, "ParameterUnreadable",
        f"{NAMED[3]}: check that /zerotouch/prod/agent-executor/postgres/db {THROUGH}"),
    "a secret that somebody else owns": (
        "ExternalSecret", secret(("Ready", "False", "SecretSyncedError", "target is owned by another ExternalSecret")), {}, False,
        "SecretSyncedError", f"target is owned by another ExternalSecret: check that {ALL_FIVE} {THROUGH}"),
    "a service that is there": ("Service", {"metadata": {}}, {}, True, "Observed", ""),
    "a network policy that is there": ("NetworkPolicy", {}, {}, True, "Observed", ""),
    "anything on its way out": (
        "Service", {"metadata": {"deletionTimestamp": "2026-03-01T10:00:00Z"}}, {}, False, "Deleting", "it is being deleted"),
}  # fmt: skip


PAUSE, SOME, NONE = {"paused": True}, {"scaling": {"minReplicas": 2}}, {"scaling": {"minReplicas": 0}}
# What a claim says where it decides; the others say nothing, and have one replica at least.
CLAIMS = {
    "a deployment with fewer replicas than the claim's minimum": SOME,
    "a deployment that may have none, without any replica that is ready": NONE,
    "no replicas under a working scaler": NONE,
    "no replicas under a scaler in error": NONE,
    "no replicas and no scaler": NONE,
    "no replicas of a claim that wants some": SOME,
    "no replicas of a paused claim": PAUSE,
    "a scaler that is paused": PAUSE,
}


def asked(case=""):
    """The claim of a case."""
    return claims.parse(claim(**CLAIMS.get(case, {})))


def test_every_claim_is_one_of_a_case():
    assert CLAIMS.keys() <= CASES.keys()


@pytest.mark.parametrize("form", [dict, Struct], ids=["a dict", "a Struct"])
@pytest.mark.parametrize("case", CASES)
def test_an_observed_object_is_judged(form, case):
    kind, found, others, ready, reason, message = CASES[case]
    observed = {"it": found, **others}
    if form is Struct:
        for key, value in observed.items():
            observed[key] = Struct()
            observed[key].update(value)
    assert judge(kind, "it", observed, asked(case))[:3] == (ready, reason, message)


WAITS = {
    "a deployment whose new pods do not come up",
    "a deployment that is scaled out in the middle of a rollout",
    "a deployment with fewer replicas than the claim's minimum",
    "a deployment without any replica that is ready",
    "a deployment that may have none, without any replica that is ready",
    "a rollout past its deadline, with old pods still there",
}


def test_what_waits_for_pods_that_do_not_come_up_and_nothing_else_says_so():
    waits = {
        case
        for case, (kind, found, others, *_) in CASES.items()
        if judge(kind, "it", {"it": found, **others}, asked(case)).waits
    }
    assert waits == WAITS


@pytest.mark.parametrize("composed", resources.REGISTRY.values(), ids=resources.REGISTRY)
def test_every_composed_kind_has_a_judge_of_its_own(composed):
    assert composed.kind in readiness._JUDGES, "function/readiness.py does not say when this kind is ready"


@pytest.mark.parametrize("composed", resources.REGISTRY.values(), ids=resources.REGISTRY)
def test_what_was_not_observed_is_not_ready(composed):
    assert judge(composed.kind, "it", {}, asked()) == Readiness(
        ready=False, reason="Creating", message="it is being created"
    )


def test_reading_leaves_an_object_as_it_was():
    observed = {}
    for key, found in {"deployment": DEPLOYED, "scaled-object": SCALING, "postgres-secret": SYNCED}.items():
        observed[key] = Struct()
        observed[key].update(found)
    before = {key: found.SerializeToString(deterministic=True) for key, found in observed.items()}
    for key in observed:
        judge(resources.REGISTRY[key].kind, key, observed, asked())
    assert {key: found.SerializeToString(deterministic=True) for key, found in observed.items()} == before
