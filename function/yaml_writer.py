"""Plain values as YAML for `kubectl apply`: block style, no anchors, keys in the order given, long lines left whole.

Every string reads back as that string under YAML 1.1 and 1.2 alike; the few that need no quotes are those that no
parser could take for anything else.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PLAIN = re.compile(r"[A-Za-z/_](?:[\w/.@%+=(),-]|:(?=[\w/])| (?=[A-Za-z0-9(/]))*", re.ASCII)
# Quantities, durations and networks begin with a digit and still are nothing but strings to every parser.
AMOUNT = re.compile(r"[1-9][0-9]*(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi|Ti|s|h)|[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}", re.ASCII)
TAKEN_FOR_OTHERS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def stream(documents: Iterable[Mapping[str, Any]]) -> str:
    """The documents, each begun by its own `---`."""
    return "".join("---\n" + "\n".join(block(document)) + "\n" for document in documents)


def block(value: Any) -> Iterator[str]:
    """The lines of a value, without indentation of their own."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if nested(item):
                yield f"{scalar(key)}:"
                yield from ("  " * isinstance(item, Mapping) + line for line in block(item))
            else:
                yield f"{scalar(key)}: {scalar(item)}"
    elif isinstance(value, list | tuple) and value:
        for item in value:
            for number, line in enumerate(block(item)):
                yield ("  " if number else "- ") + line
    else:
        yield scalar(value)


def nested(value: Any) -> bool:
    """Whether the value takes lines of its own."""
    return isinstance(value, Mapping | list | tuple) and bool(value)


def scalar(value: Any) -> str:
    """A value that fits on the line it is on."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in TAKEN_FOR_OTHERS
        return value if plain or AMOUNT.fullmatch(value) else quoted(value)
    if isinstance(value, Mapping | list | tuple):
        return "{}" if isinstance(value, Mapping) else "[]"
    return json.dumps(value, allow_nan=False)


def quoted(text: str) -> str:
    """A string in double quotes: JSON's escapes, and YAML's for what YAML says is not printable."""
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
