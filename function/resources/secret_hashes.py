"""The annotations of the pods that say which data of their Secrets they have: other data, other pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from function import reserved
from function.resources.external_secrets import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping


def annotation(key: str) -> str:
    """What the annotation with the hash of a Secret is called."""
    return f"{reserved.OWN_ANNOTATIONS}{key}-hash"


def annotated(deployment: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """The same Deployment with the hashes, given by key, in its pod template."""
    spec, template = deployment["spec"], deployment["spec"]["template"]
    metadata = template["metadata"]
    own = {annotation(key): hashes[key] for key in KEYS if key in hashes}
    described = {**metadata, "annotations": {**metadata.get("annotations", {}), **own}}
    return {**deployment, "spec": {**spec, "template": {**template, "metadata": described}}}
