"""The kinds of values that a setting may have: what each is checked for, and what would be right."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from agent_executor.addresses import nats_urls, with_commas


@dataclass(frozen=True)
class Wants:
    """What a right value looks like, as the end of a message."""

    text: str


def _one_line(secret: SecretStr) -> SecretStr:
    # Written with `echo` into a Secret, it ends with a line end: then no caller's token is right, and no key is sent.
    if any(ord(one) < 32 or ord(one) == 127 for one in secret.get_secret_value()):
        raise ValueError
    return secret


def _schema(name: str) -> str:
    # PostgreSQL cuts a longer name silently and keeps pg_ for itself.
    if len(name.encode(errors="surrogatepass")) > 63 or "\0" in name or name.startswith("pg_"):
        raise ValueError
    return name


Secret = Annotated[SecretStr, AfterValidator(_one_line), Wants("one line of text, without a line end")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$"), Wants("an http or https URL")]
NatsUrls = Annotated[
    str,
    Field(pattern=r"^(nats|tls)://[^\s,]+(,\s*(nats|tls)://[^\s,]+)*$", repr=False),
    AfterValidator(nats_urls),
    Wants("one NATS URL or several with commas, such as nats://nats.nats.svc:4222"),
]
Host = Annotated[
    str,
    Field(pattern=r"^[^\s,]+$", max_length=4096),
    Wants("a host name, an address or a directory, at most 4096 characters"),
]
Port = Annotated[int, Field(ge=1, le=65535), Wants("a port from 1 to 65535")]
AnyPort = Annotated[int, Field(ge=0, le=65535), Wants("a port from 0 (any free one) to 65535")]
StreamName = Annotated[
    str,
    Field(pattern=r"^[^\s.*>/\\\x00-\x1f\x7f]+$", max_length=255),
    Wants("a name without spaces, dots, *, > and slashes, at most 255 characters"),
]
SubjectPrefix = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200),
    Wants("letters, digits, - and _, in tokens joined by dots"),
]
SchemaName = Annotated[
    str, Field(min_length=1), AfterValidator(_schema), Wants("a schema name of 1 to 63 bytes, not pg_…")
]
Count = Annotated[int, Field(ge=1, le=1_000_000_000), Wants("a whole number from 1")]
Slots = Annotated[int, Field(ge=1, le=1000), Wants("a whole number from 1 to 1000")]
Attempts = Annotated[int, Field(ge=1, le=100), Wants("a whole number from 1 to 100")]
Days = Annotated[int, Field(ge=1, le=3650), Wants("whole days from 1 to 3650")]
Seconds = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False), Wants("seconds, more than 0, at most 604800")]
# An event is in the stream for a day: what its job may take, and waits between two attempts, has to fit into that.
JobSeconds = Annotated[float, Field(gt=0, le=43_200, allow_inf_nan=False), Wants("seconds, more than 0, at most 43200")]
RetrySeconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False), Wants("seconds from 0 to 3600")]
SomeSeconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), Wants("seconds from 0 to 86400")]
AckWait = Annotated[float, Field(ge=0.5, le=3600, allow_inf_nan=False), Wants("seconds from 0.5 to 3600")]
Flag = Annotated[bool, Wants("true or false")]
Hosts = Annotated[
    tuple[Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9_.:\[\]-]+$")], ...],
    BeforeValidator(with_commas),
    Wants("host names with commas, such as api.example.com,*.example.org"),
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    Wants("one of debug, info, warning, error"),
]
