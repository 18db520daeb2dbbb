"""What changes between two renderings, object by object and field by field."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from function.fields import leaves
from function.preview import Preview, identity
from function.resources import Manifest
from function.yaml_writer import scalar


class Change(NamedTuple):
    """One field that is not what it was; None is the side that does not have it."""

    path: str
    old: str | None
    new: str | None


def compare(old: Iterable[Preview], new: Iterable[Preview]) -> Iterator[tuple[str, list[Change]]]:
    """Every object that differs, as `Kind namespace/name` and its changes, in the order of rendering.

    An object of a claim keeps the name that it began with, because that is what Crossplane does with it.
    """
    before, after = by_claim(old), by_claim(new)
    for one in {**before, **after}:
        made = before.get(one) or after[one]
        was, is_now = (fields(side[one]) if one in side else {} for side in (before, after))
        kept = {"metadata.name"} if was and is_now else set()
        changes = [Change(path, was.get(path), is_now.get(path)) for path in {**was, **is_now} if path not in kept]
        changes = [change for change in changes if change.old != change.new]
        if changes:
            kind, namespace, name = identity(made)
            suffix = "" if was and is_now else " (new)" if is_now else " (deleted)"
            yield f"{kind} {namespace}/{name}{suffix}", changes


def by_claim(previews: Iterable[Preview]) -> Mapping[tuple[str, str, str], Manifest]:
    """Every object by its claim's namespace and name, and its key."""
    return {
        (preview.claim.namespace, preview.claim.name, key): made
        for preview in previews
        for key, made in preview.objects.items()
    }


def fields(made: Manifest) -> Mapping[str, str]:
    """The fields of an object, as YAML would show them."""
    return {path: scalar(value) for path, value in leaves(made)}
