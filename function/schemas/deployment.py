"""Generated from the schemas of Kubernetes 1.37.0 in kubernetes-validate 1.37.0 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from function.schemas.core import LabelSelector, ObjectMeta, PodTemplateSpec


class Deployment(TypedDict, total=False):
    apiVersion: Required[Literal["apps/v1"]]
    kind: Required[Literal["Deployment"]]
    metadata: Required[ObjectMeta]
    spec: Required[DeploymentSpec]


class DeploymentSpec(TypedDict, total=False):
    minReadySeconds: int
    paused: bool
    progressDeadlineSeconds: int
    replicas: int
    revisionHistoryLimit: int
    selector: Required[LabelSelector]
    strategy: DeploymentStrategy
    template: Required[PodTemplateSpec]


class DeploymentStrategy(TypedDict, total=False):
    rollingUpdate: RollingUpdateDeployment
    type: str


class RollingUpdateDeployment(TypedDict, total=False):
    maxSurge: int | str
    maxUnavailable: int | str
