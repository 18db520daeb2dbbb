"""Headers as publishers really send them, what they mean for an event, and what they weigh.

`ce-` values are raw UTF-8 bytes, percent-encoded or not (contract section 4); names come in any letter case. A fault
names the header and never quotes its value.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from agent_executor.services.json import REPLACEMENT

_JSON_TYPE = re.compile(r"(application|text)/(json|[a-z0-9!#$&^_.+-]+\+json)")

# https://www.w3.org/TR/trace-context/: version 00 has exactly these four fields; a later one may have more behind them,
# as much as we care to carry. A tracestate of 512 characters has to be passed on, and a longer one may be left out.
_IDS = "-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rf"00{_IDS}|(?!00|ff)[0-9a-f]{{2}}{_IDS}(-[!-~]{{0,200}})?")
LONGEST_TRACESTATE = 512
_FRAME = len("NATS/1.0\r\n\r\n")


class Fault(ValueError):  # noqa: N818  # what it is, not that it is one
    """`place: what, and what would be right`, before it is known whose job it is."""


def read(given: Mapping[str, str] | Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Text by lower-case name, from NATS's headers or from HTTP's raw pairs. Raises `Fault`.

    HTTP frameworks hand text out as Latin-1, and publishers write UTF-8, so HTTP's are taken as the bytes they are.
    """
    if isinstance(given, Mapping):
        return {name.lower(): value for name, value in given.items()}
    headers: dict[str, str] = {}
    for key, value in given:
        name = key.decode("latin-1").lower()
        if name.startswith("ce-") and name in headers:
            raise Fault(f"ce-{safe(name[3:])}: is given twice, and would be right once")
        headers[name] = value.decode("utf-8" if name.startswith("ce-") else "latin-1", "replace")
    return headers


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that belong to the event, as they go on to JetStream with its bytes."""
    kept = ("content-type", "traceparent", "tracestate")
    return {name: value for name, value in headers.items() if name.lower() in kept or name.lower().startswith("ce-")}


def media_type(content_type: str) -> str:
    """`Application/JSON; charset=utf-8` is `application/json`."""
    return content_type.partition(";")[0].strip().lower()


def decode(name: str, value: str) -> str:
    """A header's value: quotes undone, then percent-decoded once (HTTP binding 1.0.2, section 3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        if REPLACEMENT not in value:  # nats-py, and `read`, write it for bytes that are not UTF-8
            return unquote_to_bytes(value).decode()
    except UnicodeError:
        pass
    raise Fault(f"ce-{safe(name)}: is not UTF-8, and would be right as percent-encoded UTF-8")


def check_json_type(place: str, content_type: str) -> None:
    """Data is JSON, or said to be nothing at all; `Fault` otherwise."""
    if content_type and not _JSON_TYPE.fullmatch(media_type(content_type)):
        raise Fault(f"{place}: is not a JSON type, and would be right as application/json")
    check_charset(place, content_type)


def check_charset(place: str, content_type: str) -> None:
    """JSON is UTF-8 (RFC 8259, section 8.1); a content type that says otherwise is a `Fault`."""
    charset = re.search(r";\s*charset\s*=\s*\"?([^\s\";]+)", content_type, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Fault(f"{place}: names a charset that JSON is not written in, and would be right as utf-8")


def trace(parent: object, state: object) -> tuple[str | None, str | None]:
    """A trace as it may be passed on; a broken traceparent is as good as none, and a tracestate without one too."""
    if not (isinstance(parent, str) and _TRACEPARENT.fullmatch(parent)):
        return None, None
    return parent, state if isinstance(state, str) and 0 < len(state) <= LONGEST_TRACESTATE else None


def length(headers: Mapping[str, str]) -> int:
    """The bytes that headers add to a message, as NATS counts them."""
    return _FRAME + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())


def safe(name: str) -> str:
    """An attribute's name, if it is one; a publisher's own text is not quoted."""
    return name if re.fullmatch("[a-z0-9]{1,20}", name) else "extension"
