"""Generated from the schemas of Kubernetes 1.37.0 in kubernetes-validate 1.37.0 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from function.schemas.core import LabelSelector, ObjectMeta


IPBlock = TypedDict("IPBlock", {
    "cidr": "Required[str]",
    "except": "list[str]",
}, total=False)


class NetworkPolicy(TypedDict, total=False):
    apiVersion: Required[Literal["networking.k8s.io/v1"]]
    kind: Required[Literal["NetworkPolicy"]]
    metadata: Required[ObjectMeta]
    spec: Required[NetworkPolicySpec]


class NetworkPolicyEgressRule(TypedDict, total=False):
    ports: list[NetworkPolicyPort]
    to: list[NetworkPolicyPeer]


NetworkPolicyIngressRule = TypedDict("NetworkPolicyIngressRule", {
    "from": "list[NetworkPolicyPeer]",
    "ports": "list[NetworkPolicyPort]",
}, total=False)


class NetworkPolicyPeer(TypedDict, total=False):
    ipBlock: IPBlock
    namespaceSelector: LabelSelector
    podSelector: LabelSelector


class NetworkPolicyPort(TypedDict, total=False):
    endPort: int
    port: int | str
    protocol: str


class NetworkPolicySpec(TypedDict, total=False):
    egress: list[NetworkPolicyEgressRule]
    ingress: list[NetworkPolicyIngressRule]
    podSelector: LabelSelector
    policyTypes: list[str]
