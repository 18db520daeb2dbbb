"""Which data of their Secrets the pods have: a short hash of each in the pod template, so that a change rolls out.

Invariants: of a Secret nothing but External Secrets' own hash is read, never its data; what cannot be read just now
stays what it was, so that only a change replaces pods; nothing of this happens unless the platform asks for it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from function.model import Fixed
from function.observed import text
from function.readiness import HELD, NOT_OBSERVED, Readiness
from function.resources.external_secrets import KEYS
from function.resources.secret_hashes import annotation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from function.claim import Claim

DATA_HASH = "reconcile.external-secrets.io/data-hash"  # on every Secret that External Secrets writes
TEMPLATE = ("spec", "template", "metadata", "annotations")
# What nobody has a use for without the Secrets: the executors, and KEDA's scaler, which reports a missing target.
WORKLOAD = ("deployment", "scaled-object")
_DIGEST = re.compile("[0-9a-f]{32,128}")
_OURS = re.compile("[0-9a-f]{8}")


def digest(secret: Any) -> str:
    """Eight digits for the data of a Secret, a dict or a Struct; none where External Secrets has not said its hash.

    More people may read pods than Secrets, and the data's hash would tell them when they have guessed a password. Of 32
    bits millions of guesses are as right as the true one, and still only one change in four billion goes unnoticed.
    """
    said = text(secret, "metadata", "annotations", DATA_HASH)
    return hashlib.sha256(said.encode()).hexdigest()[:8] if _DIGEST.fullmatch(said) else ""


def hashes(synced: Mapping[str, str], deployment: Any) -> Mapping[str, str]:
    """The hash of each Secret by key: what it is now, else what the observed Deployment has, else none."""
    before = {} if deployment is None else {key: text(deployment, *TEMPLATE, annotation(key)) for key in KEYS}
    return Fixed({**{key: said for key, said in before.items() if _OURS.fullmatch(said)}, **synced})


def known(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, str]:
    """The digests of Secrets, given by key, without those that have none."""
    return Fixed({key: said for key, secret in pairs if (said := digest(secret))})


def hold(claim: Claim, hashed: Mapping[str, str], readiness: Mapping[str, Readiness]) -> Mapping[str, Readiness]:
    """The same readiness, but HELD for what is not to be made before the Secrets are there.

    Pods would wait for the Secrets anyway. Made before, the Deployment would get the hashes afterwards, and a rollout
    with them. Once it is there it stays, and it is not held for a hash that never comes with Secrets that are synced.
    """
    asked = claim.platform.external_secrets.rollout_on_change and claim.creates_secrets
    if not asked or readiness["deployment"] is not NOT_OBSERVED:
        return readiness
    if len(hashed) == len(KEYS) or all(readiness[key].ready for key in KEYS):
        return readiness
    return {**readiness, **{key: HELD for key in WORKLOAD if readiness[key] is NOT_OBSERVED}}
