"""The Service: where the executors' HTTP interface is reached inside the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.names import metadata, selector
from function.resources.deployment import HTTP_PORT

if TYPE_CHECKING:
    from function.claim import Claim
    from function.platform import Platform
    from function.schemas.service import Service


def render(claim: Claim, _: Platform) -> Service:
    """One address for all executors of a claim."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(claim),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(claim),
            "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http"}],
        },
    }


def endpoint(claim: Claim) -> str:
    """The Service's URL, as other namespaces reach it."""
    return f"http://{claim.name}.{claim.namespace}.svc.cluster.local:{HTTP_PORT}"
