"""The PodDisruptionBudget: a node drain takes one executor at a time.

Only with two replicas or more: below that, a budget either blocks every drain or protects nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.names import metadata, selector

if TYPE_CHECKING:
    from function.claim import Claim
    from function.platform import Platform
    from function.schemas.pod_disruption_budget import PodDisruptionBudget

MIN_REPLICAS = 2


def wanted(claim: Claim) -> bool:
    """Whether enough executors always run for a budget to mean anything."""
    return claim.min_replicas >= MIN_REPLICAS


def render(claim: Claim, _: Platform) -> PodDisruptionBudget:
    """How many executors of a claim may be evicted at once."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(claim),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(claim)},
            # Executors that are unready because a database is down must not stop a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
