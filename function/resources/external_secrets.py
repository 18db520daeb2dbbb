"""The ExternalSecrets: three Secrets, made by the External Secrets Operator from parameters below the claim's prefix.

Invariant: a Secret's keys are the names of the environment variables that the Deployment reads from it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from function.fixed import fixed
from function.names import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from function.claim import Claim
    from function.platform import Platform
    from function.schemas.external_secret import ExternalSecret, ExternalSecretSpec
    from function.spec import StoreRef

# Environment variable to parameter; the parameter's full name is the claim's prefix and this.
POSTGRES: Mapping[str, str] = MappingProxyType(
    {
        "POSTGRES_HOST": "/postgres/host",
        "POSTGRES_PORT": "/postgres/port",
        "POSTGRES_DB": "/postgres/db",
        "POSTGRES_USER": "/postgres/user",
        "POSTGRES_PASSWORD": "/postgres/password",
    }
)
DRAGONFLY: Mapping[str, str] = MappingProxyType(
    {
        "DRAGONFLY_HOST": "/dragonfly/host",
        "DRAGONFLY_PORT": "/dragonfly/port",
        "DRAGONFLY_PASSWORD": "/dragonfly/password",
    }
)
LLM_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "OPENAI_API_KEY": "/openai_api_key",
        "ANTHROPIC_API_KEY": "/anthropic_api_key",
    }
)
KEYS = ("postgres-secret", "dragonfly-secret", "llm-keys-secret")


def names(claim: Claim) -> dict[str, str]:
    """The names of the Secrets by the key of the ExternalSecret that makes each."""
    return dict(zip(KEYS, (claim.postgres_secret, claim.dragonfly_secret, claim.llm_keys_secret), strict=True))


def wanted(claim: Claim) -> bool:
    """Whether the Secrets are made here, and not by something else."""
    return claim.creates_secrets


def postgres(claim: Claim, _: Platform) -> ExternalSecret:
    """How to reach PostgreSQL."""
    return _external_secret(claim, claim.postgres_secret, POSTGRES)


def dragonfly(claim: Claim, _: Platform) -> ExternalSecret:
    """How to reach Dragonfly."""
    return _external_secret(claim, claim.dragonfly_secret, DRAGONFLY)


def llm_keys(claim: Claim, _: Platform) -> ExternalSecret:
    """The keys of the model providers."""
    return _external_secret(claim, claim.llm_keys_secret, LLM_KEYS)


def _external_secret(claim: Claim, name: str, parameters: Mapping[str, str]) -> ExternalSecret:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": metadata(claim, name),
        "spec": _spec(name, claim.store, claim.refresh_interval, claim.parameter_prefix, tuple(parameters.items())),
    }


@fixed
def _spec(
    name: str, store: StoreRef, interval: str, prefix: str, parameters: tuple[tuple[str, str], ...]
) -> ExternalSecretSpec:
    return {
        "refreshInterval": interval,
        # Without a kind External Secrets looks for a SecretStore in the claim's namespace.
        "secretStoreRef": {"kind": store.kind, "name": store.name},
        # Owner: deleting the claim deletes the Secret, too.
        "target": {"name": name, "creationPolicy": "Owner"},
        "data": [{"secretKey": key, "remoteRef": {"key": prefix + parameter}} for key, parameter in parameters],
    }
