"""What of the pods a tenant may set: the spec's `podTemplate`.

Invariant: nothing here can undo the pod's restricted security, or make it another claim's pod. Which node labels,
taints and priority classes a claim may name is the platform's to bound (`bounds.py`).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from function import reserved
from function.formats import FreeText, LabelKey, LabelValue, PodAnnotationKey, PodLabelKey, SubdomainName
from function.invalid import show
from function.model import EMPTY, Items, Map, Model, Whole, cel, ruled

ANNOTATIONS = cel(
    (reserved.ANNOTATIONS_CEL, "an annotation would undo the pod's restricted security"),
    (reserved.OWN_ANNOTATIONS_CEL, f"{reserved.OWN_ANNOTATIONS}* are set by the platform"),
)
LABELS = cel((reserved.LABELS_CEL, "app and app.kubernetes.io/* are set by the platform"))


class Toleration(Model):
    """A taint that the pods tolerate."""

    model_config = ruled(
        (
            "self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "the operator Exists has no value",
        ),
        (
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs the effect NoExecute",
        ),
    )

    key: LabelKey
    """The taint's key."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal compares the value, Exists takes any."""
    value: LabelValue | None = None
    """The taint's value, with the operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The effect to tolerate; every effect when not given."""
    toleration_seconds: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    """How long a NoExecute taint is tolerated; for ever when not given."""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> "Toleration":
        if self.operator == "Exists" and self.value:
            msg = "a toleration with the operator Exists has no value"
            raise ValueError(msg)
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            msg = "tolerationSeconds needs the effect NoExecute"
            raise ValueError(msg)
        return self


class LabelRequirement(Model):
    """One expression of a label selector."""

    model_config = ruled(
        (
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values, the others have none",
        ),
    )

    key: LabelKey
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the values are compared."""
    values: Annotated[Items[LabelValue], Field(max_length=32)] = ()
    """For In and NotIn, at least one; for the others none."""

    @model_validator(mode="after")
    def _values_fit(self) -> "LabelRequirement":
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            msg = f"the operator {self.operator} needs {'at least one value' if not self.values else 'no values'}"
            raise ValueError(msg)
        return self


class LabelSelector(Model):
    """Which pods are counted."""

    match_labels: Annotated[Map[LabelKey, LabelValue], Field(max_length=32)] | None = None
    """Labels that a pod must have."""
    match_expressions: Annotated[Items[LabelRequirement], Field(max_length=32)] | None = None
    """Expressions that a pod must meet."""


class TopologySpread(Model):
    """How evenly the pods are spread over zones or nodes."""

    model_config = ruled(
        (
            "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            "minDomains needs DoNotSchedule",
        ),
        (
            "!has(self.matchLabelKeys) || has(self.labelSelector)",
            "matchLabelKeys needs a labelSelector",
        ),
    )

    max_skew: Annotated[Whole, Field(ge=1, le=1000)]
    """By how many pods two domains may differ."""
    topology_key: LabelKey
    """The node label that names a domain."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """Whether a pod waits when it cannot be even."""
    label_selector: LabelSelector | None = None
    """Which pods count. The claim's own when not given."""
    min_domains: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """The least number of domains, with DoNotSchedule."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes that the pod cannot be on are counted."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether tainted nodes are counted."""
    match_label_keys: Annotated[Items[LabelKey], Field(max_length=16)] | None = None
    """Labels whose values split the pods into groups of their own."""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> "TopologySpread":
        if self.min_domains is not None and self.when_unsatisfiable != "DoNotSchedule":
            msg = "minDomains needs whenUnsatisfiable DoNotSchedule"
            raise ValueError(msg)
        if self.match_label_keys and self.label_selector is None:
            msg = "matchLabelKeys needs a labelSelector"
            raise ValueError(msg)
        if both := sorted(set(self.match_label_keys or ()) & self._selected_keys()):
            msg = f"{show(both[0])} is in matchLabelKeys and in the labelSelector, leave it out of one"
            raise ValueError(msg)
        return self

    def _selected_keys(self) -> set[str]:
        selector = self.label_selector or LabelSelector()
        return {*(selector.match_labels or ()), *(rule.key for rule in selector.match_expressions or ())}


class PodTemplate(Model):
    """What of the pods a tenant may set."""

    node_selector: Annotated[Map[LabelKey, LabelValue], Field(max_length=32)] = EMPTY
    """Labels that a node must have; keys that the platform allows."""
    tolerations: Annotated[Items[Toleration], Field(max_length=32)] = ()
    """Taints that are tolerated; those that the platform allows."""
    topology_spread_constraints: Annotated[Items[TopologySpread], Field(max_length=16)] = ()
    """How the pods are spread."""
    priority_class_name: SubdomainName | None = None
    """A priority class that the platform allows."""
    annotations: Annotated[Map[PodAnnotationKey, FreeText], Field(max_length=64, json_schema_extra=ANNOTATIONS)] = EMPTY
    """Further annotations of the pods; of a domain that the platform allows, or without one."""
    labels: Annotated[Map[PodLabelKey, LabelValue], Field(max_length=64, json_schema_extra=LABELS)] = EMPTY
    """Further labels of the pods; of a domain that the platform allows, or without one, and not `app`."""
