"""JSON at the edges: strict on the way in, clean on the way out.

In: what the standard library lets through (NaN, duplicate keys, NUL, lone surrogates, nesting that overflows a stack)
is refused, because PostgreSQL, JetStream's readers or the next parser would each take it differently. Reasons never
quote the text. Out: models produce the same things, and a job must not fail on them, so they are replaced.
"""

import base64
import dataclasses
import datetime
import enum
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel

MAX_DEPTH = 100  # containers inside one another; the C parser of CPython gives up near 1000
# Integers that JavaScript holds too, and no types that the library writes otherwise than `clean` does.
_AS_IT_IS = orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_INT64 = range(-(2**63), 2**63)
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # an escape that may make a NUL or a surrogate
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
REPLACEMENT = "\ufffd"


class NotJson(ValueError):  # noqa: N818  # what the bytes are
    """The bytes are not JSON as we take it; the text says why, without quoting them."""


def parse(body: bytes) -> Any:
    """The one JSON value in UTF-8 bytes; `NotJson` says what is wrong and where."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 at byte {error.start}") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotJson(f"is nested deeper than {MAX_DEPTH} levels") from None
    except NotJson:
        raise
    except ValueError:  # CPython's own limit on the digits of an integer
        raise NotJson("has a number with too many digits") from None
    _check(value, strings=_SUSPECT.search(text) is not None)
    return value


def dump(value: Any) -> bytes:
    """Compact UTF-8 JSON of whatever the service holds, cleaned where it has to be."""
    body = as_it_is(value)
    if body is None:
        body = json.dumps(clean(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return body


def as_it_is(value: Any) -> bytes | None:
    """Compact UTF-8 JSON of a value that `clean` would hardly change, as nearly all are: it takes a tenth of the time.

    NaN and infinities are null. None where anything else is to be replaced, or may be.
    """
    try:
        body = orjson.dumps(value, option=_AS_IT_IS)
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            _check(value, strings=False)
    except (TypeError, NotJson):  # the library's name for whatever it does not know, surrogates and large numbers too
        return None
    return body if b"\\u0000" not in body else None


def clean(value: Any, depth: int = 0) -> Any:
    """The same value as JSON that PostgreSQL can hold, equal where it already is.

    NUL and lone surrogates become U+FFFD, NaN and infinities null, integers above 64 bits their digits, what is nested
    too deep an ellipsis, bytes base64, times ISO 8601, enumerations their values, models and dataclasses objects,
    anything else its text.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub(REPLACEMENT, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value in _INT64 else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_key(key): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in value]
    return _clean_object(value, depth)


def _clean_object(value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return clean(value.value, depth)
    if isinstance(value, BaseModel):
        return clean(value.model_dump(), depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return clean({field.name: getattr(value, field.name) for field in fields}, depth)
    return clean(str(value), depth)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _UNSTORABLE.sub(REPLACEMENT, key)
    # As JSON writes them: a Python True must not become "True".
    return _UNSTORABLE.sub(REPLACEMENT, str(clean(key))) if not isinstance(key, bool | None) else json.dumps(key)


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # CPython's limit on digits
        return hex(value)


def _check(value: Any, *, strings: bool) -> None:
    """Refuse what is nested too deep, and NUL and surrogates where the text hinted at them."""
    level, depth = [value], 0
    while level:
        containers = [item for item in level if isinstance(item, dict | list | tuple)]
        if containers and depth == MAX_DEPTH:
            raise NotJson(f"is nested deeper than {MAX_DEPTH} levels")
        if strings and any(_bad(text) for text in _texts(level)):
            raise NotJson("has a NUL or a lone surrogate in a string")
        level = [item for one in containers for item in (one.values() if isinstance(one, dict) else one)]
        depth += 1


def _texts(level: list[Any]) -> Iterable[str]:
    for item in level:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item


def _bad(text: str) -> bool:
    return _UNSTORABLE.search(text) is not None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise NotJson("has the same key twice in one object")
    return value


def _constant(_: str) -> float:
    raise NotJson("has NaN or Infinity, which JSON does not know")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("has a number that is too large")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
