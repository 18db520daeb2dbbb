"""TypedDict source: records, their fields' types, and the modules that hold them."""

import json
import keyword
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = Path("function/schemas")
SHARED = "core"
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}

Schema = dict[str, Any]


@dataclass
class Record:
    """One TypedDict: field name to its type, and which of the fields must be there."""

    fields: dict[str, str]
    required: set[str] = field(default_factory=set)

    def lines(self, name: str) -> Iterator[str]:
        """The record as source; a key that is no identifier needs the functional form."""
        marked = {k: f"Required[{t}]" if k in self.required else t for k, t in self.fields.items()}
        if all(k.isidentifier() and not keyword.iskeyword(k) for k in marked):
            yield f"class {name}(TypedDict, total=False):"
            yield from (f"    {k}: {t}" for k, t in marked.items())
            yield from () if marked else ("    pass",)
        else:
            yield f'{name} = TypedDict("{name}", {{'
            yield from (f"    {json.dumps(k)}: {json.dumps(t)}," for k, t in marked.items())
            yield "}, total=False)"


def literal(values: Collection[Any]) -> str:
    """A type of these values only."""
    return f"Literal[{', '.join(json.dumps(v) for v in values if v is not None)}]"


def manifest(api_version: str, kind: str, record: Record) -> Record:
    """A whole object: its identity is fixed, its spec is there, and its status, which nobody renders, is not."""
    identity = {"apiVersion": literal([api_version]), "kind": literal([kind]), "metadata": "ObjectMeta"}
    rest = {k: t for k, t in record.fields.items() if k not in identity and k != "status"}
    return Record(identity | rest, {*identity, *(({"spec"} | record.required) & rest.keys())})


def module(origin: str, records: Mapping[str, Record], shared: Collection[str] = ()) -> str:
    """The text of one module; `shared` are the names that it may import from the shared one."""
    body = "\n\n\n".join("\n".join(record.lines(name)) for name, record in sorted(records.items()))
    used = sorted(n for n in shared if n not in records and re.search(rf"\b{n}\b", body))
    typing = sorted(n for n in ("Any", "Literal", "Required", "TypedDict") if re.search(rf"\b{n}\b", body))
    head = [
        f'"""Generated from {origin} by `python -m tools.generate`: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        *(["from collections.abc import Mapping"] if "Mapping[" in body else []),
        f"from typing import {', '.join(typing)}",
        *(["", f"from function.schemas.{SHARED} import {', '.join(used)}"] if used else []),
    ]
    return "\n".join([*head, "", "", body, ""])
