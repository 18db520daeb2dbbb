"""Lists on their way into PostgreSQL as arrays in the binary format, packed in one go.

psycopg sends a list as text and escapes every element with a regular expression, which for checkpoints was a sixth of
a job's CPU. The format is the server's `array_recv`: dimensions, whether there are nulls, element type, length, first
index, then each element's length and bytes (-1 for null).
"""

import struct
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

TEXT, BYTEA, INT8 = (psycopg.adapters.types[name] for name in ("text", "bytea", "int8"))
HEADER, EMPTY = struct.Struct("!iiIii"), struct.Struct("!iiI")
LENGTH, INTEGER = struct.Struct("!i"), struct.Struct("!q")


class Texts(list[str | None]):
    """A text[]."""


class Blobs(list[bytes]):
    """A bytea[]."""


class Integers(list[int]):
    """A bigint[]."""


class _ArrayDumper(Dumper):
    format = pq.Format.BINARY
    element = TEXT.oid

    def dump(self, obj: Sequence[bytes | None]) -> bytes:
        # An empty array has no dimensions, and its header ends with the element type.
        head = HEADER.pack(1, int(None in obj), self.element, len(obj), 1)
        parts = [head if obj else EMPTY.pack(0, 0, self.element)]
        for item in obj:
            if item is None:
                parts.append(LENGTH.pack(-1))
            else:
                parts += (LENGTH.pack(len(item)), item)
        return b"".join(parts)


class _TextsDumper(_ArrayDumper):
    oid = TEXT.array_oid

    def dump(self, obj: Texts) -> bytes:  # type: ignore[override]  # a dumper takes what it is registered for
        return super().dump([None if item is None else item.encode() for item in obj])


class _BlobsDumper(_ArrayDumper):
    oid, element = BYTEA.array_oid, BYTEA.oid


class _IntegersDumper(_ArrayDumper):
    oid, element = INT8.array_oid, INT8.oid

    def dump(self, obj: Integers) -> bytes:  # type: ignore[override]  # a dumper takes what it is registered for
        return super().dump([INTEGER.pack(item) for item in obj])


# These classes are ours alone, so that registering them changes nothing for anybody else.
psycopg.adapters.register_dumper(Texts, _TextsDumper)
psycopg.adapters.register_dumper(Blobs, _BlobsDumper)
psycopg.adapters.register_dumper(Integers, _IntegersDumper)
