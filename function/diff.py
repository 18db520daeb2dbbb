"""What changes between two renderings, object by object and field by field."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from function.fields import leaves
from function.preview import Preview, identity
from function.yaml_writer import scalar


class Change(NamedTuple):
    """One field that is not what it was; None is the side that does not have it."""

    path: str
    old: str | None
    new: str | None


def compare(old: Iterable[Preview], new: Iterable[Preview]) -> Iterator[tuple[str, list[Change]]]:
    """Every object that differs, as `Kind namespace/name` and its changes, in the order of rendering."""
    before, after = by_identity(old), by_identity(new)
    for kind, namespace, name in {**before, **after}:
        was, is_now = before.get((kind, namespace, name), {}), after.get((kind, namespace, name), {})
        changes = [Change(path, was.get(path), is_now.get(path)) for path in {**was, **is_now}]
        changes = [change for change in changes if change.old != change.new]
        if changes:
            suffix = "" if was and is_now else " (new)" if is_now else " (deleted)"
            yield f"{kind} {namespace}/{name}{suffix}", changes


def by_identity(previews: Iterable[Preview]) -> Mapping[tuple[str, str, str], Mapping[str, str]]:
    """The fields of every object, as YAML would show them."""
    objects: Iterator[Mapping[str, Any]] = (made for preview in previews for made in preview.objects.values())
    return {identity(made): {path: scalar(value) for path, value in leaves(made)} for made in objects}
