"""A claim, whichever way it arrives, as one resolved and checked value.

Invariant: a Claim only exists when everything about it is right: its identity, every field, the platform's bounds and
the rules between fields. What the tenant left out is resolved here, once, from the size profile and the platform.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from function import addresses, bounds, identity, rules, sizes
from function import platform as platforms
from function.invalid import Invalid, from_pydantic, show
from function.platform import Platform
from function.pods import PodTemplate
from function.sizes import SizeProfile
from function.spec import Egress, EnvVar, ScheduleEntry, Spec, StoreRef

UNBOUNDED = {"concurrency": 1000, "max_replicas": 1000}


@dataclass(frozen=True, slots=True)
class Claim:
    """An AgentExecutor named `name` in `namespace`, with every value resolved."""

    name: str
    namespace: str
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
        return given or self.nats_servers[0].monitoring(self.namespace)

    @property
    def postgres_schema(self) -> str:
        """The schema of this claim's tables."""
        return self.spec.postgres_schema

    @property
    def concurrency(self) -> int:
        """Jobs that one pod runs at a time."""
        return self.spec.concurrency or bounds.concurrency(self.profile, self.platform).default

    @property
    def lag_threshold(self) -> int:
        """Waiting and running jobs for each pod: the concurrency unless set, so that a full pod does not look idle."""
        return self.spec.scaling.lag_threshold or self.concurrency

    @property
    def min_replicas(self) -> int:
        """The least number of pods."""
        return self.spec.scaling.min_replicas

    @property
    def max_replicas(self) -> int:
        """The most pods."""
        return self.spec.scaling.max_replicas or bounds.replicas(self.profile, self.platform).default

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
    given: object,
    platform: Platform = platforms.DEFAULT,
    profiles: Mapping[str, SizeProfile] = sizes.STANDARD,
) -> Claim:
    """Read a claim out of a composite resource of either model, or out of a claim's own manifest.

    Raises:
        Invalid: with every fault, as `spec.<field>: what, and what would be right`. Nothing else, whatever is given.
    """
    if not isinstance(given, Mapping):
        raise Invalid([f"claim: {show(given)} is not an object"])
    faults: list[str] = []
    metadata, raw = _object(given, "metadata", faults), _object(given, "spec", faults)
    name, namespace = identity.read(given, metadata, raw, faults)
    asked = {key: value for key, value in raw.items() if key not in identity.MACHINERY}
    try:
        spec = Spec.model_validate(asked)
    except ValidationError as e:
        faults += from_pydantic(e, Spec, "spec")
        spec = _sound(asked, e)
    offered = platform.sizes(profiles)
    profile = offered.get(spec.size)
    if profile is None:
        faults.append(f"spec.size: {show(spec.size)} is not one of {', '.join(sorted(offered))}")
        profile = offered[sizes.DEFAULT_SIZE].model_copy(update=UNBOUNDED)  # whose bounds nobody asked for
    claim = Claim(name, namespace, spec, profile, platform)
    faults += bounds.faults(spec, namespace, profile, platform)
    faults += rules.faults(spec, claim.max_replicas)
    if faults:
        raise Invalid(faults)
    return claim


def _object(given: Mapping[str, Any], key: str, faults: list[str]) -> Mapping[str, Any]:
    value = given.get(key)
    if isinstance(value, Mapping):
        return value
    faults.append(f"{key}: is missing, and is required" if value is None else f"{key}: {show(value)} is not an object")
    return {}


def _sound(asked: Mapping[Any, Any], error: ValidationError) -> Spec:
    """What of a spec is right, so that the faults between fields are found in the same go as those of fields."""
    bad = {detail["loc"][:2] for detail in error.errors(include_url=False)}
    whole_fields = {loc[0] for loc in bad if loc and (len(loc) == 1 or isinstance(loc[1], int))}
    sound = {
        key: {k: v for k, v in value.items() if (key, k) not in bad} if isinstance(value, dict) else value
        for key, value in asked.items()
        if key not in whole_fields
    }
    try:
        return Spec.model_validate({"image": "unknown", **sound})
    except (ValidationError, TypeError):  # a key that is no text at all has no place to leave out
        return Spec(image="unknown")
