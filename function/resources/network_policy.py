"""The NetworkPolicy: everything is denied, both ways, but what an executor needs.

Invariant: no rule without peers and none without ports, because to Kubernetes an empty list is everybody, or
everything. Ports are those of the pods, after a Service's translation. Namespaces are selected by the label that the
API server sets itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.fixed import fixed
from function.names import metadata, selector
from function.resources.deployment import HTTP_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from function.claim import Claim
    from function.peers import Peer
    from function.platform import Platform
    from function.schemas.network_policy import (
        IPBlock,
        NetworkPolicy,
        NetworkPolicyEgressRule,
        NetworkPolicyIngressRule,
        NetworkPolicyPeer,
        NetworkPolicyPort,
    )
    from function.spec import Egress


def render(claim: Claim, platform: Platform) -> NetworkPolicy:
    """Who may connect to a claim's pods, and where they may connect to."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(claim),
        "spec": {
            "podSelector": {"matchLabels": selector(claim)},
            "policyTypes": ["Egress", "Ingress"],
            "ingress": _callers(claim),
            "egress": [
                _dns(platform.dns),
                *_nats(claim, platform),
                _to(platform.databases.postgres),
                _to(platform.databases.dragonfly),
                *map(_to, platform.cluster_egress),
                *map(_outside, claim.llm_egress),
            ],
        },
    }


@fixed
def _dns(peer: Peer) -> NetworkPolicyEgressRule:
    """Without names nothing else can be reached; long answers come over TCP."""
    return {"to": [_peer(peer)], "ports": [_port(peer.port, "UDP"), *_tcp([peer.port])]}


def _callers(claim: Claim) -> list[NetworkPolicyIngressRule]:
    peers = [_pods(namespace) for namespace in claim.ingress_from]
    return [{"from": peers, "ports": _tcp([HTTP_PORT])}] if peers else []


def _nats(claim: Claim, platform: Platform) -> list[NetworkPolicyEgressRule]:
    """The servers of `natsUrl`: pods where the host is a Service, the platform's networks where it is not."""
    labels = tuple(platform.nats.pod_labels.items())
    inside = [_pods(namespace, labels) for namespace in claim.nats_namespaces]
    leaves = any(server.service is None for server in claim.nats_servers)
    outside: list[NetworkPolicyPeer] = [{"ipBlock": {"cidr": cidr}} for cidr in platform.nats.cidrs] if leaves else []
    ports = _tcp(sorted({server.port for server in claim.nats_servers}))
    return [{"to": [*inside, *outside], "ports": ports}] if inside or outside else []


@fixed
def _to(peer: Peer) -> NetworkPolicyEgressRule:
    return {"to": [_peer(peer)], "ports": _tcp([peer.port])}


@fixed
def _outside(network: Egress) -> NetworkPolicyEgressRule:
    block: IPBlock = {"cidr": network.cidr}
    if network.except_:
        block["except"] = list(network.except_)
    return {"to": [{"ipBlock": block}], "ports": _tcp(network.ports)}


def _peer(peer: Peer) -> NetworkPolicyPeer:
    return _pods(peer.namespace, tuple(peer.pod_labels.items()))


@fixed
def _pods(namespace: str, labels: tuple[tuple[str, str], ...] = ()) -> NetworkPolicyPeer:
    """Pods of a namespace: those with these labels (one peer with two selectors means both), or all."""
    peer: NetworkPolicyPeer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    if labels:
        peer["podSelector"] = {"matchLabels": dict(labels)}
    return peer


def _tcp(ports: Iterable[int]) -> list[NetworkPolicyPort]:
    return [_port(port, "TCP") for port in ports]


@fixed
def _port(port: int, protocol: str) -> NetworkPolicyPort:
    return {"port": port, "protocol": protocol}
