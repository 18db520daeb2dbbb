"""What a claim becomes: the kinds, and the objects that are there of it."""

import hashlib
import json
from collections.abc import Mapping
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
OF_THE_CLUSTER = ("uid", "resourceVersion", "generation", "managedFields", "ownerReferences", "creationTimestamp")
# Beginnings of labels and annotations: the last says which ExternalSecret made a Secret, by a hash with the namespace.
MACHINERY = ("crossplane.io/", "deployment.kubernetes.io/", "reconcile.external-secrets.io/created-by")
LEFT_BY_THEM = ("HorizontalPodAutoscaler", "ReplicaSet", "Pod")
# The status of a pod that serves, where there is no node and it is written by hand.
FINE = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": None}


def applied(lab: Lab, where: str, name: str = NAME, **spec: Any) -> Any:
    """The claim, once it is Synced, its Secrets are there and its Deployment is made."""
    lab.api.apply(cluster.claim(name, where, **spec))
    lab.api.until("Deployment", name, where, lambda seen: seen is not None, "made")
    return lab.api.until("AgentExecutor", name, where, lambda seen: is_true(seen, "Synced", "SecretsReady"), "Secrets")


def identities(lab: Lab, where: str) -> dict[tuple[str, str], tuple[str, int | str]]:
    """Each composed object's uid and generation: they change when it is made again, or when its spec is."""
    found = [(kind, one) for kind in COMPOSED for one in lab.api.list(kind, where)]
    return {
        (kind, one["metadata"]["name"]): (one["metadata"]["uid"], one["metadata"].get("generation") or digest(one))
        for kind, one in found
        if one["metadata"]["name"].startswith(NAME)
    }


def digest(one: Mapping[str, Any]) -> str:
    """Of what an object says: Kubernetes counts no generations of a Service, a ServiceAccount or a Secret."""
    return hashlib.sha256(json.dumps(without(one, "metadata", "status"), sort_keys=True).encode()).hexdigest()


def meant(lab: Lab, kind: str, where: str) -> dict[str, Any]:
    """The composed objects of a kind, less what the cluster and its machinery add to them."""
    found = [one for one in lab.api.list(kind, where) if one["metadata"]["name"].startswith(NAME)]
    return {one["metadata"]["name"]: _meant(one, where) for one in found}


def _meant(one: Mapping[str, Any], where: str) -> Any:
    kept = without(one, "status")
    kept["metadata"] = without(one["metadata"], *OF_THE_CLUSTER)
    for written in ("labels", "annotations"):
        given = one["metadata"].get(written, {})
        kept["metadata"][written] = without(given, *(name for name in given if name.startswith(MACHINERY)))
    if "spec" in one:
        kept["spec"] = without(one["spec"], "clusterIP", "clusterIPs")
    return json.loads(json.dumps(kept).replace(where, "NAMESPACE"))


def without(given: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A mapping less these keys."""
    return {key: value for key, value in given.items() if key not in keys}


def workload(seen: Any) -> str:
    """What a claim says of its pods."""
    return str(condition(seen, "WorkloadAvailable").get("message", ""))
