"""The objects that a claim is made of, one module for each kind.

To compose another, write a module with `render(claim, platform)` and add one line to REGISTRY. A key is the object's
name in the composition, and so an API: renaming one makes Crossplane delete the old object and create a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from function.model import EMPTY
from function.resources import (
    deployment,
    external_secrets,
    network_policy,
    scaled_object,
    secret_hashes,
    service,
    service_account,
)
from function.resources import pod_disruption_budget as budget

if TYPE_CHECKING:
    from function.claim import Claim
    from function.platform import Platform

Manifest = Mapping[str, Any]


def _always(_: Claim) -> bool:
    return True


class Composed(NamedTuple):
    """One object of a claim: its kind, how it is rendered, and whether a claim has it."""

    kind: str
    render: Callable[[Claim, Platform], Manifest]
    wanted: Callable[[Claim], bool] = _always


REGISTRY: Mapping[str, Composed] = MappingProxyType(
    {
        "service-account": Composed("ServiceAccount", service_account.render),
        "postgres-secret": Composed("ExternalSecret", external_secrets.postgres, external_secrets.wanted),
        "dragonfly-secret": Composed("ExternalSecret", external_secrets.dragonfly, external_secrets.wanted),
        "llm-keys-secret": Composed("ExternalSecret", external_secrets.llm_keys, external_secrets.wanted),
        "deployment": Composed("Deployment", deployment.render),
        "service": Composed("Service", service.render),
        "scaled-object": Composed("ScaledObject", scaled_object.render),
        "network-policy": Composed("NetworkPolicy", network_policy.render),
        "pod-disruption-budget": Composed("PodDisruptionBudget", budget.render, budget.wanted),
    }
)


def render(claim: Claim, platform: Platform, hashes: Mapping[str, str] = EMPTY) -> dict[str, Manifest]:
    """The manifests of a claim by their names in the composition, always in the same order.

    `hashes` are those of the Secrets by key (`rotation.hashes`); they count where the platform asks for it.
    """
    made = {key: composed.render(claim, platform) for key, composed in REGISTRY.items() if composed.wanted(claim)}
    if hashes and platform.external_secrets.rollout_on_change:
        made["deployment"] = secret_hashes.annotated(made["deployment"], hashes)
    return made
