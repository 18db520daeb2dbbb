"""What a tenant asks for: the spec of an AgentExecutor, field by field.

Invariant: this is the one place where the claim's fields, their defaults and their limits stand. The XRDs and the API
reference are generated from it; the strings below the fields are their descriptions there. A field that is None here is
decided by the size profile or by the platform (`claim.py` resolves it), so the API server must not fill it in.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from function.formats import (
    Cidr,
    CronTime,
    Duration,
    EnvName,
    FreeText,
    HostPort,
    ImageReference,
    Label,
    NatsAccount,
    NatsUrls,
    ParameterPath,
    PostgresSchema,
    SecretName,
    StreamName,
    SubdomainName,
    SubjectPrefix,
    TimeZone,
)
from function.invalid import show
from function.model import Items, Model, Port, Set, Whole, ruled
from function.pods import PodTemplate

Replicas = Annotated[Whole, Field(ge=0, le=1000)]
LIST_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Nats(Model):
    """The tenant's own stream, consumer and subjects, and how KEDA asks for their lag."""

    model_config = ruled(
        (
            "self.stream != self.statusStream",
            "stream and statusStream must be different streams",
        ),
        (
            "self.stream != self.deadLetterStream",
            "stream and deadLetterStream must be different streams",
        ),
        (
            "self.statusStream != self.deadLetterStream",
            "statusStream and deadLetterStream must be different streams",
        ),
    )

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
    """`host:port` of the NATS monitoring port. When not given derived from `natsUrl`:
    `nats-headless.<namespace>.svc.cluster.local:8222`."""
    account: NatsAccount = "$G"
    """The NATS account that KEDA looks for the stream in: the one that the server gives to connections without
    credentials, as the executors' are."""

    @model_validator(mode="after")
    def _three_streams(self) -> "Nats":
        if len({self.stream, self.status_stream, self.dead_letter_stream}) < 3:
            msg = "stream, statusStream and deadLetterStream must be three different streams"
            raise ValueError(msg)
        return self


class ScheduleEntry(Model):
    """A daily or weekly window with a floor of its own."""

    model_config = ruled(
        (
            "self.start != self.end",
            "start and end must be two times",
        ),
    )

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

    model_config = ruled(
        (
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas is above maxReplicas",
        ),
        (
            "!has(self.maxReplicas) || !has(self.schedule) || self.schedule.all(e, e.replicas <= self.maxReplicas)",
            "a schedule has more replicas than maxReplicas",
        ),
    )

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
    value: FreeText = ""
    """Its value. A claim is not secret: keys belong into the Secrets."""


class Egress(Model):
    """A network that pods may connect to."""

    cidr: Cidr
    """The network, such as 203.0.113.0/24."""
    ports: Annotated[Set[Port], Field(min_length=1, max_length=32)] = (443,)
    """TCP ports."""
    except_: Annotated[Items[Cidr], Field(max_length=64, alias="except")] = ()
    """Networks inside `cidr` that stay closed."""


class Network(Model):
    """What pods may connect to, and who may connect to them."""

    llm_egress: Annotated[Items[Egress], Field(max_length=32)] | None = None
    """Networks and ports of LLM APIs; `[]` denies. The platform's when not given (443 to the internet, without private
    and link-local ranges)."""
    ingress_from: Annotated[Set[Label], Field(max_length=64)] | None = None
    """Namespaces that may call port 8080; `[]` denies. When not given the claim's own and the platform's monitoring
    namespace."""


class Spec(Model):
    """The spec of an AgentExecutor."""

    model_config = ruled(
        (
            "self.postgresConnectionSecret != self.dragonflyConnectionSecret",
            "postgresConnectionSecret and dragonflyConnectionSecret must be different Secrets",
        ),
        (
            "self.postgresConnectionSecret != self.llmKeysSecret",
            "postgresConnectionSecret and llmKeysSecret must be different Secrets",
        ),
        (
            "self.dragonflyConnectionSecret != self.llmKeysSecret",
            "dragonflyConnectionSecret and llmKeysSecret must be different Secrets",
        ),
    )

    image: ImageReference
    """Container image (e.g., ghcr.io/org/agent-executor:v1.0.0)"""
    size: str = "medium"
    """Resource size"""
    nats_url: NatsUrls = "nats://nats.nats.svc:4222"
    """NATS server URL, nats or tls; several servers of one cluster separated by commas; no credentials."""
    postgres_connection_secret: SecretName = "agent-executor-postgres"  # noqa: S105 - a name
    """Name of secret containing PostgreSQL credentials"""
    dragonfly_connection_secret: SecretName = "agent-executor-dragonfly"  # noqa: S105 - a name
    """Name of secret containing Dragonfly credentials"""
    llm_keys_secret: SecretName = "agent-executor-llm-keys"  # noqa: S105 - a name
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
    image_pull_secrets: Annotated[Set[SecretName], Field(max_length=16)] = ()
    """Names of Secrets with registry credentials."""
    env: Annotated[Items[EnvVar], Field(max_length=128, json_schema_extra=LIST_BY_NAME)] = ()
    """Further environment variables of the executor."""
    network: Network = Network()
    """What pods may connect to, and who may connect to them."""
    pod_template: PodTemplate = PodTemplate()
    """What of the pods a tenant may set."""
    paused: bool = False
    """No pods, and nothing deleted."""
