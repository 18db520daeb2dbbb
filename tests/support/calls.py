"""Requests as Crossplane sends them, and the states of observed objects as their controllers write them."""

from collections.abc import Mapping
from typing import Any

from crossplane.function import resource
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import sizes
from function.fn import FunctionRunner

SPEC = {
    "image": "ghcr.io/arun4infra/agent-executor:v1.0.0",
    "size": "medium",
    "natsUrl": "nats://nats.nats.svc:4222",
    "postgresConnectionSecret": "agent-executor-postgres",
    "dragonflyConnectionSecret": "agent-executor-dragonfly",
    "llmKeysSecret": "agent-executor-llm-keys",
}
SIZES = ", ".join(sorted(sizes.STANDARD))
NINE = [
    "deployment",
    "dragonfly-secret",
    "llm-keys-secret",
    "network-policy",
    "pod-disruption-budget",
    "postgres-secret",
    "scaled-object",
    "service",
    "service-account",
]
EIGHT = [key for key in NINE if key != "pod-disruption-budget"]


def composite(name: str = "agent-executor", namespace: str = "intelligence-deepagents", **spec: Any) -> dict[str, Any]:
    """A cluster-scoped composite of the seed's claim, with further fields."""
    reference = {"apiVersion": "platform.bizmatters.io/v1alpha1", "kind": "AgentExecutor"}
    return {
        "apiVersion": "platform.bizmatters.io/v1alpha1",
        "kind": "XAgentExecutor",
        "metadata": {"name": f"{name}-x7k2p", "generation": 3},
        "spec": {**SPEC, **spec, "claimRef": {**reference, "name": name, "namespace": namespace}},
    }


def claim(name: str = "agent-executor", namespace: str = "intelligence-deepagents", **spec: Any) -> dict[str, Any]:
    """The same as a namespaced composite, which is also what a claim's own manifest looks like."""
    return {
        "apiVersion": "platform.bizmatters.io/v1alpha1",
        "kind": "AgentExecutor",
        "metadata": {"name": name, "namespace": namespace, "generation": 3},
        "spec": {**SPEC, **spec},
    }


def request(
    xr: Mapping[str, Any],
    observed: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    required: Mapping[str, Any] | None = None,
) -> fnv1.RunFunctionRequest:
    """A request for a composite, its observed objects by key, an Input, and what was required: None is not there."""
    sent = fnv1.RunFunctionRequest()
    sent.meta.tag = "tag"
    sent.observed.composite.resource.update(xr)
    for key, found in (observed or {}).items():
        sent.observed.resources[key].resource.update(found)
    if given is not None:
        sent.input.update(given)
    for key, found in (required or {}).items():
        items = sent.required_resources[key].items
        if found is not None:
            items.add().resource.update(found)
    return sent


async def call(
    xr: Mapping[str, Any],
    observed: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    runner: FunctionRunner | None = None,
    required: Mapping[str, Any] | None = None,
) -> fnv1.RunFunctionResponse:
    """What the function answers."""
    return await (runner or FunctionRunner()).RunFunction(request(xr, observed, given, required), None)


def objects(response: fnv1.RunFunctionResponse) -> dict[str, Any]:
    """The desired objects as dicts."""
    return {key: resource.struct_to_dict(made.resource) for key, made in response.desired.resources.items()}


def ready(response: fnv1.RunFunctionResponse) -> list[str]:
    """The keys of the objects that are ready."""
    return sorted(k for k, made in response.desired.resources.items() if made.ready == fnv1.READY_TRUE)


def conditions(response: fnv1.RunFunctionResponse) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of the conditions by type; every one is for the claim, too."""
    assert all(c.target == fnv1.TARGET_COMPOSITE_AND_CLAIM for c in response.conditions)
    status = {fnv1.STATUS_CONDITION_TRUE: "True", fnv1.STATUS_CONDITION_FALSE: "False"}
    return {c.type: (status[c.status], c.reason, c.message) for c in response.conditions}


def results(response: fnv1.RunFunctionResponse) -> list[tuple[str, str, str]]:
    """Severity, reason and message of the results; every one is for the claim, too."""
    assert all(r.target == fnv1.TARGET_COMPOSITE_AND_CLAIM for r in response.results)
    return [(fnv1.Severity.Name(r.severity).removeprefix("SEVERITY_"), r.reason, r.message) for r in response.results]


def said(*conditions: tuple[str, ...]) -> list[dict[str, str]]:
    """Conditions as an object's status has them, out of (type, status, reason, message)."""
    return [dict(zip(("type", "status", "reason", "message"), c, strict=False)) for c in conditions]


DEPLOYED = {
    "metadata": {"generation": 2},
    "spec": {"replicas": 2},
    "status": {
        "observedGeneration": 2,
        "readyReplicas": 2,
        "conditions": said(
            ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            ("Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
        ),
    },
}
SCALING = {"status": {"conditions": said(("Ready", "True", "ScaledObjectReady", "fine"), ("Paused", "Unknown"))}}
SYNCED = {"status": {"conditions": said(("Ready", "True", "SecretSynced", "secret synced"))}}
RUNNING = {
    **{key: {"metadata": {"generation": 1}} for key in NINE},
    **{key: SYNCED for key in NINE if key.endswith("-secret")},
    "deployment": DEPLOYED,
    "scaled-object": SCALING,
}
