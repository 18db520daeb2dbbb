"""The XRDs of both Crossplane models and the CRD of the function's Input.

Invariant: everything in them comes from the models; what is written here is only what Crossplane and the API server
want around them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from function import identity, platform, sizes, structural
from function.formats import CLAIM_NAME
from function.model import Items, Model, Whole
from function.platform import Platform
from function.sizes import SizeProfile
from function.spec import LIST_BY_NAME, Spec

Manifest = dict[str, Any]

# Crossplane itself adds READY, SYNCED and AGE: declaring them here would print them twice.
COLUMNS = (
    ("SIZE", "string", ".spec.size"),
    ("IMAGE", "string", ".spec.image"),
    ("REPLICAS", "integer", ".status.replicas.ready"),
)


class Replicas(Model):
    """How many pods there are."""

    desired: Whole
    """Pods that the scaler wants."""
    ready: Whole
    """Pods that are ready."""


class Secret(Model):
    """One of the three Secrets."""

    name: str
    """Its name."""
    ready: bool
    """Whether it is there, with every key."""


class Status(Model):
    """What is observed. Crossplane declares the conditions itself."""

    endpoint: str | None = None
    """URL of the HTTP API inside the cluster."""
    image: str | None = None
    """The image that is deployed."""
    size: str | None = None
    """The size that is deployed."""
    replicas: Replicas | None = None
    """How many pods there are."""
    secrets: Annotated[Items[Secret], Field(json_schema_extra=LIST_BY_NAME)] = ()
    """The Secrets that the function makes."""
    observed_generation: Whole | None = None
    """The generation that this status is about; unset on a claim, as the composite that it is of counts apart."""


def xrd_claim(given: Platform = platform.DEFAULT, profiles: Mapping[str, SizeProfile] | None = None) -> Manifest:
    """The CompositeResourceDefinition of the claim model: cluster-scoped composite, namespaced claim."""
    names = {
        "names": {"kind": identity.COMPOSITE_KIND, "plural": "xagentexecutors"},
        "claimNames": {"kind": identity.CLAIM_KIND, "plural": "agentexecutors"},
    }
    return _xrd("v1", "xagentexecutors", names, given.sizes(profiles or sizes.STANDARD))


def xrd_namespaced(given: Platform = platform.DEFAULT, profiles: Mapping[str, SizeProfile] | None = None) -> Manifest:
    """The CompositeResourceDefinition of the namespaced model."""
    names = {"scope": "Namespaced", "names": {"kind": identity.CLAIM_KIND, "plural": "agentexecutors"}}
    return _xrd("v2", "agentexecutors", names, given.sizes(profiles or sizes.STANDARD))


def _xrd(version: str, plural: str, names: Manifest, profiles: Mapping[str, SizeProfile]) -> Manifest:
    return {
        "apiVersion": f"apiextensions.crossplane.io/{version}",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": f"{plural}.{identity.GROUP}"},
        "spec": {
            "group": identity.GROUP,
            **names,
            # Without it Crossplane takes any Composition of the kind, at random, and writes each composite once more.
            "defaultCompositionRef": {"name": identity.COMPOSITION},
            "versions": [
                {
                    "name": identity.VERSION,
                    "served": True,
                    "referenceable": True,
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": _agent_executor(profiles)},
                }
            ],
        },
    }


def _agent_executor(profiles: Mapping[str, SizeProfile]) -> structural.Schema:
    spec = structural.of(Spec)
    size = spec["properties"]["size"]
    size["enum"] = list(profiles)
    size["description"] = f"Resource size ({', '.join(profiles)})"
    # The claim's composite has a longer name than the claim, and that name is no object's: hence not `maxLength`.
    named = (
        f"self.metadata.name.size() <= {CLAIM_NAME.max_length} && self.metadata.name.matches('{CLAIM_NAME.pattern}')"
    )
    rules = [(named, f"must be {CLAIM_NAME.says}, at most {CLAIM_NAME.max_length}")]
    rules += [
        (f"self.metadata.name != '{name}'", f"{name} is {taken}, choose another name")
        for (name, where), taken in identity.KUBERNETES_OWN.items()
        if where is None  # the namespace is nothing that a rule may read
    ]
    return {
        "type": "object",
        "description": "An agent executor: its pods, its scaling, its secrets and its network.",
        "required": ["spec"],
        "properties": {"spec": spec, "status": structural.of(Status)},
        "x-kubernetes-validations": [
            {"rule": f"self.kind != '{identity.CLAIM_KIND}' || ({rule})", "message": message} for rule, message in rules
        ],
    }


def input_crd() -> Manifest:
    """The CustomResourceDefinition of the function's Input, for the Function package: it is never an object."""
    group, _, version = platform.API_VERSION.partition("/")
    plural = "agentexecutorplatforms"
    schema = {
        "type": "object",
        "description": "What the platform team decides for every AgentExecutor, in the Composition's pipeline step.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural.of(Platform),
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "categories": ["crossplane"],
                "kind": platform.KIND,
                "listKind": f"{platform.KIND}List",
                "plural": plural,
                "singular": plural.removesuffix("s"),
            },
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
