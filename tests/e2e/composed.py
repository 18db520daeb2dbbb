"""What a claim becomes: the kinds, and the objects that are there of it."""

from typing import Any

from tests.e2e.lab import cluster
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab

NAME = "agent-executor"  # the seed's claim, and so all that it becomes
COMPOSED = (
    "Deployment",
    "Service",
    "ServiceAccount",
    "ScaledObject",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ExternalSecret",
    "Secret",
)
LEFT_BY_THEM = ("HorizontalPodAutoscaler", "ReplicaSet", "Pod")
# The status of a pod that serves, where there is no node and it is written by hand.
FINE = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": None}


def applied(lab: Lab, where: str, name: str = NAME, **spec: Any) -> Any:
    """The claim, once it is Synced, its Secrets are there and its Deployment is made."""
    lab.api.apply(cluster.claim(name, where, **spec))
    lab.api.until("Deployment", name, where, lambda seen: seen is not None, "made")
    return lab.api.until("AgentExecutor", name, where, lambda seen: is_true(seen, "Synced", "SecretsReady"), "Secrets")


def identities(lab: Lab, where: str) -> dict[tuple[str, str], tuple[str, int]]:
    """Each composed object's uid and generation: they change when it is made again, or when its spec is."""
    found = [(kind, one["metadata"]) for kind in COMPOSED for one in lab.api.list(kind, where)]
    return {
        (kind, metadata["name"]): (metadata["uid"], metadata.get("generation", 0))
        for kind, metadata in found
        if metadata["name"].startswith(NAME)
    }


def workload(seen: Any) -> str:
    """What a claim says of its pods."""
    return str(condition(seen, "WorkloadAvailable").get("message", ""))
