"""The names and labels that every composed object shares.

Invariant: nothing here varies with the claim's revision (image, size, generation), so an update never restarts a pod
through a label, and the selector of a Deployment, which is immutable, stays what it was on the first day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.fixed import fixed

if TYPE_CHECKING:
    from function.claim import Claim
    from function.schemas.core import ObjectMeta

CONTAINER = "agent-executor"
"""The container that works; the others prepare it, or were put beside it by somebody else."""


def selector(claim: Claim) -> dict[str, str]:
    """What selects a claim's pods: this and nothing more, for ever."""
    return _selector(claim.name)


def labels(claim: Claim) -> dict[str, str]:
    """The selector, and the labels that https://kubernetes.io/docs/reference/labels-annotations-taints/ recommends."""
    return _labels(claim.name)


def metadata(claim: Claim, name: str | None = None) -> ObjectMeta:
    """Metadata for a composed object in the claim's namespace; `name` where it is not the claim's."""
    return _metadata(name or claim.name, claim.namespace, claim.name)


@fixed
def _selector(name: str) -> dict[str, str]:
    return {"app": name}


@fixed
def _labels(name: str) -> dict[str, str]:
    return {
        "app": name,
        "app.kubernetes.io/component": "executor",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "crossplane",
        "app.kubernetes.io/name": "agent-executor",
        "app.kubernetes.io/part-of": "agent-executor",
    }


@fixed
def _metadata(name: str, namespace: str, claim: str) -> ObjectMeta:
    return {"name": name, "namespace": namespace, "labels": _labels(claim)}
