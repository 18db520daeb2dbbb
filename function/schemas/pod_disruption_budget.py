"""Generated from the schemas of Kubernetes 1.37.0 in kubernetes-validate 1.37.0 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from function.schemas.core import LabelSelector, ObjectMeta


class PodDisruptionBudget(TypedDict, total=False):
    apiVersion: Required[Literal["policy/v1"]]
    kind: Required[Literal["PodDisruptionBudget"]]
    metadata: Required[ObjectMeta]
    spec: Required[PodDisruptionBudgetSpec]


class PodDisruptionBudgetSpec(TypedDict, total=False):
    maxUnavailable: int | str
    minAvailable: int | str
    selector: LabelSelector
    unhealthyPodEvictionPolicy: str
