"""What a tenant asks for: the spec of an AgentExecutor, field by field.

Invariant: this is the one place where the claim's fields, their defaults and their limits stand. The XRDs and the API
reference are generated from it; the strings below the fields are their descriptions there. A field that is None here is
decided by the size profile or by the platform (`claim.py` resolves it), so the API server must not fill it in.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from function.formats import (
    AnnotationValue,
    Cidr,
    CronTime,
    Duration,
    EnvName,
    EnvValue,
    HostPort,
    ImageReference,
    Label,
    LabelKey,
    LabelValue,
    NatsAccount,
    NatsUrls,
    ParameterPath,
    PostgresSchema,
    StreamName,
    SubdomainName,
    SubjectPrefix,
    TimeZone,
)
from function.invalid import show
from function.model import EMPTY, Items, Map, Model, Port, Whole

Replicas = Annotated[Whole, Field(ge=0, le=1000)]

# Names that the function sets, takes from the Secrets, or that the probes and the Service depend on.
RESERVED_ENV = frozenset({
    "NATS_URL", "NATS_STREAM", "NATS_CONSUMER", "NATS_SUBJECT_PREFIX", "NATS_STATUS_STREAM", "NATS_DEAD_LETTER_STREAM",
    "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_SCHEMA",
    "DRAGONFLY_HOST", "DRAGONFLY_PORT", "DRAGONFLY_PASSWORD", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
    "HTTP_HOST", "HTTP_PORT", "MAX_CONCURRENT_JOBS", "DRAIN_SECONDS",
})  # fmt: skip
# Annotations that would undo the pod's restricted security.
UNSAFE_ANNOTATIONS = ("container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/",
                      "seccomp.security.alpha.kubernetes.io/")  # fmt: skip


class Nats(Model):
    """The tenant's own stream, consumer and subjects, and how KEDA asks for their lag."""

    stream: StreamName = "AGENT_EXECUTION"
    """The JetStream stream that jobs arrive on."""
    consumer: StreamName = "agent-executor-workers"
    """The durable consumer that every pod of this claim shares."""
    subject_prefix: SubjectPrefix = "agent"
    """Subjects are `<prefix>.execute.*`, `<prefix>.status.*` and `<prefix>.dead.*`."""
    status_stream: StreamName = "AGENT_STATUS"
    """The stream that results are published to."""
    dead_letter_stream: StreamName = "AGENT_DEAD_LETTER"
    """The stream that jobs which can never run are copied to."""
    monitoring_endpoint: HostPort | None = None
    """`host:port` of the NATS monitoring port. Derived from `natsUrl` when not given: `nats-headless.<namespace>.svc.cluster.local:8222`."""
    account: NatsAccount = "$G"
    """The NATS account that the stream is in."""

    @model_validator(mode="after")
    def _three_streams(self) -> "Nats":
        if len({self.stream, self.status_stream, self.dead_letter_stream}) < 3:
            msg = "stream, statusStream and deadLetterStream must be three different streams"
            raise ValueError(msg)
        return self


class ScheduleEntry(Model):
    """A daily or weekly window with a floor of its own."""

    timezone: TimeZone
    """IANA time zone of `start` and `end`, such as Europe/Berlin."""
    start: CronTime
    """When the window opens, as five cron fields."""
    end: CronTime
    """When the window closes, as five cron fields."""
    replicas: Annotated[Whole, Field(ge=1, le=1000)]
    """At least this many pods while it is open."""

    @model_validator(mode="after")
    def _a_window(self) -> "ScheduleEntry":
        if self.start.split() == self.end.split():
            msg = f"start and end are both {show(self.start)}, and a window needs two times"
            raise ValueError(msg)
        return self


class Scaling(Model):
    """How far KEDA scales, and at which lag."""

    min_replicas: Replicas = 1
    """The least number of pods; 0 is scale-to-zero."""
    max_replicas: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """The most pods. The size profile's when not given (10 for small, medium and large)."""
    lag_threshold: Annotated[Whole, Field(ge=1, le=100000)] | None = None
    """Waiting and running jobs for each pod. The same as `concurrency` when not given."""
    schedule: Annotated[Items[ScheduleEntry], Field(max_length=32)] = ()
    """Floors for office hours, as KEDA cron triggers."""


class StoreRef(Model):
    """A store of the External Secrets Operator."""

    name: SubdomainName
    """The store's name."""
    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """ClusterSecretStore, or SecretStore for one in the claim's own namespace."""


class ExternalSecrets(Model):
    """Where the three Secrets come from."""

    create: bool = True
    """Make the ExternalSecrets; false when something else makes the Secrets."""
    store: StoreRef | None = None
    """The store to read. The platform's when not given (the ClusterSecretStore aws-parameter-store)."""
    parameter_prefix: ParameterPath | None = None
    """The path that the parameters are under. The platform's when not given (/zerotouch/prod/agent-executor)."""
    refresh_interval: Duration = "1h"
    """How often the store is read again."""


class EnvVar(Model):
    """One environment variable of the executor container."""

    name: EnvName
    """The variable's name; not one that the function sets itself."""
    value: EnvValue = ""
    """Its value. A claim is not secret: keys belong into the Secrets."""


class Egress(Model):
    """A network that pods may connect to."""

    cidr: Cidr
    """The network, such as 203.0.113.0/24."""
    ports: Annotated[Items[Port], Field(min_length=1, max_length=32)] = (443,)
    """TCP ports."""
    except_: Annotated[Items[Cidr], Field(max_length=64, alias="except")] = ()
    """Networks inside `cidr` that stay closed."""


class Network(Model):
    """What pods may connect to, and who may connect to them."""

    llm_egress: Annotated[Items[Egress], Field(max_length=32)] | None = None
    """Networks and ports of LLM APIs; `[]` denies. The platform's when not given (443 to the internet without private and link-local ranges)."""
    ingress_from: Annotated[Items[Label], Field(max_length=64)] | None = None
    """Namespaces that may call port 8080; `[]` denies. The claim's own and the platform's monitoring namespace when not given."""


class Toleration(Model):
    """A taint that the pods tolerate."""

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
        return self


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
    annotations: Annotated[Map[LabelKey, AnnotationValue], Field(max_length=64)] = EMPTY
    """Further annotations of the pods."""
    labels: Annotated[Map[LabelKey, LabelValue], Field(max_length=64)] = EMPTY
    """Further labels of the pods; not `app` or `app.kubernetes.io/*`."""


class Spec(Model):
    """The spec of an AgentExecutor."""

    image: ImageReference
    """Container image (e.g., ghcr.io/org/agent-executor:v1.0.0)"""
    size: str = "medium"
    """Resource size"""
    nats_url: NatsUrls = "nats://nats.nats.svc:4222"
    """NATS server URL: nats, tls, ws or wss; several servers of one cluster separated by commas; no credentials."""
    postgres_connection_secret: SubdomainName = "agent-executor-postgres"
    """Name of secret containing PostgreSQL credentials"""
    dragonfly_connection_secret: SubdomainName = "agent-executor-dragonfly"
    """Name of secret containing Dragonfly credentials"""
    llm_keys_secret: SubdomainName = "agent-executor-llm-keys"
    """Name of secret containing LLM API keys"""
    nats: Nats = Nats()
    """The tenant's stream, consumer and subjects."""
    postgres_schema: PostgresSchema = "agent_executor"
    """The PostgreSQL schema that this claim's tables are in."""
    scaling: Scaling = Scaling()
    """How far and when the claim scales."""
    concurrency: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """Jobs that one pod runs at a time. The size profile's when not given (5 for small, medium and large)."""
    external_secrets: ExternalSecrets = ExternalSecrets()
    """Where the three Secrets come from."""
    image_pull_secrets: Annotated[Items[SubdomainName], Field(max_length=16)] = ()
    """Names of Secrets with registry credentials."""
    env: Annotated[Items[EnvVar], Field(max_length=128)] = ()
    """Further environment variables of the executor."""
    network: Network = Network()
    """What pods may connect to, and who may connect to them."""
    pod_template: PodTemplate = PodTemplate()
    """What of the pods a tenant may set."""
    paused: bool = False
    """No pods, and nothing deleted."""
