"""Manifests as fields: every scalar, empty list and empty map of an object, by its path.

An entry of a list whose entries all have a name goes by that name, `env[NATS_URL].value`, so that a new entry in front
of it does not look like a change of every one behind it; any other goes by its place, `egress[0].ports[1].port`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from function.yaml_reader import below

STEP = re.compile(r"\.?(?P<key>[A-Za-z_]\w*)|\[(?P<entry>'[^']*'|[^][]*)\]", re.ASCII)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field below a value, in its order."""
    inner = list(children(value, path))
    for where, item in inner:
        yield from leaves(item, where)
    if not inner:
        yield path, value


def children(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The fields or the entries of a value, each with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield below(path, key), item
    elif isinstance(value, list | tuple):
        names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for number, item in enumerate(value):
            yield f"{path}[{names[number] if named else number}]", item


def find(value: Any, path: str) -> str:
    """The path, as `leaves` spells it, of the field that a person means by `path`.

    Raises:
        LookupError: there is no such field; the message says which step is missing and what there is.
    """
    here, at = "", 0
    while at < len(path):
        step = STEP.match(path, at)
        if not step or (at and path[at] not in ".["):
            raise LookupError(f"{path[at:][:80]!r} is not a path such as spec.template.spec.containers[0].image")
        inner = list(children(value, here))
        wanted = below(here, step["key"]) if step["key"] else f"{here}[{step['entry']}]"
        listed = inner if isinstance(value, list | tuple) else ()
        places = {f"{here}[{number}]": where for number, (where, _) in enumerate(listed)}
        try:
            here, value = next(pair for pair in inner if pair[0] in (wanted, places.get(wanted)))
        except StopIteration:
            there = ", ".join(where.removeprefix(here).lstrip(".") for where, _ in inner[:12])
            raise LookupError(f"no {wanted[:160]!r}, there is {there or 'nothing below it'}") from None
        at = step.end()
    return here
