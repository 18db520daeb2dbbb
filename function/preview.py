"""Files to rendered objects, without Crossplane: the pure core of the function, fed from documents.

Invariant: all or nothing. Where one claim of several is invalid, every fault of every claim is reported and nothing is
rendered, so that half of a change can never be piped into `kubectl apply`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from function import causes, claim, documents, platform, readiness, resources, rotation, sizes, status
from function.claim import Claim
from function.documents import Document
from function.invalid import Invalid
from function.model import EMPTY, model_at
from function.observed import at, text
from function.platform import Platform
from function.readiness import Readiness
from function.refusals import RefusedError, UnreadableError
from function.resources import Manifest, external_secrets
from function.sizes import SizeProfile
from function.spec import Spec


@dataclass(frozen=True, slots=True)
class Preview:
    """A claim of a file, and what it becomes."""

    document: Document
    claim: Claim
    profiles: Mapping[str, SizeProfile]
    objects: Mapping[str, Manifest]
    hashes: Mapping[str, str] = EMPTY


def load(
    names: Sequence[str],
    input_file: str | None = None,
    profiles: Mapping[str, SizeProfile] | None = None,
    observed: Sequence[Mapping[str, Any]] = (),
) -> list[Preview]:
    """Every claim in the files, directories and `-`, rendered for the platform of `input_file`.

    Of what is `observed` only the hashes of Secrets have a part in that, and only where the platform asks for it.

    Raises:
        RefusedError: at least one of the claims is invalid.
        UnreadableError: a file is, or the platform's Input is invalid.
    """
    settings, offered = read_platform(input_file), sizes.STANDARD if profiles is None else profiles
    found: list[Preview] = []
    faults: list[str] = []
    for document in documents.claims(names):
        try:
            asked = claim.parse(as_sent(document.body), settings, offered)
        except Invalid as error:
            faults += located(document, error)
        else:
            hashes = secrets(asked, observed) if observed else EMPTY
            found.append(Preview(document, asked, offered, resources.render(asked, settings, hashes), hashes))
    if faults:
        raise RefusedError("\n".join(faults))
    return found


def as_sent(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A claim as the API server hands it on: of declared fields, those that were left blank are not there.

    That is `PruneNonNullableNullsWithoutDefaults` of k8s.io/apiextensions-apiserver: it knows no null in such a field.
    """
    return {key: _filled(value, ()) if key == "spec" else value for key, value in body.items()}


def _filled(value: Any, steps: tuple[int | str, ...]) -> Any:
    if isinstance(value, list):
        return [_filled(entry, (*steps, number)) for number, entry in enumerate(value)]
    if not isinstance(value, dict):
        return value
    try:
        declared = {field.alias for field in model_at(Spec, steps).model_fields.values()}
    except LookupError:  # a map, or nothing that is known
        return value
    return {
        key: _filled(entry, (*steps, key)) for key, entry in value.items() if not (entry is None and key in declared)
    }


def collisions(previews: Iterable[Preview]) -> Iterator[str]:
    """Of claims that would be in each other's way in one cluster: who makes what another one makes already.

    A warning and no fault, because the claims of a repository may be those of several clusters.
    """
    made: dict[tuple[str, str, str], Preview] = {}
    for one in previews:
        for manifest in one.objects.values():
            kind, namespace, name = where = identity(manifest, one.claim.namespace)
            first = made.setdefault(where, one)
            if first.claim.name != one.claim.name:
                yield (
                    f"{one.document.place()}: {one.claim.namespace}/{one.claim.name} makes {kind} {namespace}/{name}, "
                    f"as does {first.claim.name} ({first.document.place()}): in one cluster only one of them gets it"
                )


def read_platform(name: str | None) -> Platform:
    """The platform of an Input's file, or the default one."""
    if name is None:
        return platform.DEFAULT
    document = documents.platform(name)
    try:
        return platform.parse(document.body)
    except Invalid as error:
        raise UnreadableError("\n".join(located(document, error, "input."))) from None


def located(document: Document, error: Invalid, root: str = "") -> Iterator[str]:
    """Each fault of a document behind the file and line that it is mended in."""
    for fault in error.faults:
        path = fault.partition(": ")[0].removeprefix(root)
        yield f"{document.place(path)}: {fault}"


def secrets(asked: Claim, observed: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """The hashes of a claim's Secrets, as the function would have them with these objects there."""
    here = {identity(found, asked.namespace): found for found in observed}
    names = external_secrets.names(asked).items()
    there = ((key, here.get(("Secret", asked.namespace, name))) for key, name in names)
    synced = rotation.known((key, found) for key, found in there if found)
    return rotation.hashes(synced, here.get(("Deployment", asked.namespace, asked.name)))


def pods(
    asked: Claim, deployment: Mapping[str, Any], observed: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """The pods among these objects that Crossplane would send for the Deployment's latest rollout."""
    labels = causes.selector(asked, deployment).items()
    for found in observed:
        if identity(found, asked.namespace)[:2] == ("Pod", asked.namespace):
            there = at(found, "metadata", "labels")
            if isinstance(there, Mapping) and labels <= there.items():
                yield found


def report(preview: Preview, observed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the function would say of a claim, line by line: its objects' readiness and its own conditions.

    `observed` are objects as `kubectl get -o yaml` shows them. One belongs to the claim if Crossplane has noted that
    on it, or if it has the kind, name and namespace (the claim's, where it has none) of an object that the claim
    becomes; others are passed over.
    """
    namespace = preview.claim.namespace
    here = {identity(found, namespace): found for found in observed}
    there = {_composed(found, namespace): found for found in observed}
    seen = {}
    for key, made in preview.objects.items():
        kind, where, name = identity(made, namespace)
        if known := there.get((kind, where, preview.claim.name, key)) or here.get((kind, where, name)):
            seen[key] = known
    kinds = {key: resources.REGISTRY[key].kind for key in preview.objects}
    found: Mapping[str, Readiness] = {key: readiness.judge(kinds[key], key, seen, preview.claim) for key in kinds}
    if causes.asked(preview.claim, found):
        found = causes.told(found, causes.known(pods(preview.claim, seen["deployment"], observed)))
    judged = rotation.hold(preview.claim, preview.hashes, found)
    ready = all(each.ready for each in judged.values())
    yield f"{namespace}/{preview.claim.name}: {'ready' if ready else 'not ready'}"
    for key, each in judged.items():
        yield f"  {key}: {'ready' if each.ready else 'not ready'}, {each.reason}{each.message and f': {each.message}'}"
    for condition in status.conditions(preview.claim, judged):
        said = condition.message and f": {condition.message}"
        yield f"  {condition.type}={condition.holds}, {condition.reason}{said}"


def _composed(found: Mapping[str, Any], namespace: str) -> tuple[str, str, str, str]:
    """What Crossplane notes on an object that it composes: claim and key. A name is what it was in the beginning."""
    kind, where, _ = identity(found, namespace)
    # The composite of the namespaced model has the claim's name itself.
    marks = ("crossplane.io/claim-name", "crossplane.io/composite")
    owner = next(filter(None, (text(found, "metadata", "labels", mark) for mark in marks)), "")
    return kind, where, owner, text(found, "metadata", "annotations", "crossplane.io/composition-resource-name")


def identity(manifest: Mapping[str, Any], namespace: str = "") -> tuple[str, str, str]:
    """What makes an object that object: kind, namespace and name; `namespace` where it has none of its own."""
    metadata = manifest.get("metadata")
    named = metadata if isinstance(metadata, Mapping) else {}
    return str(manifest.get("kind")), str(named.get("namespace") or namespace), str(named.get("name"))
