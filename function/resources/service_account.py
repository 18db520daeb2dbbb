"""The ServiceAccount: an identity without any permission, because an executor never calls the Kubernetes API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.names import metadata

if TYPE_CHECKING:
    from function.claim import Claim
    from function.platform import Platform
    from function.schemas.service_account import ServiceAccount


def render(claim: Claim, _: Platform) -> ServiceAccount:
    """Who the pods of a claim are."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(claim),
        "automountServiceAccountToken": False,
    }
