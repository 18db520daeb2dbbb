"""Generated from the schemas of Kubernetes 1.37.0 in kubernetes-validate 1.37.0 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict

from function.schemas.core import ObjectMeta, SessionAffinityConfig


class Service(TypedDict, total=False):
    apiVersion: Required[Literal["v1"]]
    kind: Required[Literal["Service"]]
    metadata: Required[ObjectMeta]
    spec: Required[ServiceSpec]


class ServicePort(TypedDict, total=False):
    appProtocol: str
    name: str
    nodePort: int
    port: Required[int]
    protocol: str
    targetPort: int | str


class ServiceSpec(TypedDict, total=False):
    allocateLoadBalancerNodePorts: bool
    clusterIP: str
    clusterIPs: list[str]
    externalIPs: list[str]
    externalName: str
    externalTrafficPolicy: str
    healthCheckNodePort: int
    internalTrafficPolicy: str
    ipFamilies: list[str]
    ipFamilyPolicy: str
    loadBalancerClass: str
    loadBalancerIP: str
    loadBalancerSourceRanges: list[str]
    ports: list[ServicePort]
    publishNotReadyAddresses: bool
    selector: Mapping[str, str]
    sessionAffinity: str
    sessionAffinityConfig: SessionAffinityConfig
    trafficDistribution: str
    type: str
