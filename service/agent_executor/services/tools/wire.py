"""Between service and worker: one frame each way, a 4-byte big-endian length and JSON; never a pickle.

The worker is hostile: `decode` builds nothing but JSON values and LangChain messages of the known types, whatever was
sent, and raises `Garbage` for the rest. A value under a `$message` key is a message as `messages_to_dict` writes it; a
dict that really has a key like that travels as a `$dict` of pairs.
"""

import dataclasses
import json
import re
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

MESSAGE, PAIRS = "$message", "$dict"
DEPTH: Final = 64  # deeper than any state; far below where recursion ends
HEAD: Final = struct.Struct(">I")
# What Python makes of four megabytes of `[],` takes two hundred (seen), and `decode` copies what holds others. So a
# body is weighed by what stands in it: a list or object, a string, a comma and the value before it.
HOLDER, STRING, COMMA = 256, 64, 32
_PART: Final = re.compile(rb'[^"]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


class Garbage(ValueError):  # noqa: N818  # what it is, not that it is an error
    """A frame that is no answer: not JSON, too deep, or not of the agreed form."""


def pack(value: Any) -> bytes:
    """A frame. ValueError or RecursionError for what is not JSON after `encode`."""
    body = json.dumps(encode(value), separators=(",", ":")).encode()
    return HEAD.pack(len(body)) + body


def length(head: bytes) -> int:
    """How many bytes follow the four of a frame's head."""
    return int(HEAD.unpack(head)[0])


def unpack(body: bytes, most: int | None = None) -> Any:
    """The value of a frame's body; `Garbage` for anything else. NaN and infinities become None.

    Python's objects for it may take about `most` bytes, beside the text in it; None: of the service's own frames.
    """
    if most is not None and _weighs_more(body, most):
        raise Garbage(f"its answer has more values than a tool may return: they would take more than {most} bytes")
    try:
        return decode(json.loads(body, parse_constant=lambda _: None))
    except Garbage:
        raise
    except (ValueError, RecursionError) as error:  # JSON, UTF-8 and pydantic errors are ValueErrors
        raise Garbage("it sent no valid answer") from error


def _weighs_more(body: bytes, most: int) -> bool:
    if _weight(body) + body.count(b'"') * STRING // 2 <= most:  # what stands within a string only makes it more
        return False
    weight = 0
    for found in _PART.finditer(body):
        part = found[0]
        weight += STRING if part[0] == 0x22 else _weight(part)
        if weight > most:
            return True
    return False


def _weight(part: bytes) -> int:
    return (part.count(b"[") + part.count(b"{")) * HOLDER + part.count(b",") * COMMA


def encode(value: Any) -> Any:
    """A value as JSON can say it; what JSON has no word for becomes text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        pairs = [(str(key), encode(each)) for key, each in value.items()]
        return {PAIRS: pairs} if any(key in {MESSAGE, PAIRS} for key, _ in pairs) else dict(pairs)
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(each) for each in value]
    if isinstance(value, BaseModel):
        from langchain_core.messages import BaseMessage  # noqa: PLC0415  # slow, and only for a tool call

        fields = encode(value.model_dump(mode="python", warnings=False))
        return {MESSAGE: {"type": value.type, "data": fields}} if isinstance(value, BaseMessage) else fields
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    return str(value)


def decode(value: Any, depth: int = 0) -> Any:
    """The reverse of `encode`, trusting nothing. `Garbage`."""
    if depth > DEPTH:
        raise Garbage("its answer is nested too deeply")
    if isinstance(value, list):
        return [decode(each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    if MESSAGE in value:
        return _message(value, depth)
    if PAIRS in value:
        return _pairs(value[PAIRS], depth)
    return {key: decode(each, depth + 1) for key, each in value.items()}


def _message(value: dict[str, Any], depth: int) -> "BaseMessage":
    match value:
        case {"$message": {"type": str() as type_, "data": dict() as data}}:
            from langchain_core.messages import messages_from_dict  # noqa: PLC0415  # slow, and only for a tool call

            fields = decode(data, depth + 1)
            try:
                return messages_from_dict([{"type": type_, "data": fields}])[0]
            except (ValueError, TypeError, LookupError, AttributeError) as error:  # what its constructors let through
                raise Garbage("its answer has a message that is none") from error
    raise Garbage("its answer has a message that is none")


def _pairs(pairs: Any, depth: int) -> dict[str, Any]:
    if not isinstance(pairs, list):
        raise Garbage("its answer has a map that is none")
    found: dict[str, Any] = {}
    for pair in pairs:
        match pair:
            case [str() as key, each]:
                found[key] = decode(each, depth + 1)
            case _:
                raise Garbage("its answer has a map that is none")
    return found
