"""The environment, read once: contract section 3, and the few names that the contract leaves to the service.

Nothing else in the service reads the environment. A field is a setting: its name in capitals is the variable, its
description is the reference's text, its type is the check. A missing or bad value is one line that names the variable
and what would be right; the value of a secret is never in it. An empty variable is an unset one, as an optional key of
a Kubernetes Secret leaves it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent_executor.errors import shown
from agent_executor.kinds import (
    AckWait,
    AnyPort,
    Attempts,
    Count,
    Days,
    Flag,
    Host,
    Hosts,
    JobSeconds,
    Level,
    NatsUrls,
    Port,
    RetrySeconds,
    SchemaName,
    Seconds,
    Secret,
    Slots,
    SomeSeconds,
    StreamName,
    SubjectPrefix,
    Url,
    Wants,
)


class SettingsError(Exception):
    """The service cannot start: one line that names the variable and what would be right."""


MEGABYTE = 1024 * 1024


class Settings(BaseModel):
    """What the service was told. Frozen; secrets print as stars."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    nats_url: NatsUrls = Field(description="NATS servers, with JetStream.")
    nats_stream: StreamName = Field("AGENT_EXECUTION", description="Stream of jobs to do.")
    nats_consumer: StreamName = Field("agent-executor-workers", description="Durable pull consumer on that stream.")
    nats_subject_prefix: SubjectPrefix = Field(
        "agent", description="First tokens of every subject: `<prefix>.execute.*`, `.status.*`, `.dead.*`."
    )
    nats_status_stream: StreamName = Field("AGENT_STATUS", description="Stream of results.")
    nats_dead_letter_stream: StreamName = Field("AGENT_DEAD_LETTER", description="Stream of what can never run.")
    nats_ack_wait_seconds: AckWait = Field(
        9.0, description="How long JetStream waits for a sign of life; bounds how long a killed pod's jobs wait."
    )
    nats_replicas: Annotated[int, Field(ge=1, le=5), Wants("1, 3 or 5")] = Field(
        1, description="Copies of each stream that the service has to create itself."
    )

    postgres_host: Host = Field(description="PostgreSQL server: jobs, checkpoints, outbox.")
    postgres_port: Port = Field(5432, description="Its port.")
    postgres_db: Annotated[str, Field(min_length=1), Wants("a database name")] = Field(description="Its database.")
    postgres_user: Annotated[str, Field(min_length=1), Wants("a role name")] = Field(description="Its role.")
    postgres_password: Secret = Field(description="The role's password.")
    postgres_schema: SchemaName = Field("agent_executor", description="Schema of all tables of the service.")
    postgres_pool_size: Slots | None = Field(
        None, description="Connections at most; unset, as many as running jobs need (jobs + 2, at most 20)."
    )

    dragonfly_host: Host = Field(description="Dragonfly or Redis server: live events.")
    dragonfly_port: Port = Field(6379, description="Its port.")
    dragonfly_password: Secret | None = Field(None, description="Its password; unset, none is sent.")
    event_log_length: Count = Field(10_000, description="Live events kept per job for late subscribers.")
    event_log_bytes: Count = Field(
        16 * MEGABYTE, description="Bytes of those of one attempt; the oldest go first, never the last."
    )
    event_log_seconds: Seconds = Field(86_400.0, description="How long after its last event a job's log is kept.")

    openai_api_key: Secret | None = Field(None, description="Key for definitions with provider `openai`.")
    anthropic_api_key: Secret | None = Field(None, description="Key for definitions with provider `anthropic`.")
    openai_base_url: Url | None = Field(None, description="Another server that speaks OpenAI's Chat Completions.")
    anthropic_base_url: Url | None = Field(None, description="Another server that speaks Anthropic's Messages.")
    ollama_base_url: Url | None = Field(
        None, description="The server for provider `ollama`; unset, that provider is refused."
    )
    model_timeout_seconds: Seconds = Field(120.0, description="Silence of a model after which the call is given up.")
    allow_scripted_model: Flag = Field(
        default=False, description="Accept provider `scripted`, the deterministic offline model, for tests and demos."
    )

    http_host: Host = Field("0.0.0.0", description="Address that the API listens on.")  # noqa: S104  # a pod's own
    http_port: AnyPort = Field(8080, description="Port that the API listens on.")
    http_max_body_bytes: Count = Field(
        1_000_000, description="Largest request body, more is 413; with its headers it has to fit NATS's max_payload."
    )
    agent_executor_api_token: Secret | None = Field(
        None, description="Bearer token for everything but health, readiness and metrics; unset, no token is asked for."
    )
    public_url: Url | None = Field(
        None, description="Address under which callers reach the API; it starts the `dataref` of a large result."
    )

    max_concurrent_jobs: Slots = Field(5, description="Jobs that one pod runs at a time.")
    job_timeout_seconds: JobSeconds = Field(
        3600.0, description="Wall clock of one job at work, over all its attempts; at most half a day."
    )
    job_max_attempts: Attempts = Field(5, description="Counted failures (crashes too) after which a job is buried.")
    job_retry_delay_seconds: RetrySeconds = Field(5.0, description="First delay before a new attempt; it doubles.")
    job_retry_delay_max_seconds: RetrySeconds = Field(300.0, description="Longest such delay; at most an hour.")
    job_lease_seconds: Seconds = Field(
        8.0,
        description="Lease of a running job, renewed three times in it; shorter than the ack wait, or a killed "
        "pod's job is delivered before it is free.",
    )
    job_retention_days: Days = Field(7, description="Finished jobs and their checkpoints are removed after this.")
    job_recursion_limit: Count = Field(1000, description="Supersteps of one run of a graph.")
    job_max_model_calls: Count = Field(200, description="Model calls of one job, over all its attempts.")
    job_max_tool_calls: Count = Field(500, description="Tool calls of one job, over all its attempts.")
    job_max_tokens: Count = Field(2_000_000, description="Tokens of one job, in and out, over all its attempts.")
    job_max_state_bytes: Count = Field(32 * MEGABYTE, description="Memory that one job's state may take, about.")
    drain_seconds: SomeSeconds = Field(
        25.0, description="How long a stopping pod lets running jobs reach a checkpoint before it hands them over."
    )

    tool_timeout_seconds: Seconds = Field(60.0, description="Wall clock of one call of a tool script.")
    tool_cpu_seconds: Count = Field(30, description="CPU time of one call of a tool script.")
    tool_memory_bytes: Count = Field(
        512 * MEGABYTE,
        description="Address space of one call of a tool script. So many run at a time as fit into the pod's memory.",
    )
    tool_file_bytes: Count = Field(16 * MEGABYTE, description="Largest file that a tool script may write.")
    tool_open_files: Annotated[int, Field(ge=16, le=65536), Wants("a whole number from 16 to 65536")] = Field(
        64, description="Files that a tool process may hold open."
    )
    tool_output_bytes: Count = Field(
        4 * MEGABYTE, description="Largest answer of a tool script, which may take 8 times that in memory."
    )
    tool_network: Flag = Field(default=False, description="Let tool scripts open network connections.")
    http_tool_allowed_hosts: Hosts = Field((), description="Hosts for the `http_request` tool; none, no such tool.")
    mcp_allowed_hosts: Hosts = Field((), description="Hosts of MCP servers that definitions may name; none, none.")

    log_level: Level = Field("info", description="Least severe level that is logged.")
    log_content: Flag = Field(
        default=False, description="Put prompts, tool arguments and model output into logs and spans."
    )

    otel_traces_exporter: str | None = Field(
        None,
        description="As OpenTelemetry defines it (otlp, console, none); its SDK reads the rest of OTEL_*. OTLP is "
        "spoken over http/protobuf: another OTEL_EXPORTER_OTLP_PROTOCOL stops the start.",
    )
    otel_exporter_otlp_endpoint: Url | None = Field(None, description="Where traces go; unset, nowhere.")
    otel_exporter_otlp_traces_endpoint: Url | None = Field(None, description="The same, for traces alone.")
    otel_sdk_disabled: Flag = Field(default=False, description="As OpenTelemetry defines it.")

    @property
    def pool_size(self) -> int:
        """Connections to PostgreSQL at most."""
        return self.postgres_pool_size or min(self.max_concurrent_jobs + 2, 20)

    def subject(self, *tokens: str) -> str:
        """A subject under the tenant's prefix: `subject("status", "completed")` is `agent.status.completed`."""
        return ".".join((self.nats_subject_prefix, *tokens))


def load(env: Mapping[str, str]) -> Settings:
    """Settings from an environment (names other than ours are ignored); the first fault is a `SettingsError`."""
    given = {name: env[name.upper()] for name in Settings.model_fields if env.get(name.upper(), "") != ""}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        name = str(error.errors(include_input=False)[0]["loc"][0])
        raise SettingsError(_complaint(name, given.get(name))) from None


def reference() -> list[tuple[str, str, str]]:
    """Every variable as (name, default or "required", description), in the order of the model: what docs show."""
    return [(name.upper(), _default(field), field.description or "") for name, field in Settings.model_fields.items()]


def _complaint(name: str, value: str | None) -> str:
    field = Settings.model_fields[name]
    wants = next((mark.text for mark in _marks(field) if isinstance(mark, Wants)), "text")
    if value is None:
        return f"{name.upper()}: is not set, and would be right as {wants}"
    said = "the value" if "SecretStr" in str(field.annotation) or not field.repr else shown(value)
    return f"{name.upper()}: {said} is not {wants}"


def _marks(field: FieldInfo) -> list[Any]:
    inner = [mark for part in getattr(field.annotation, "__args__", ()) for mark in getattr(part, "__metadata__", ())]
    return [*field.metadata, *inner]


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "required"
    if default is None or default == ():
        return "unset"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
