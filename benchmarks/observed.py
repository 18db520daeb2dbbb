"""A request as Crossplane sends it for a claim that is up and running: all nine objects, with their real conditions."""

from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import claim, platform, resources

SINCE = "2026-03-01T10:00:00Z"
SERIAL = "000000"  # stands in every name, to be replaced by another of this length for a request of another claim


def composite(name: str) -> dict[str, Any]:
    """A cluster-scoped composite with two replicas at least, so that all nine objects are there."""
    return {
        "apiVersion": "platform.bizmatters.io/v1alpha1",
        "kind": "XAgentExecutor",
        "metadata": {"name": f"{name}-x7k2p", "uid": "5f1c1f6e-8c4e-4e0b-9d53-0c2f8f4a4b11", "generation": 3},
        "spec": {
            "claimRef": {
                "apiVersion": "platform.bizmatters.io/v1alpha1",
                "kind": "AgentExecutor",
                "name": name,
                "namespace": "intelligence-deepagents",
            },
            "image": "ghcr.io/arun4infra/agent-executor:v1.0.0",
            "size": "medium",
            "natsUrl": "nats://nats.nats.svc:4222",
            "postgresConnectionSecret": "agent-executor-postgres",
            "dragonflyConnectionSecret": "agent-executor-dragonfly",
            "llmKeysSecret": "agent-executor-llm-keys",
            "scaling": {"minReplicas": 2},
        },
        "status": {
            "conditions": [
                condition("SpecValid", "True", "Valid"),
                condition("SecretsReady", "True", "SecretsSynced"),
                condition("WorkloadAvailable", "True", "Available"),
                condition("ScalingReady", "True", "Scaling"),
                condition("Ready", "True", "Available"),
                condition("Synced", "True", "ReconcileSuccess"),
            ],
        },
    }


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


STATUS: dict[str, dict[str, Any]] = {
    "Deployment": {
        "observedGeneration": 2,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "conditions": [
            condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            condition("Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
        ],
    },
    "ExternalSecret": {
        "refreshTime": SINCE,
        "syncedResourceVersion": "2-4b1c9f",
        "binding": {"name": "agent-executor"},
        "conditions": [condition("Ready", "True", "SecretSynced", "secret synced")],
    },
    "ScaledObject": {
        "hpaName": "keda-hpa-agent-executor",
        "originalReplicaCount": 2,
        "scaleTargetKind": "apps/v1.Deployment",
        "externalMetricNames": ["s0-nats-jetstream-AGENT_EXECUTION"],
        "conditions": [
            condition("Ready", "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready"),
            condition("Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active"),
            condition("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object"),
            condition("Paused", "Unknown", ""),
            condition("HPAActive", "True", "HPAActive", "HPA is actively scaling"),
        ],
    },
    "Service": {"loadBalancer": {}},
    "PodDisruptionBudget": {
        "observedGeneration": 1,
        "currentHealthy": 2,
        "desiredHealthy": 1,
        "disruptionsAllowed": 1,
        "expectedPods": 2,
        "conditions": [condition("DisruptionAllowed", "True", "SufficientPods")],
    },
}


def request() -> fnv1.RunFunctionRequest:
    """The request of the claim `agent-executor-000000`."""
    xr = composite(f"agent-executor-{SERIAL}")
    sent = fnv1.RunFunctionRequest()
    sent.meta.tag = "8b0c7f3f9a6f4c0c"
    sent.observed.composite.resource.update(xr)
    for key, manifest in resources.render(claim.parse(xr), platform.DEFAULT).items():
        known = {"uid": "0b9ad1b2-98a1-4b52-8d0f-6f3fd3a2c0de", "resourceVersion": "184467", "generation": 2}
        found = {**manifest, "metadata": {**manifest["metadata"], **known, "creationTimestamp": SINCE}}
        if manifest["kind"] == "Deployment":
            found["spec"] = {**manifest["spec"], "replicas": 2}
        if manifest["kind"] in STATUS:
            found["status"] = STATUS[manifest["kind"]]
        sent.observed.resources[key].resource.update(found)
    return sent
