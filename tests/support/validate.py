"""What the API server would say to a manifest, from the official schemas.

Stricter than the schemas alone in the ways that a server-side apply is: an unknown field, a null, or a list with two
entries under one key is a fault. Faults are `kind/name: path: what`; no faults is an empty list.
"""

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
from jsonschema.protocols import Validator
from kubernetes_validate import utils
from referencing import Registry, Resource

from tools import generate_custom_schemas, gobinaries

Manifest = Mapping[str, Any]

RELEASES = ("1.33", "1.34", "1.35", "1.36", "1.37")  # of Kubernetes: minor versions in use, the oldest first
CUSTOM = {"ScaledObject": "scaled_object", "ExternalSecret": "external_secret"}


def unique_keys(_: Any, keys: list[str], entries: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """A list that is a map: two entries with the same key abort a server-side apply."""
    seen = [tuple(entry.get(key) for key in keys) for entry in entries]
    for twice in sorted({str(key) for key in seen if seen.count(key) > 1}):
        yield jsonschema.ValidationError(f"two entries with the key {twice}")


STRICT = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"x-kubernetes-list-map-keys": unique_keys})


def faults(manifest: Manifest, releases: Sequence[str] = RELEASES) -> list[str]:
    """Everything that the schemas refuse in a manifest; a built-in kind is checked against each release."""
    kind = manifest["kind"]
    if kind in CUSTOM:
        checks = [custom(kind), metadata_of_custom(releases[-1])]
    else:
        checks = [built_in(release, manifest["apiVersion"], kind) for release in releases]
    name = f"{kind}/{manifest['metadata']['name']}"
    found = {f"{name}: {place(e)}: {e.message}" for check in checks for e in check.iter_errors(manifest)}
    return sorted(found | {f"{name}: {path}: is null" for path in nulls(manifest)})


def place(error: jsonschema.ValidationError) -> str:
    """The path of a fault, as it is written in claims: `spec.ports[0].port`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Where a manifest holds a null."""
    match value:
        case None:
            yield path
        case Mapping():
            for key, part in value.items():
                yield from nulls(part, f"{path}.{key}".lstrip("."))
        case list() | tuple():
            for n, part in enumerate(value):
                yield from nulls(part, f"{path}[{n}]")


@functools.cache
def definitions(release: str) -> tuple[str, Registry[Any]]:
    """The folder of a release's strict schemas, and what they refer to."""
    version = next(v for v in utils.all_versions() if utils.major_minor(v) == release)
    folder = f"kubernetes-json-schema/v{version}-local-strict"
    return folder, Resource.from_contents(utils.schema_contents(f"{folder}/_definitions.json", release)) @ Registry()


@functools.cache
def built_in(release: str, api_version: str, kind: str) -> Validator:
    """Kubernetes' own schema of a kind, strict: what `kubernetes_validate.validate` checks, but loaded only once."""
    folder, registry = definitions(release)
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    return STRICT(utils.schema_contents(f"{folder}/{kind.lower()}-{group}.json", release), registry=registry)


@functools.cache
def custom(kind: str) -> Validator:
    """A custom resource's schema, strict about fields that it does not name; raises gomodules.UnavailableError."""
    return STRICT(strict(generate_custom_schemas.structural(CUSTOM[kind])))


@functools.cache
def metadata_of_custom(release: str) -> Validator:
    """The metadata of a custom resource, of which its own schema says nothing."""
    _, registry = definitions(release)
    meta = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    return STRICT({"properties": {"metadata": {"$ref": meta}}}, registry=registry)


def strict(schema: Any) -> Any:
    """A structural schema as JSON Schema, without the pruning that would hide an unknown field."""
    match schema:
        case {"x-kubernetes-int-or-string": True}:
            return {"type": ["integer", "string"]}
        case {"type": "object", "properties": properties, **rest} if not rest.get(
            "x-kubernetes-preserve-unknown-fields"
        ):
            return rest | {
                "type": "object",
                "properties": {name: strict(part) for name, part in properties.items()},
                "additionalProperties": False,
            }
        case dict():
            return {key: strict(part) for key, part in schema.items()}
        case _:
            return schema


def forbidden(pods: Sequence[Manifest]) -> list[list[str]]:
    """What Pod Security *restricted* forbids in each pod template; raises gomodules.UnavailableError."""
    judge = gobinaries.build("pod-security", "agent-executor/tests/pod-security")
    done = subprocess.run([judge], input=json.dumps(pods), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"pod-security: {done.stderr.strip()}")
    found: list[list[str]] = json.loads(done.stdout)
    return found
