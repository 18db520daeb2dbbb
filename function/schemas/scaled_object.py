"""Generated from github.com/kedacore/keda/v2 v2.20.2 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict

from function.schemas.core import ObjectMeta


class Advanced(TypedDict, total=False):
    horizontalPodAutoscalerConfig: HorizontalPodAutoscalerConfig
    restoreToOriginalReplicaCount: bool
    scalingModifiers: ScalingModifiers


class AuthenticationRef(TypedDict, total=False):
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"]
    name: Required[str]


class Behavior(TypedDict, total=False):
    scaleDown: ScaleDown
    scaleUp: ScaleUp


class Fallback(TypedDict, total=False):
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"]
    failureThreshold: Required[int]
    replicas: Required[int]


class HorizontalPodAutoscalerConfig(TypedDict, total=False):
    behavior: Behavior
    name: str


class Policy(TypedDict, total=False):
    periodSeconds: Required[int]
    type: Required[str]
    value: Required[int]


class ScaleDown(TypedDict, total=False):
    policies: list[Policy]
    selectPolicy: str
    stabilizationWindowSeconds: int
    tolerance: int | str


class ScaleTargetRef(TypedDict, total=False):
    apiVersion: str
    envSourceContainerName: str
    kind: str
    name: Required[str]


class ScaleUp(TypedDict, total=False):
    policies: list[Policy]
    selectPolicy: str
    stabilizationWindowSeconds: int
    tolerance: int | str


class ScaledObject(TypedDict, total=False):
    apiVersion: Required[Literal["keda.sh/v1alpha1"]]
    kind: Required[Literal["ScaledObject"]]
    metadata: Required[ObjectMeta]
    spec: Required[ScaledObjectSpec]


class ScaledObjectSpec(TypedDict, total=False):
    advanced: Advanced
    cooldownPeriod: int
    fallback: Fallback
    idleReplicaCount: int
    initialCooldownPeriod: int
    maxReplicaCount: int
    minReplicaCount: int
    pollingInterval: int
    scaleTargetRef: Required[ScaleTargetRef]
    triggers: Required[list[Trigger]]


class ScalingModifiers(TypedDict, total=False):
    activationTarget: str
    formula: str
    metricType: Literal["AverageValue", "Value"]
    target: str


class Trigger(TypedDict, total=False):
    authenticationRef: AuthenticationRef
    metadata: Required[Mapping[str, str]]
    metricType: str
    name: str
    type: Required[str]
    useCachedMetrics: bool
