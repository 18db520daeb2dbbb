"""A claim, whichever way it arrives, as one resolved and checked value.

Invariant: a Claim only exists when everything about it is right: its identity, every field, the platform's bounds and the
rules between fields. What the tenant left out is resolved here, once, from the size profile and the platform.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from function import addresses, bounds, rules, sizes
from function import platform as platforms
from function.formats import CLAIM_NAME, LABEL_FORMAT, Format
from function.invalid import Invalid, from_pydantic, show
from function.platform import Platform
from function.sizes import SizeProfile
from function.spec import Egress, EnvVar, PodTemplate, ScheduleEntry, Spec, StoreRef

GROUP = "platform.bizmatters.io"
API_VERSION = f"{GROUP}/v1alpha1"
CLAIM_KIND, COMPOSITE_KIND = "AgentExecutor", "XAgentExecutor"

# What Crossplane keeps in the spec of a claim, of a legacy composite and of a namespaced one.
MACHINERY = frozenset({
    "claimRef", "compositeDeletePolicy", "compositionRef", "compositionRevisionRef", "compositionRevisionSelector",
    "compositionSelector", "compositionUpdatePolicy", "crossplane", "environmentConfigRefs", "publishConnectionDetailsTo",
    "resourceRef", "resourceRefs", "writeConnectionSecretToRef",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """An AgentExecutor named `name` in `namespace`, with every value resolved."""

    name: str
    namespace: str
    generation: int
    """The composite's metadata.generation, 0 for a claim that no API server has seen."""
    spec: Spec
    profile: SizeProfile
    platform: Platform

    @property
    def image(self) -> str:
        """The image of both containers."""
        return self.spec.image

    @property
    def size(self) -> str:
        """The size profile's name."""
        return self.spec.size

    @property
    def nats_url(self) -> str:
        """What NATS_URL is: one URL or several with commas."""
        return self.spec.nats_url

    @property
    def nats_servers(self) -> tuple[addresses.Server, ...]:
        """The servers of `nats_url`: scheme, host, port, and which Service of the cluster each is."""
        return addresses.nats_servers(self.spec.nats_url)

    @property
    def nats_namespaces(self) -> tuple[str, ...]:
        """The namespaces of this cluster that `nats_url` points into, sorted; none when every server is outside."""
        services = (server.service for server in self.nats_servers)
        return tuple(sorted({service[1] or self.namespace for service in services if service}))

    @property
    def stream(self) -> str:
        """The stream that jobs arrive on."""
        return self.spec.nats.stream

    @property
    def consumer(self) -> str:
        """The durable consumer of this claim's pods."""
        return self.spec.nats.consumer

    @property
    def subject_prefix(self) -> str:
        """The first tokens of every subject."""
        return self.spec.nats.subject_prefix

    @property
    def status_stream(self) -> str:
        """The stream of results."""
        return self.spec.nats.status_stream

    @property
    def dead_letter_stream(self) -> str:
        """The stream of jobs that can never run."""
        return self.spec.nats.dead_letter_stream

    @property
    def account(self) -> str:
        """The NATS account that KEDA asks about."""
        return self.spec.nats.account

    @property
    def monitoring_endpoint(self) -> str:
        """The host:port that KEDA asks: the claim's, else the platform's, else derived from the first NATS server."""
        given = self.spec.nats.monitoring_endpoint or self.platform.nats.monitoring_endpoint
        if given:
            return given
        server = self.nats_servers[0]
        if server.service:
            # The chart's `nats` Service does not open the monitoring port, `nats-headless` does.
            return f"nats-headless.{server.service[1] or self.namespace}.svc.cluster.local:{addresses.MONITORING_PORT}"
        return f"{server.host}:{addresses.MONITORING_PORT}"

    @property
    def postgres_schema(self) -> str:
        """The schema of this claim's tables."""
        return self.spec.postgres_schema

    @property
    def concurrency(self) -> int:
        """Jobs that one pod runs at a time."""
        return self.spec.concurrency or min(self.profile.concurrency, bounds.concurrency(self.profile, self.platform))

    @property
    def lag_threshold(self) -> int:
        """Waiting and running jobs for each pod: a pod that is full must not look idle, so the concurrency unless set."""
        return self.spec.scaling.lag_threshold or self.concurrency

    @property
    def min_replicas(self) -> int:
        """The least number of pods."""
        return self.spec.scaling.min_replicas

    @property
    def max_replicas(self) -> int:
        """The most pods."""
        return self.spec.scaling.max_replicas or min(
            self.profile.max_replicas, bounds.replicas(self.profile, self.platform)
        )

    @property
    def schedule(self) -> tuple[ScheduleEntry, ...]:
        """Floors for certain hours."""
        return self.spec.scaling.schedule

    @property
    def paused(self) -> bool:
        """Whether there are to be no pods."""
        return self.spec.paused

    @property
    def creates_secrets(self) -> bool:
        """Whether the three ExternalSecrets are ours to make."""
        return self.spec.external_secrets.create

    @property
    def store(self) -> StoreRef:
        """The store that the ExternalSecrets read."""
        return self.spec.external_secrets.store or self.platform.external_secrets.store

    @property
    def parameter_prefix(self) -> str:
        """The path that the parameters are under, without a slash at the end."""
        return self.spec.external_secrets.parameter_prefix or self.platform.external_secrets.parameter_prefix

    @property
    def refresh_interval(self) -> str:
        """How often the store is read, as a Go duration."""
        return self.spec.external_secrets.refresh_interval

    @property
    def postgres_secret(self) -> str:
        """The Secret with POSTGRES_*."""
        return self.spec.postgres_connection_secret

    @property
    def dragonfly_secret(self) -> str:
        """The Secret with DRAGONFLY_*."""
        return self.spec.dragonfly_connection_secret

    @property
    def llm_keys_secret(self) -> str:
        """The Secret with the model providers' keys."""
        return self.spec.llm_keys_secret

    @property
    def image_pull_secrets(self) -> tuple[str, ...]:
        """Names of Secrets with registry credentials."""
        return self.spec.image_pull_secrets

    @property
    def env(self) -> tuple[EnvVar, ...]:
        """Further environment variables, in the tenant's order."""
        return self.spec.env

    @property
    def llm_egress(self) -> tuple[Egress, ...]:
        """Networks outside the cluster that pods may reach."""
        given = self.spec.network.llm_egress
        return self.platform.llm_egress.granted if given is None else given

    @property
    def ingress_from(self) -> tuple[str, ...]:
        """Namespaces that may call port 8080."""
        given = self.spec.network.ingress_from
        return tuple(dict.fromkeys((self.namespace, self.platform.monitoring.namespace))) if given is None else given

    @property
    def pod_template(self) -> PodTemplate:
        """What the tenant adds to the pods."""
        return self.spec.pod_template


def parse(
    given: Mapping[str, Any],
    platform: Platform = platforms.DEFAULT,
    profiles: Mapping[str, SizeProfile] = sizes.STANDARD,
) -> Claim:
    """Read a claim out of a composite resource of either model, or out of a claim's own manifest.

    Raises:
        Invalid: with every fault, as `spec.<field>: what, and what would be right`. Nothing else, whatever is given.
    """
    faults: list[str] = []
    metadata, raw = _object(given, "metadata", faults), _object(given, "spec", faults)
    name, namespace = _identity(given, metadata, raw, faults)
    asked = {key: value for key, value in raw.items() if key not in MACHINERY}
    try:
        spec = Spec.model_validate(asked)
    except ValidationError as e:
        faults += from_pydantic(e, Spec, "spec")
        spec = _sound(asked, e)
    offered = platform.sizes(profiles)
    profile = offered.get(spec.size)
    if profile is None:
        faults.append(f"spec.size: {show(spec.size)} is not one of {', '.join(sorted(offered))}")
        profile = offered[sizes.DEFAULT_SIZE]
    generation = metadata.get("generation")
    claim = Claim(
        name, namespace, int(generation) if isinstance(generation, float | int) else 0, spec, profile, platform
    )
    faults += bounds.faults(spec, profile, platform)
    faults += rules.faults(spec, claim.max_replicas)
    if faults:
        raise Invalid(faults)
    return claim


def _sound(asked: dict[str, Any], error: ValidationError) -> Spec:
    """What of a spec is right, so that its other faults are found as well."""
    bad = {detail["loc"][:2] for detail in error.errors(include_url=False)}
    sound: dict[str, Any] = {}
    for key, value in asked.items():
        if isinstance(value, dict):
            value = {inner: rest for inner, rest in value.items() if (key, inner) not in bad}
        if (key,) not in bad and not any(len(loc) == 2 and loc[0] == key and isinstance(loc[1], int) for loc in bad):
            sound[key] = value
    try:
        return Spec.model_validate({"image": "unknown"} | sound)
    except ValidationError:
        return Spec(image="unknown")


def _object(given: Mapping[str, Any], key: str, faults: list[str]) -> Mapping[str, Any]:
    value = given.get(key)
    if isinstance(value, Mapping):
        return value
    faults.append(f"{key}: is missing, and is required" if value is None else f"{key}: {show(value)} is not an object")
    return {}


def _identity(
    given: Mapping[str, Any], metadata: Mapping[str, Any], spec: Mapping[str, Any], faults: list[str]
) -> tuple[str, str]:
    """The name and namespace of what is composed: the claim's, which a cluster-scoped composite refers to."""
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
            return "", ""
        metadata = reference
    elif kind != CLAIM_KIND:
        faults.append(f"kind: {show(kind)} is not {CLAIM_KIND}, {COMPOSITE_KIND}")
    return _name(metadata, where, "name", CLAIM_NAME, faults), _name(metadata, where, "namespace", LABEL_FORMAT, faults)


def _name(metadata: Mapping[str, Any], where: str, key: str, grammar: Format, faults: list[str]) -> str:
    value = metadata.get(key)
    if not isinstance(value, str):
        faults.append(
            f"{where}.{key}: {'is missing, and is required' if value is None else f'{show(value)} is not a string'}"
        )
        return ""
    try:
        return grammar.check(value)
    except ValueError as e:
        faults.append(f"{where}.{key}: {e}")
        return ""
