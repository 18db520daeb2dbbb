"""The kinds of text that a claim or a platform may hold, each with its grammar once: for OpenAPI and for the check.

Invariant: every pattern means the same in Go's RE2, which the API server uses, and in Python's `re`, takes time linear
in the text, and is only tried on text within the maximum length.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from function import addresses, images, quantity, reserved, times
from function.invalid import show
from function.model import cel


@dataclass(frozen=True)
class Format:
    """A grammar: what a text must be (`says` completes "is not …"), and what a pattern cannot say (`rule`)."""

    says: str
    pattern: str
    max_length: int
    rule: Callable[[str], object] | None = None
    echo: bool = True  # False where people paste credentials
    cel: tuple[str, str] | None = None  # the rule as the API server checks it, where it can, and what that says

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Declare what OpenAPI can say of it."""
        said = {"pattern": self.pattern, "maxLength": self.max_length}
        return handler(schema) | said | (cel(self.cel) if self.cel else {})

    @cached_property
    def _grammar(self) -> re.Pattern[str]:
        return re.compile(self.pattern.removeprefix("^").removesuffix("$"))

    def check(self, text: str) -> str:
        """Give the text back, or raise ValueError that says what it should be."""
        if len(text) > self.max_length:
            msg = f"has {len(text)} characters, the most is {self.max_length}"
            raise ValueError(msg)
        if self.rule is not None:
            self.rule(text)
        if self._grammar.fullmatch(text) is None:
            msg = f"{show(text) if self.echo else 'it'} is not {self.says}"
            raise ValueError(msg)
        return text


LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
KEY_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
KEY = rf"({SUBDOMAIN}/)?{KEY_NAME}"


def _key_lengths(text: str) -> None:
    prefix, _, name = text.rpartition("/")
    if len(prefix) > 253 or len(name) > 63:
        msg = f"{show(text)} is too long: 63 characters at most, after a prefix of 253 at most"
        raise ValueError(msg)


def _whole_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "has half of a surrogate pair, which is no character"
        raise ValueError(msg) from None


def _not_postgres_own(text: str) -> None:
    if text.startswith("pg_") or text == "information_schema":
        msg = f"{show(text)} is PostgreSQL's own, choose a name that does not start with pg_"
        raise ValueError(msg)


LABEL_FORMAT = Format("a name of lower-case letters, digits and '-'", f"^{LABEL}$", 63)
# The Service has the claim's name too, hence the first letter; KEDA's autoscaler is keda-hpa-<name>, hence 54 of 63.
CLAIM_NAME = Format(
    "a name of lower-case letters, digits and '-' that starts with a letter", "^[a-z]([-a-z0-9]*[a-z0-9])?$", 54
)
Label = Annotated[str, LABEL_FORMAT]
_NAME = ("a name of lower-case letters, digits, '-' and '.'", f"^{SUBDOMAIN}$", 253)
SubdomainName = Annotated[str, Format(*_NAME)]
# The name of a Secret, where people put what belongs into it.
SecretName = Annotated[str, Format(*_NAME, echo=False)]
Quantity = Annotated[str, Format("a Kubernetes quantity such as 250m, 2 or 1.5Gi", quantity.PATTERN, 32)]
ImageReference = Annotated[
    str,
    Format(
        "an image reference such as ghcr.io/org/agent-executor:v1.0.0",
        images.PATTERN,
        images.MAX_LENGTH,
        images.check,
        echo=False,
    ),
]
Registry = Annotated[str, Format("a registry such as ghcr.io or ghcr.io/org", images.REGISTRY_PATTERN, 255)]
NatsUrls = Annotated[
    str,
    Format(
        "one or more NATS URLs such as nats://nats.nats.svc:4222, separated by commas",
        addresses.NATS_PATTERN,
        1024,
        addresses.check_nats_urls,
        echo=False,
    ),
]
HostPort = Annotated[
    str,
    Format(
        "host:port without a scheme, such as nats-headless.nats.svc.cluster.local:8222",
        addresses.HOST_PORT_PATTERN,
        261,
        addresses.check_host_port,
        echo=False,
    ),
]
Cidr = Annotated[
    str, Format("a network such as 203.0.113.0/24 or 2001:db8::/32", addresses.CIDR_PATTERN, 43, addresses.network)
]
Duration = Annotated[
    str, Format("a duration such as 30s, 15m or 1h30m", times.DURATION_PATTERN, 32, times.check_refresh)
]
CronTime = Annotated[
    str,
    Format(
        "five cron fields: minute hour day-of-month month day-of-week, such as 0 8 * * 1-5",
        times.CRON_PATTERN,
        128,
        times.check_cron,
    ),
]
TimeZone = Annotated[
    str, Format("an IANA time zone such as Europe/Berlin or UTC", times.ZONE_PATTERN, 64, times.check_zone)
]
StreamName = Annotated[str, Format("a NATS name of letters, digits, '_' and '-'", "^[A-Za-z0-9_-]+$", 255)]
SubjectPrefix = Annotated[
    str,
    Format(
        "subject tokens of letters, digits, '_' and '-', joined by '.', without wildcards",
        r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*$",
        128,
    ),
]
NatsAccount = Annotated[str, Format("a NATS account such as $G", "^[$A-Za-z0-9][A-Za-z0-9_.-]*$", 255)]
PostgresSchema = Annotated[
    str,
    Format(
        "a schema name of lower-case letters, digits and '_', at most 63, that starts with a letter or '_'",
        "^[a-z_][a-z0-9_]*$",
        63,
        _not_postgres_own,
        cel=("!self.startsWith('pg_') && self != 'information_schema'", "is PostgreSQL's own, choose another name"),
    ),
]
ParameterPath = Annotated[
    str,
    Format(
        # A part that starts with a dot could be `..`, and with it a store that resolves paths would leave the prefix.
        "a parameter path such as /zerotouch/prod/agent-executor, without a slash at the end",
        "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$",
        512,
    ),
]
EnvName = Annotated[
    str,
    Format(
        "a name of letters, digits and '_' that does not start with a digit",
        "^[A-Za-z_][A-Za-z0-9_]*$",
        253,
        reserved.check_env,
        echo=False,
        cel=(reserved.ENV_CEL, "is set by the platform, choose another name"),
    ),
]
FreeText = Annotated[str, Format("text without NUL characters", r"^[^\x00]*$", 32768, _whole_characters, echo=False)]
_KEY = ("a label or annotation key such as example.com/team", f"^{KEY}$", 253 + 1 + 63)
LabelKey = Annotated[str, Format(*_KEY, _key_lengths)]
PodLabelKey = Annotated[LabelKey, AfterValidator(reserved.check_label)]
PodAnnotationKey = Annotated[LabelKey, AfterValidator(reserved.check_annotation)]
LabelValue = Annotated[
    str, Format("a label value: letters, digits, '-', '_' and '.', at most 63", f"^({KEY_NAME})?$", 63)
]
