"""What a composite tells its reader: the status fields that the XRD declares, conditions, and what has just changed.

Invariants: never one of Crossplane's own conditions (Ready, Synced, Healthy, Responsive, UpToDate); every reason is
CamelCase; an event only where a condition changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from function.observed import number, text
from function.readiness import WAITING, Readiness
from function.resources import external_secrets, service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from function import observed as seen
    from function.claim import Claim


class Condition(NamedTuple):
    """One condition of the composite and of its claim."""

    type: str
    holds: bool
    reason: str
    message: str = ""


class Event(NamedTuple):
    """Something that has just changed, for `kubectl describe`."""

    warning: bool
    reason: str
    message: str


SPEC_VALID = Condition("SpecValid", holds=True, reason="Valid")


def fields(
    claim: Claim, generation: int | None, observed: Mapping[str, Any], readiness: Mapping[str, Readiness]
) -> dict[str, Any]:
    """The composite's status, without conditions.

    `generation` is the composite's own, None where a claim gets a copy of this: the two count apart, and who compares
    them, as kstatus does, would wait for ever.
    """
    deployment = observed.get("deployment")
    told = {} if generation is None else {"observedGeneration": generation}
    return told | {
        "endpoint": service.endpoint(claim),
        "image": claim.image,
        "size": claim.size,
        "replicas": {
            "desired": number(deployment, "spec", "replicas"),
            "ready": number(deployment, "status", "readyReplicas"),
        },
        "secrets": [
            {"name": name, "ready": readiness[key].ready}
            for key, name in external_secrets.names(claim).items()
            if key in readiness
        ],
    }


def conditions(claim: Claim, readiness: Mapping[str, Readiness]) -> tuple[Condition, ...]:
    """The conditions of a valid claim."""
    deployment, scaler = readiness["deployment"], readiness["scaled-object"]
    return (
        SPEC_VALID,
        _secrets_ready(claim, readiness),
        Condition("WorkloadAvailable", deployment.ready, deployment.reason, deployment.message),
        Condition("ScalingReady", scaler.ready, scaler.reason, scaler.message),
    )


def invalid(faults: Iterable[str]) -> Condition:
    """The condition of a claim that is refused."""
    return Condition("SpecValid", holds=False, reason="InvalidSpec", message="; ".join(faults))


def events(now: Iterable[Condition], before: Mapping[str, seen.Condition]) -> Iterator[Event]:
    """What changed between the conditions that the composite has and those that it gets."""
    for condition in now:
        old = before.get(condition.type)
        if old is None:
            # The first look at a claim: that nothing is there yet is not news, a fault is.
            changed = not condition.holds and condition.reason not in WAITING
        else:
            changed = (old.status, old.reason) != ("True" if condition.holds else "False", condition.reason)
        if changed:
            warning = not condition.holds and condition.reason not in WAITING
            told = f"{condition.type}: {condition.message or condition.reason}"
            yield Event(warning, condition.reason, told)


def removed(observed: Iterable[Any]) -> Iterator[Event]:
    """Of ExternalSecrets that are there and no longer wanted; only once, since what is gone is not observed again."""
    names = ", ".join(sorted(text(found, "metadata", "name") for found in observed))
    if names:
        told = f"{names}: the Secrets go with their ExternalSecrets, because externalSecrets.create is false"
        yield Event(warning=True, reason="SecretsRemoved", message=told)


def _secrets_ready(claim: Claim, readiness: Mapping[str, Readiness]) -> Condition:
    if not claim.creates_secrets:
        return Condition("SecretsReady", holds=True, reason="NotManaged", message="something else makes the Secrets")
    missing = {name: readiness[key] for key, name in external_secrets.names(claim).items() if not readiness[key].ready}
    if not missing:
        return Condition("SecretsReady", holds=True, reason="SecretsSynced")
    message = "; ".join(f"{name}: {found.message}" for name, found in missing.items())
    # One that is in trouble says more than one that has only just been made.
    worst = min(missing.values(), key=lambda found: found.reason in WAITING)
    return Condition("SecretsReady", holds=False, reason=worst.reason, message=message)
