"""Generated from the schemas of Kubernetes 1.37.0 in kubernetes-validate 1.37.0 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from function.schemas.core import LocalObjectReference, ObjectMeta, ObjectReference


class ServiceAccount(TypedDict, total=False):
    apiVersion: Required[Literal["v1"]]
    kind: Required[Literal["ServiceAccount"]]
    metadata: Required[ObjectMeta]
    automountServiceAccountToken: bool
    imagePullSecrets: list[LocalObjectReference]
    secrets: list[ObjectReference]
