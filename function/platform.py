"""What the platform team decides: the function's Input, and with it the bounds of every claim.

Invariant: the defaults are the seed's values and open no more, but that images may come from any registry. A claim is
written by a tenant, so whatever it may open (another team's parameters, the cluster's inside, a privileged node) is
closed until the Input opens it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from function import sizes
from function.addresses import inside
from function.formats import (
    Label,
    LabelKey,
    LabelValue,
    ParameterPath,
    Registry,
    SubdomainName,
)
from function.invalid import Invalid, from_pydantic, path, show
from function.model import EMPTY, Items, Map, Model, Whole
from function.peers import Databases, Dns, Monitoring, NatsServers, Peer
from function.sizes import SizeProfile
from function.spec import Egress, StoreRef

API_VERSION = "agentexecutor.fn.bizmatters.io/v1beta1"
KIND = "AgentExecutorPlatform"
KEYS = ("apiVersion", "kind", "metadata", "spec")


# Without what is not the internet: RFC 1918, carrier-grade NAT, loopback, link-local (where clouds keep their metadata
# service), multicast and reserved; for IPv6 the block of loopback and of IPv4 addresses within IPv6 (mapped, NAT64: a
# cluster without IPv4 opens what it needs of 64:ff9b::/96), 6to4, unique local, link-local and multicast.
INTERNET = (
    Egress(cidr="0.0.0.0/0", ports=(443,), except_=(
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/4", "240.0.0.0/4")),
    Egress(cidr="::/0", ports=(443,), except_=("::/8", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8")),
)  # fmt: skip


class Secrets(Model):
    """Where claims read their parameters from."""

    store: StoreRef = StoreRef(name="aws-parameter-store")
    """The store of a claim that names none."""
    allowed_stores: Annotated[Items[StoreRef], Field(max_length=64)] = ()
    """Further stores that a claim may name."""
    parameter_prefix: ParameterPath = "/zerotouch/prod/agent-executor"
    """The prefix of a claim that names none."""
    allowed_parameter_prefixes: Annotated[Items[ParameterPath], Field(max_length=256)] = ()
    """Further prefixes that a claim may name; what is below an allowed prefix is allowed."""
    rollout_on_change: bool = False
    """Replace the pods when the data of one of their Secrets has changed."""

    @property
    def stores(self) -> tuple[StoreRef, ...]:
        """Every store that a claim may name."""
        return (self.store, *self.allowed_stores)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Every prefix that a claim may name."""
        return (self.parameter_prefix, *self.allowed_parameter_prefixes)


class LlmEgress(Model):
    """Which networks outside the cluster claims may open."""

    allowed: Annotated[Items[Egress], Field(max_length=32)] = INTERNET
    """What a claim may open at most."""
    default: Annotated[Items[Egress], Field(max_length=32)] | None = None
    """What a claim that names nothing opens; all that is allowed when not given."""

    @property
    def granted(self) -> tuple[Egress, ...]:
        """What a claim that names nothing opens."""
        return self.allowed if self.default is None else self.default


class AllowedToleration(Model):
    """A taint that claims may tolerate."""

    key: LabelKey
    """The taint's key."""
    value: LabelValue | None = None
    """Its value; any when not given."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Its effect; any when not given."""


class Scheduling(Model):
    """Where claims may run."""

    allowed_priority_classes: Annotated[Items[SubdomainName], Field(max_length=64)] = ()
    """Priority classes that a claim may name."""
    allowed_tolerations: Annotated[Items[AllowedToleration], Field(max_length=64)] = ()
    """Taints that a claim may tolerate."""
    allowed_node_selector_keys: Annotated[Items[LabelKey], Field(max_length=64)] = ()
    """Node labels that a claim may select by."""


class PodMetadata(Model):
    """What claims may say of their pods to others.

    Keys without a domain are private to whoever wrote them, and no controller acts on them; those with one may give a
    pod a cloud role, a sidecar or another network.
    """

    allowed_domains: Annotated[Items[SubdomainName], Field(max_length=64)] = ("example.com", "prometheus.io")
    """Domains of the annotations and labels that a claim may set, each with those below it; keys without a domain are
    always allowed."""


class Workload(Model):
    """What is said of the executors' pods."""

    explain_pods: bool = False
    """Say on the claim why the pods of a rollout do not come up. Crossplane has to be permitted to read pods."""
    tool_network: bool = False
    """Let claims set TOOL_NETWORK: scripts that come with jobs then reach what the NetworkPolicy leaves open to the
    executor, databases and NATS included."""


class Limits(Model):
    """How much one claim may take, whatever its size."""

    max_replicas: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """The most pods; the size profile's when not given."""
    concurrency: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """The most jobs of one pod at a time; the size profile's when not given."""


class Platform(Model):
    """The platform's decisions."""

    profiles: Annotated[Map[Label, SizeProfile], Field(max_length=64)] = EMPTY
    """Size profiles, by name, beside the standard ones or instead of one of them."""
    allowed_image_registries: Annotated[Items[Registry], Field(max_length=64)] = ()
    """Registries, or paths of them, that images may come from (ghcr.io, ghcr.io/org); any when empty."""
    external_secrets: Secrets = Secrets()
    """Where claims read their parameters from."""
    nats: NatsServers = NatsServers()
    """The NATS servers that claims connect to."""
    databases: Databases = Databases()
    """The databases that claims connect to."""
    dns: Dns = Dns()
    """The cluster's DNS."""
    monitoring: Monitoring = Monitoring()
    """Who reads the metrics."""
    llm_egress: LlmEgress = LlmEgress()
    """Which networks outside the cluster claims may open."""
    cluster_egress: Annotated[Items[Peer], Field(max_length=32)] = ()
    """Pods of the cluster that every executor may connect to beside those above: a collector of traces, a model, a tool
    server."""
    scheduling: Scheduling = Scheduling()
    """Where claims may run."""
    pod_metadata: PodMetadata = PodMetadata()
    """What claims may say of their pods to others."""
    workload: Workload = Workload()
    """What is said of the executors' pods."""
    limits: Limits = Limits()
    """How much one claim may take."""

    def sizes(self, profiles: Mapping[str, SizeProfile]) -> Mapping[str, SizeProfile]:
        """The profiles of a claim: those of the build, with the Input's beside or instead of them."""
        return {**profiles, **self.profiles} if self.profiles else profiles


DEFAULT = Platform()


def parse(given: object) -> Platform:
    """Read the function's Input; none, or an empty one, is the DEFAULT.

    Raises:
        Invalid: with every fault, as `input.spec.<field>: what, and what would be right`.
    """
    if given is None or given == {}:
        return DEFAULT
    if not isinstance(given, Mapping):
        raise Invalid([f"input: {show(given)} is not an object"])
    faults = [
        f"input.{key}: {show(given.get(key))} is not {wanted!r}"
        for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND))
        if given.get(key) != wanted
    ]
    faults += [
        f"{path('input', key)}: unknown field, the fields are {', '.join(KEYS)}" for key in given if key not in KEYS
    ]
    spec = given.get("spec")
    try:
        platform = Platform.model_validate({} if spec is None else spec)
        faults += _contradictions(platform)
        sizes.check(platform.sizes(sizes.STANDARD))
    except ValidationError as e:
        faults += from_pydantic(e, Platform, "input", "spec")
    except Invalid as e:
        faults += [f"input.spec.{fault}" for fault in e.faults]
    if faults:
        raise Invalid(faults)
    return platform


def _contradictions(platform: Platform) -> Iterator[str]:
    """What the platform opens to all by a word left out, or for a claim that says nothing and to none that says it."""
    if not platform.nats.namespaces and not platform.nats.pod_labels:
        yield (
            "input.spec.nats.podLabels: is empty, and so is namespaces: claims could connect to every pod of the "
            "cluster; name the labels or the namespaces of the NATS pods"
        )
    for n, rule in enumerate(platform.llm_egress.default or ()):
        if not any(inside(rule.cidr, bound.cidr) for bound in platform.llm_egress.allowed):
            yield f"input.spec.llmEgress.default[{n}].cidr: {show(rule.cidr)} is not inside what is allowed"
    for kind, rules in (("default", platform.llm_egress.default or ()), ("allowed", platform.llm_egress.allowed)):
        for n, rule in enumerate(rules):
            for m, closed in enumerate(rule.except_):
                if not inside(closed, rule.cidr) or closed == rule.cidr:
                    where = f"input.spec.llmEgress.{kind}[{n}].except[{m}]"
                    yield f"{where}: {show(closed)} is not a part of {rule.cidr}"
