"""How channel values become bytes: the library's msgpack, which a value from a model can never break.

Models and tools produce lone surrogates and integers above 64 bits, which msgpack refuses. Such a value is mended and
kept rather than failing the job; every other value takes the library's own path and costs nothing more.
"""

import dataclasses
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from agent_executor.services import json


class Serde(JsonPlusSerializer):
    """The library's serializer, which mends what it would refuse."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The type's name and the bytes."""
        try:
            return super().dumps_typed(obj)
        except (ormsgpack.MsgpackEncodeError, UnicodeEncodeError):
            return super().dumps_typed(mend(obj))


def mend(value: Any) -> Any:
    """The same value of the same type, with what cannot be stored replaced as `json.clean` does."""
    if isinstance(value, str | int):
        return json.clean(value)
    if isinstance(value, dict):
        return {mend(key): mend(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mend(item) for item in value]
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(mend(item) for item in value)
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: mend(item) for name, item in value.__dict__.items()})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.init)
        return dataclasses.replace(value, **{name: mend(getattr(value, name)) for name in fields})
    return value
