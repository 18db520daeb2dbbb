"""Whose objects these are: the name and namespace of a claim, whichever way it arrives.

Invariant: both Crossplane models go through here. A cluster-scoped XAgentExecutor stands for the claim in its
`spec.claimRef`; a namespaced AgentExecutor, composite or claim, is itself.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from function.formats import CLAIM_NAME, LABEL_FORMAT, Format
from function.invalid import show

GROUP = "platform.bizmatters.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CLAIM_KIND, COMPOSITE_KIND = "AgentExecutor", "XAgentExecutor"
COMPOSITION = "agent-executor-composition"

# What Crossplane keeps in the spec of a claim, of a legacy composite and of a namespaced one.
MACHINERY = frozenset({
    "claimRef", "compositeDeletePolicy", "compositionRef", "compositionRevisionRef", "compositionRevisionSelector",
    "compositionSelector", "compositionUpdatePolicy", "crossplane", "environmentConfigRefs",
    "publishConnectionDetailsTo", "resourceRef", "resourceRefs", "writeConnectionSecretToRef",
})  # fmt: skip

# What is in every namespace, or in that one: Crossplane takes over what it finds under a composed object's name.
KUBERNETES_OWN = {
    ("default", None): "the ServiceAccount of pods that name none",
    ("kubernetes", "default"): "the Service of the API server",
}


class Identity(NamedTuple):
    """What everything that is composed is named after, and where it goes."""

    name: str
    namespace: str


def read(given: Mapping[str, Any], metadata: Mapping[str, Any], spec: Mapping[str, Any], faults: list[str]) -> Identity:
    """The identity of what is given; whatever is wrong with it is added to `faults`."""
    if given.get("apiVersion") != API_VERSION:
        faults.append(f"apiVersion: {show(given.get('apiVersion'))} is not {API_VERSION!r}")
    kind = given.get("kind")
    where = "metadata"
    if kind == COMPOSITE_KIND:
        where, reference = "spec.claimRef", spec.get("claimRef")
        if not isinstance(reference, Mapping):
            faults.append(
                f"spec.claimRef: is missing, so this {COMPOSITE_KIND} has no namespace to put anything into: "
                f"make a claim of kind {CLAIM_KIND}, not the composite itself"
            )
            return Identity("", "")
        metadata = reference
    elif kind != CLAIM_KIND:
        faults.append(f"kind: {show(kind)} is not {CLAIM_KIND}, {COMPOSITE_KIND}")
    name = _checked(metadata, where, "name", CLAIM_NAME, faults)
    namespace = _checked(metadata, where, "namespace", LABEL_FORMAT, faults)
    taken = KUBERNETES_OWN.get((name, None)) or KUBERNETES_OWN.get((name, namespace))
    if taken is not None:
        faults.append(f"{where}.name: {show(name)} is {taken}, which would become the claim's: choose another name")
    return Identity(name, namespace)


def _checked(metadata: Mapping[str, Any], where: str, key: str, grammar: Format, faults: list[str]) -> str:
    value = metadata.get(key)
    if isinstance(value, str):
        try:
            return grammar.check(value)
        except ValueError as e:
            faults.append(f"{where}.{key}: {e}")
    else:
        said = "is missing, and is required" if value is None else f"{show(value)} is not a string"
        faults.append(f"{where}.{key}: {said}")
    return ""
