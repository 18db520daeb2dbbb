"""Which claim field, size profile, platform setting or Secret decided each value of the rendered objects.

Nothing is annotated and nothing is guessed: every input is changed, one at a time, the claim is rendered again, and
what moved was decided by it. Rendering is pure and takes a fraction of a millisecond, so the answer is true by
construction and stays true when a renderer changes.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from function import identity, platform, resources
from function.fields import find, leaves
from function.preview import Preview
from function.resources import external_secrets
from function.sizes import SizeProfile
from function.yaml_writer import scalar

M = TypeVar("M", bound=BaseModel)
MOST_TRIES = 24  # values that one input is changed to
PEERS = {  # of fields that take one of a few words
    "timezone": ("UTC", "Europe/Berlin"),
    "kind": ("ClusterSecretStore", "SecretStore"),
    "effect": ("NoSchedule", "NoExecute"),
    "operator": ("Exists", "Equal", "NotIn", "In"),
    "whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    "nodeAffinityPolicy": ("Honor", "Ignore"),
    "nodeTaintsPolicy": ("Honor", "Ignore"),
}


@dataclass(frozen=True, slots=True)
class Input:
    """One value that something else could stand for: where it stands, and what a person calls that."""

    part: Literal["identity", "spec", "profile", "platform", "secret"]
    steps: tuple[str | int, ...]
    value: Any
    said: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One field of a rendered object and every input that moves it; none means that the function fixes it."""

    key: str
    path: str
    value: str
    inputs: tuple[str, ...]


def decisions(preview: Preview, path: str = "") -> Iterator[Decision]:
    """What decided each field of a claim's objects, below `path` where given (`deployment.spec.template.metadata`).

    Raises:
        LookupError: the claim becomes nothing that has that path.
    """
    key, _, inside = path.partition(".")
    if path and key not in preview.objects:
        raise LookupError(f"no {key[:80]!r}, there is {', '.join(preview.objects)}")
    wanted = find(preview.objects[key], inside) if inside else ""
    base = flat(preview.objects)
    moved: dict[tuple[str, str], list[str]] = defaultdict(list)
    for given in inputs(preview):
        for place in moves(preview, given, base):
            moved[place].append(given.said)
    for (name, field), value in base.items():
        if not path or (name == key and re.match(rf"{re.escape(wanted)}($|[.\[])" if wanted else "", field)):
            said = (*moved[name, field], *(reason for part in parents(field) for reason in moved[name, part]))
            yield Decision(name, field, value, tuple(dict.fromkeys(said)))


def inputs(preview: Preview) -> Iterator[Input]:
    """Every value that rendering can depend on."""
    asked, body = preview.claim, preview.document.body
    for steps, value in values(asked.spec.model_dump(by_alias=True, mode="json", exclude_none=True)):
        name = "spec" + spelt(steps)
        given = holds(body.get("spec"), steps)
        yield Input("spec", steps, value, f"{name} ({preview.document.place(name) if given else 'its default'})")
    reference = body.get("kind") == identity.COMPOSITE_KIND
    for field in ("name", "namespace"):
        steps = ("spec", "claimRef", field) if reference else ("metadata", field)
        where = ".".join(steps)
        yield Input("identity", steps, getattr(asked, field), f"{where} ({preview.document.place(where)})")
    settings = asked.platform
    for steps, value in values(
        settings.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"profiles"})
    ):
        default = holds(platform.DEFAULT.model_dump(by_alias=True, mode="json"), steps, value)
        yield Input("platform", steps, value, f"platform {spelt(steps)[1:]}{' (its default)' * default}")
    for steps, value in values(asked.profile.model_dump(by_alias=True, mode="json")):
        yield Input("profile", steps, value, f"size profile {asked.size}: {spelt(steps)[1:]}")
    for key, name in external_secrets.names(asked).items():
        if key in preview.hashes:
            yield Input("secret", (key,), preview.hashes[key], f"the data of the Secret {name}")


def moves(preview: Preview, given: Input, base: Mapping[tuple[str, str], str]) -> list[tuple[str, str]]:
    """The fields, or the highest parts that come and go as a whole, that changing one input moves."""
    changes: list[Mapping[tuple[str, str], str]] = []
    for other in alternatives(given, preview.claim.platform.sizes(preview.profiles)):
        with contextlib.suppress(ValidationError):
            changes.append(flat(rendered(preview, given, other)))
    # A change that adds or drops an entry also moves whatever stands behind it in a list: one that does not says more.
    moved: dict[tuple[str, str], None] = {}
    for there in [change for change in changes if change.keys() == base.keys()] or changes:
        parts = {(key, part) for key, field in there for part in (field, *parents(field))}
        for (key, field), value in base.items():
            if there.get((key, field)) != value:
                missing = [part for part in (field, *parents(field)) if (key, part) not in parts]
                moved[key, missing[-1] if missing else field] = None
    return list(moved)


def rendered(preview: Preview, given: Input, other: Any) -> Mapping[str, resources.Manifest]:
    """The claim's objects with one input changed: within what a field may hold, whatever the platform allows."""
    asked, hashes = preview.claim, preview.hashes
    if given.part == "secret":
        hashes = {**hashes, str(given.steps[0]): other}
    elif given.part == "platform":
        asked = replace(asked, platform=changed(asked.platform, given.steps, other))
    elif given.part == "profile":
        asked = replace(asked, profile=changed(asked.profile, given.steps, other))
    elif given.part == "spec":
        spec = changed(asked.spec, given.steps, other)
        asked = replace(asked, spec=spec, profile=asked.platform.sizes(preview.profiles)[spec.size])
    else:
        asked = replace(asked, **{str(given.steps[-1]): other})
    return resources.render(asked, asked.platform, hashes)


def changed(model: M, steps: Sequence[str | int], value: Any) -> M:
    """A copy of a model with another value at one place; raises ValidationError where that cannot stand there."""
    made: Any = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    here = made
    for step in steps[:-1]:
        here = here[step]
    here[steps[-1]] = value
    return type(model).model_validate(made)


def alternatives(given: Input, offered: Mapping[str, SizeProfile]) -> list[Any]:
    """Other values of the same sort; most are invalid somewhere, and those are passed over."""
    value, last = given.value, given.steps[-1]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if given.part == "spec" and given.steps == ("size",):
        return [size for size in offered if size != value]
    text = str(value)
    words = [f"{text[: word.end()]}x{text[word.end() :]}" for word in re.finditer("[A-Za-z]+", text)]
    digits = [
        f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}" for at in range(len(text)) if "0" <= text[at] <= "9"
    ]
    return [*PEERS.get(str(last), ()), *words[:MOST_TRIES], *digits[:MOST_TRIES]]


def values(node: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every scalar below a node, with the way to it."""
    if isinstance(node, Mapping | list):
        for step, item in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from values(item, (*steps, step))
    else:
        yield steps, node


def holds(node: Any, steps: Sequence[str | int], *wanted: Any) -> bool:
    """Whether there is something at the end of the way, and that it is what is wanted where that is given."""
    for step in steps:
        try:
            node = node[step]
        except (LookupError, TypeError):
            return False
    return not wanted or node == wanted[0]


def flat(objects: Mapping[str, resources.Manifest]) -> dict[tuple[str, str], str]:
    """The fields of every object, by the object's key and their path, as YAML shows them."""
    return {(key, path): scalar(value) for key, made in objects.items() for path, value in leaves(made)}


def parents(path: str) -> Iterator[str]:
    """The parts that a field is in, from the nearest to the object itself."""
    for found in reversed(list(re.finditer(r"\.|\[(?:'[^']*'|[^][]*)\]", path))):
        yield path[: found.start()]
    yield ""


def spelt(steps: Sequence[str | int]) -> str:
    """The steps as a path, with a dot before it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
