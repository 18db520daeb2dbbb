"""The ScaledObject: KEDA counts the jobs that wait or run, and sets the number of executors.

KEDA's lag is pending plus ack-pending messages, so a running job keeps counting: with `lagThreshold` equal to the
jobs that one pod runs at a time, KEDA asks for exactly as many pods as there are jobs to fill. There is no
`fallback`: while NATS cannot be asked, the current number of replicas stays, and any other number would interrupt
jobs for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.fixed import fixed
from function.names import metadata

if TYPE_CHECKING:
    from function.claim import Claim
    from function.platform import Platform
    from function.schemas.core import ObjectMeta
    from function.schemas.scaled_object import Advanced, ScaledObject, Trigger

PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
SETTLE_SECONDS = 300  # how long the queue has to stay short before an executor goes
STEP_SECONDS = 60  # and then one executor goes in this time: each takes its unfinished jobs to another pod


def render(claim: Claim, _: Platform) -> ScaledObject:
    """How many executors of a claim run."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _metadata(claim),
        "spec": {
            "scaleTargetRef": {"name": claim.name},
            "minReplicaCount": claim.min_replicas,
            "maxReplicaCount": claim.max_replicas,
            "advanced": _slowly_down(),
            "triggers": [
                _jobs(claim.monitoring_endpoint, claim.account, claim.stream, claim.consumer, claim.lag_threshold),
                *_office_hours(claim),
            ],
        },
    }


def _metadata(claim: Claim) -> ObjectMeta:
    shared = metadata(claim)
    return {**shared, "annotations": {PAUSED_REPLICAS: "0"}} if claim.paused else shared


@fixed
def _jobs(endpoint: str, account: str, stream: str, consumer: str, lag_threshold: int) -> Trigger:
    return {
        "type": "nats-jetstream",
        "metadata": {
            "natsServerMonitoringEndpoint": endpoint,
            "account": account,
            "stream": stream,
            "consumer": consumer,
            "lagThreshold": str(lag_threshold),
            "activationLagThreshold": "0",
        },
    }


def _office_hours(claim: Claim) -> list[Trigger]:
    return [
        {
            "type": "cron",
            "metadata": {
                "timezone": entry.timezone,
                "start": entry.start,
                "end": entry.end,
                "desiredReplicas": str(entry.replicas),
            },
        }
        for entry in claim.schedule
    ]


@fixed
def _slowly_down() -> Advanced:
    return {
        "horizontalPodAutoscalerConfig": {
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": SETTLE_SECONDS,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": STEP_SECONDS}],
                },
            },
        },
    }
