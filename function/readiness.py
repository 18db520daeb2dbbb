"""Whether an observed object is ready, and if it is not, what a person can do about it.

Invariants: nothing is ready that was not observed; every reason is CamelCase; every message names the object's own
trouble.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from function.observed import ABSENT, at, conditions, items, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from function.claim import Claim


class Readiness(NamedTuple):
    """Whether an object is ready, why in one CamelCase word, and in one sentence.

    `waits`: for pods that do not come up, and their own status has more to say.
    """

    ready: bool
    reason: str
    message: str = ""
    waits: bool = False


NOT_OBSERVED = Readiness(ready=False, reason="Creating", message="it is being created")
OBSERVED = Readiness(ready=True, reason="Observed")
HELD = Readiness(ready=False, reason="WaitingForSecrets", message="it is made once the Secrets are there")
DELETING = Readiness(ready=False, reason="Deleting", message="it is being deleted")
SCALED_OBJECT = "scaled-object"
NOT_TAKEN_UP = "its latest change has not been taken up yet"
# What an object that has just been made says for itself: worth a condition, not an event.
WAITING = frozenset(
    {
        "Creating",
        "Deleting",
        "Reconciling",
        "MinimumReplicasUnavailable",
        "WaitingForSecrets",
        "WaitingForSync",
        "WaitingForKeda",
        "Resuming",
    }
)


def judge(kind: str, key: str, observed: Mapping[str, Any], claim: Claim) -> Readiness:
    """The readiness of a claim's object `key`; `observed` has all that was observed by key, each a dict or a Struct."""
    found = observed.get(key)
    if found is None:
        return NOT_OBSERVED
    if at(found, "metadata", "deletionTimestamp") is not None:
        return DELETING
    return _JUDGES[kind](found, observed, claim)


def _there(_: Any, __: Mapping[str, Any], ___: Claim) -> Readiness:
    """Kubernetes gives this kind no condition to wait for."""
    return OBSERVED


def _deployment(found: Any, observed: Mapping[str, Any], claim: Claim) -> Readiness:
    if number(found, "status", "observedGeneration") < number(found, "metadata", "generation"):
        return Readiness(ready=False, reason="Reconciling", message=NOT_TAKEN_UP)
    wanted, running = number(found, "spec", "replicas"), number(found, "status", "readyReplicas")
    if not wanted and at(found, "spec", "replicas") is not None:
        return _idle(observed, claim)
    said = conditions(found)
    # A pod that is refused (quota, Pod Security, an admission webhook) is only ever reported here.
    failure = said.get("ReplicaFailure", ABSENT)
    if failure.status == "True":
        return Readiness(ready=False, reason=failure.reason or "ReplicaFailure", message=failure.message)
    progressing = said.get("Progressing", ABSENT)
    if progressing.status == "False":
        message = f"{progressing.message} ({running} of {wanted} replicas ready)"
        return Readiness(ready=False, reason=progressing.reason or "NotProgressing", message=message, waits=True)
    available = said.get("Available", ABSENT)
    # To Kubernetes a Deployment with `maxUnavailable: 0` is available while every pod that is wanted is. One that a
    # scaler adds pods to is not, and would be at its work all the same: here the claim's own minimum decides.
    if available.status != "True" and running < max(1, claim.min_replicas):
        reason = available.reason or "MinimumReplicasUnavailable"
        return Readiness(ready=False, reason=reason, message=f"{running} of {wanted} replicas ready", waits=True)
    message = f"{running} of {wanted} replicas ready"
    # Kubernetes takes ten minutes to call a rollout stuck, and a broken image never comes up. Pods that are merely
    # added wait, too: then the last rollout is the one that is done.
    waiting = number(found, "status", "unavailableReplicas")
    waits = waiting > 0 and progressing.reason != "NewReplicaSetAvailable"
    if waits:
        message += f"; the rollout of {_image(found)} waits for {waiting} pod{'s' if waiting > 1 else ''}"
    return Readiness(ready=True, reason="Available", message=message, waits=waits)


def _image(deployment: Any) -> str:
    """What the pods of the latest change run: the executor's image is the only one."""
    return next((text(one, "image") for one in items(deployment, "spec", "template", "spec", "containers")), "")


def _idle(observed: Mapping[str, Any], claim: Claim) -> Readiness:
    """Zero replicas are fine when that is what a working scaler decided."""
    scaler = judge("ScaledObject", SCALED_OBJECT, observed, claim)
    if not scaler.ready:
        message = f"no replicas, and the scaler is not ready: {scaler.message}"
        return Readiness(ready=False, reason="ScalerNotReady", message=message)
    if scaler.reason == "Paused":
        return Readiness(ready=True, reason="Paused", message="no replicas while the claim is paused")
    if claim.min_replicas:  # as after a pause, until KEDA looks
        message = f"no replicas yet, and the claim wants {claim.min_replicas} at least"
        return Readiness(ready=False, reason="MinimumReplicasUnavailable", message=message)
    return Readiness(ready=True, reason="Idle", message="no replicas, because there are no jobs")


def _scaled_object(found: Any, _: Mapping[str, Any], claim: Claim) -> Readiness:
    said = conditions(found)
    ready, paused = said.get("Ready", ABSENT), said.get("Paused", ABSENT)
    if paused.status == "True" and claim.paused:
        return Readiness(ready=True, reason="Paused", message="the claim is paused")
    if paused.status == "True":
        message = "KEDA is paused, and the claim is not: if that stays, look at the ScaledObject's annotations"
        return Readiness(ready=False, reason="Resuming", message=message)
    # KEDA's Ready only says that the triggers answer; the autoscaler made of them has a say of its own since 2.21.
    scaling = said.get("HPAActive", ABSENT)
    if ready.status == "True" and scaling.status != "False":
        return Readiness(ready=True, reason="Scaling", message="replicas follow the queue")
    if ready.status not in ("True", "False") and not ready.reason:
        return Readiness(ready=False, reason="WaitingForKeda", message="KEDA has not looked at it yet")
    faults = [c for c in (ready, scaling) if c.status != "True" and c.message]
    reason = next((c.reason for c in faults if c.reason), "ScalerNotReady")
    return Readiness(ready=False, reason=reason, message="; ".join(c.message for c in faults))


def _external_secret(found: Any, _: Mapping[str, Any], __: Claim) -> Readiness:
    ready = conditions(found).get("Ready", ABSENT)
    if ready.status == "True":
        # `<generation>-<hash of the metadata>`, of the object that was synced: pkg/controllers/util/util.go there.
        synced = text(found, "status", "syncedResourceVersion").partition("-")[0]
        if synced.isdecimal() and int(synced) != number(found, "metadata", "generation"):
            return Readiness(ready=False, reason="WaitingForSync", message=NOT_TAKEN_UP)
        return Readiness(ready=True, reason="SecretSynced")
    if not ready.reason and not ready.message:
        return Readiness(ready=False, reason="WaitingForSync", message="External Secrets has not looked at it yet")
    message = f"{ready.message or ready.reason}: {_source(found, ready.message)}"
    if "not get secret data" in ready.message:  # what External Secrets says of a parameter that is missing or forbidden
        return Readiness(ready=False, reason="ParameterUnreadable", message=message)
    return Readiness(ready=False, reason=ready.reason or "SecretSyncedError", message=message)


def _source(found: Any, message: str) -> str:
    """The parameters to look at. External Secrets mostly keeps to itself which one it was: then all that it reads."""
    wanted = [text(entry, "remoteRef", "key") for entry in items(found, "spec", "data")]
    named = [key for key in wanted if key and key in message] or wanted
    store = f"{text(found, 'spec', 'secretStoreRef', 'kind')} {text(found, 'spec', 'secretStoreRef', 'name')}"
    return f"check that {', '.join(named)} can be read through {store}"


# Every kind that is composed, also one that is ready as soon as it is there: a new kind has to be thought about.
_JUDGES: Mapping[str, Callable[[Any, Mapping[str, Any], Claim], Readiness]] = {
    "ServiceAccount": _there,
    "ExternalSecret": _external_secret,
    "Deployment": _deployment,
    "Service": _there,
    "ScaledObject": _scaled_object,
    "NetworkPolicy": _there,
    "PodDisruptionBudget": _there,
}
