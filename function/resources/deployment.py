"""The Deployment: migrations first, then the executor.

Invariants: no `replicas`, because KEDA owns that field; Pod Security *restricted* for every container; the pod has
longer to end than the executor has to drain; only the keys that this function declares reach the pod from a Secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from function.fixed import fixed
from function.names import CONTAINER, labels, metadata, selector
from function.resources import external_secrets
from function.sizes import MIGRATIONS, Range, SizeProfile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from function.claim import Claim
    from function.model import Model
    from function.platform import Platform
    from function.schemas.core import (
        Container,
        ContainerPort,
        EnvVar,
        ObjectMeta,
        PodSecurityContext,
        PodSpec,
        PodTemplateSpec,
        Probe,
        ResourceRequirements,
        SecurityContext,
        Toleration,
        TopologySpreadConstraint,
        Volume,
        VolumeMount,
    )
    from function.schemas.deployment import Deployment, DeploymentStrategy

HTTP_PORT = 8080
DRAIN_SECONDS = 120  # how long jobs in hand may take to reach their next checkpoint after SIGTERM
GRACE_SECONDS = DRAIN_SECONDS + 30  # and then the time to hand them back, flush results and close connections
USER_ID = 65532  # the image's own user, as a number: one that only has a name could not prove that it is not root


def render(claim: Claim, _: Platform) -> Deployment:
    """The executors of a claim."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(claim),
        "spec": {
            "selector": {"matchLabels": selector(claim)},
            "strategy": _strategy(),
            "template": _template(claim),
        },
    }


def _template(claim: Claim) -> PodTemplateSpec:
    asked, shared = claim.pod_template, labels(claim)
    described: ObjectMeta = {"labels": {**asked.labels, **shared} if asked.labels else shared}
    if asked.annotations:
        described["annotations"] = dict(asked.annotations)
    return {"metadata": described, "spec": _pod(claim)}


def _pod(claim: Claim) -> PodSpec:
    asked = claim.pod_template
    pod: PodSpec = {
        "serviceAccountName": claim.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # or every Service of the namespace would add variables, some named like ours
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": _pod_locked_down(),
        "initContainers": [_migrations(claim.image, claim.profile, claim.postgres_secret, claim.postgres_schema)],
        "containers": [_executor(claim)],
        "volumes": [_scratch()],
    }
    if claim.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in claim.image_pull_secrets]
    if asked.node_selector:
        pod["nodeSelector"] = dict(asked.node_selector)
    if asked.tolerations:
        pod["tolerations"] = [cast("Toleration", _as_given(toleration)) for toleration in asked.tolerations]
    if asked.topology_spread_constraints:
        # Without a selector of its own a constraint counts no pod at all.
        own = {"labelSelector": {"matchLabels": selector(claim)}}
        spread = [own | _as_given(constraint) for constraint in asked.topology_spread_constraints]
        pod["topologySpreadConstraints"] = cast("list[TopologySpreadConstraint]", spread)
    if asked.priority_class_name:
        pod["priorityClassName"] = asked.priority_class_name
    return pod


def _as_given(model: Model) -> dict[str, Any]:
    """What a tenant wrote, in Kubernetes' own spelling, which these models share.

    Defaults, which Kubernetes has too, are left out: the API server fills them in, a preview of a file has none.
    """
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)


@fixed
def _migrations(image: str, profile: SizeProfile, secret: str, schema: str) -> Container:
    """Brings the schema up to date, with what it takes to reach PostgreSQL and nothing else."""
    return {
        "name": "run-migrations",
        "image": image,
        "command": ["scripts/ci/run-migrations.sh"],
        "env": _postgres(secret, schema),
        "resources": _migration_resources(profile.cpu.limit, profile.memory.limit),
        "securityContext": _locked_down(),
        "volumeMounts": [_tmp()],
    }


def _executor(claim: Claim) -> Container:
    return {
        "name": CONTAINER,
        "image": claim.image,
        "ports": [_http()],
        "env": _environment(claim),
        "resources": _resources(claim.profile.cpu, claim.profile.memory),
        "livenessProbe": _liveness(),
        "readinessProbe": _readiness(),
        "securityContext": _locked_down(),
        "volumeMounts": [_tmp()],
    }


def _environment(claim: Claim) -> list[EnvVar]:
    """What the executor is configured by; the claim's own variables last, and never one of these names."""
    own: list[EnvVar] = [
        _plain("HTTP_PORT", str(HTTP_PORT)),
        _plain("NATS_URL", claim.nats_url),
        _plain("NATS_STREAM", claim.stream),
        _plain("NATS_CONSUMER", claim.consumer),
        _plain("NATS_SUBJECT_PREFIX", claim.subject_prefix),
        _plain("NATS_STATUS_STREAM", claim.status_stream),
        _plain("NATS_DEAD_LETTER_STREAM", claim.dead_letter_stream),
        _plain("MAX_CONCURRENT_JOBS", str(claim.concurrency)),
        _plain("DRAIN_SECONDS", str(DRAIN_SECONDS)),
    ]
    asked: list[EnvVar] = [{"name": variable.name, "value": variable.value} for variable in claim.env]
    return [
        *own,
        *_postgres(claim.postgres_secret, claim.postgres_schema),
        *_from_secret(claim.dragonfly_secret, external_secrets.DRAGONFLY),
        # A team that uses one provider has one key. Where the Secret is made here it always has both, and must be
        # waited for: a pod that started without it would not see the keys until the next rollout.
        *_from_secret(claim.llm_keys_secret, external_secrets.LLM_KEYS, optional=not external_secrets.wanted(claim)),
        *asked,
    ]


def _postgres(secret: str, schema: str) -> list[EnvVar]:
    return [*_from_secret(secret, external_secrets.POSTGRES), _plain("POSTGRES_SCHEMA", schema)]


def _from_secret(secret: str, keys: Iterable[str], *, optional: bool = False) -> list[EnvVar]:
    """Exactly these keys of a Secret: one more in it cannot slip into the pod, a missing one is named by Kubernetes."""
    return [_from_key(secret, key, optional) for key in keys]


@fixed
def _from_key(secret: str, key: str, optional: bool) -> EnvVar:  # noqa: FBT001 - fixed parts take no names
    if optional:
        return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


@fixed
def _plain(name: str, value: str) -> EnvVar:
    return {"name": name, "value": value}


@fixed
def _strategy() -> DeploymentStrategy:
    """A new executor is ready before an old one goes, also where only one runs."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}


@fixed
def _pod_locked_down() -> PodSecurityContext:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@fixed
def _locked_down() -> SecurityContext:
    """Pod Security *restricted*, and a read-only root."""
    return {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@fixed
def _migration_resources(cpu: str, memory: str) -> ResourceRequirements:
    """Little is asked for; it may use what the executor may, which waits for it, and so the pod no more than that."""
    return {"requests": {**MIGRATIONS}, "limits": {"cpu": cpu, "memory": memory}}


@fixed
def _resources(cpu: Range, memory: Range) -> ResourceRequirements:
    return {
        "requests": {"cpu": cpu.request, "memory": memory.request},
        "limits": {"cpu": cpu.limit, "memory": memory.limit},
    }


@fixed
def _http() -> ContainerPort:
    return {"name": "http", "containerPort": HTTP_PORT}


@fixed
def _liveness() -> Probe:
    """After a minute, in place of a startup probe, behind which readiness would come up to a second later."""
    return {"httpGet": {"path": "/health", "port": "http"}, "initialDelaySeconds": 60, "timeoutSeconds": 5}


@fixed
def _readiness() -> Probe:
    """Every second, as a pod that scales out is waited for; one server's restart takes no pod out of the Service."""
    return {
        "httpGet": {"path": "/ready", "port": "http"},
        "periodSeconds": 1,
        "timeoutSeconds": 3,
        "failureThreshold": 15,
    }


@fixed
def _scratch() -> Volume:
    """The one place that can be written, because the root file system cannot."""
    return {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}


@fixed
def _tmp() -> VolumeMount:
    return {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a volume of the pod's own
