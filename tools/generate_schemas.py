"""Generate `function/schemas/` for the kinds that Kubernetes itself has.

The source is Kubernetes' own schemas, as the installed `kubernetes-validate` ships them, newest release. Nulls, which
they allow everywhere, are left out: a server-side apply should never send one.
"""

import functools
import json
import re
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from tools.typed_dicts import PACKAGE, SCALARS, SHARED, Record, Schema, literal, manifest, module

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
KINDS = {  # module: (apiVersion, kind)
    "service_account": ("v1", "ServiceAccount"),
    "deployment": ("apps/v1", "Deployment"),
    "service": ("v1", "Service"),
    "network_policy": ("networking.k8s.io/v1", "NetworkPolicy"),
    "pod_disruption_budget": ("policy/v1", "PodDisruptionBudget"),
}
UNIONS = {"IntOrString": "int | str", "Quantity": "int | str"}  # a float is a quantity too, but never one to write


def release() -> str:
    """The newest Kubernetes that the installed schemas describe, such as `1.34.0`."""
    names = (p.name for p in resources.files("kubernetes_validate").joinpath("kubernetes-json-schema").iterdir())
    versions = (m[1] for n in names if (m := re.fullmatch(r"v(\d+\.\d+\.\d+)-local-strict", n)))
    return max(versions, key=lambda v: tuple(map(int, v.split("."))))


@functools.cache
def definitions() -> dict[str, Schema]:
    """Every definition of that release, by its full name."""
    folder = resources.files("kubernetes_validate").joinpath("kubernetes-json-schema", f"v{release()}-local-strict")
    found: dict[str, Schema] = json.loads(folder.joinpath("_definitions.json").read_text())["$defs"]
    return found


def short(full: str) -> str:
    """The last part of a name or a reference."""
    return re.split(r"[./]", full)[-1]


def is_record(full: str) -> bool:
    """Whether a definition has fields, rather than being a scalar or a free map."""
    return bool(definitions()[full].get("properties"))


def type_of(schema: Schema) -> str:
    """The Python type of one field."""
    if ref := schema.get("$ref"):
        full = ref.rpartition("/")[2]
        return short(full) if is_record(full) else UNIONS.get(short(full)) or type_of(definitions()[full])
    if "enum" in schema:
        return literal(schema["enum"])
    types = schema.get("type")
    match next((t for t in types if t != "null"), None) if isinstance(types, list) else types:
        case "array":
            return f"list[{type_of(schema['items'])}]"
        case "object" if "additionalProperties" in schema:
            return f"Mapping[str, {type_of(schema['additionalProperties'])}]"
        case "object" | None:
            return "Mapping[str, Any]"
        case scalar:
            return SCALARS[scalar]


def record(schema: Schema) -> Record:
    """The fields of one definition."""
    return Record({k: type_of(s) for k, s in fields(schema).items()}, set(schema.get("required", ())))


def fields(schema: Schema) -> dict[str, Schema]:
    """What a person may write: `status` is the cluster's."""
    return {k: s for k, s in schema["properties"].items() if k != "status"}


def reachable(full: str, found: dict[str, Schema] | None = None) -> dict[str, Schema]:
    """The records that a definition is made of, itself included."""
    found = {} if found is None else found
    if full not in found and is_record(full):
        found[full] = definitions()[full]
        for name in references(fields(found[full])):
            reachable(name, found)
    return found


def references(schema: Any) -> Iterator[str]:
    """The full names that a schema refers to."""
    match schema:
        case {"$ref": str(ref)}:
            yield ref.rpartition("/")[2]
        case dict():
            for part in schema.values():
                yield from references(part)


def root(api_version: str, kind: str) -> str:
    """The full name of a kind's definition."""
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "kind": kind, "version": version}
    return next(n for n, s in definitions().items() if wanted in s.get("x-kubernetes-group-version-kind", ()))


def is_own(full: str, kind: str) -> bool:
    """Whether a definition belongs beside its kind, rather than among the shared ones."""
    return short(full).startswith(kind) or not full.startswith(("io.k8s.api.core.", "io.k8s.apimachinery."))


def files() -> dict[Path, str]:
    """The shared module and one for each kind, by path."""
    origin = f"the schemas of Kubernetes {release()} in kubernetes-validate {metadata.version('kubernetes-validate')}"
    shared = reachable(META)
    kinds: dict[str, dict[str, Record]] = {}
    for name, (api_version, kind) in KINDS.items():
        top = root(api_version, kind)
        parts = reachable(top)
        kinds[name] = {short(n): record(s) for n, s in parts.items() if is_own(n, kind)}
        kinds[name][kind] = manifest(api_version, kind, kinds[name][kind])
        shared |= {n: s for n, s in parts.items() if not is_own(n, kind)}
    common = {short(n): record(s) for n, s in shared.items()}
    if len(common) != len(shared):
        raise ValueError("two shared definitions have the same short name")
    texts = {SHARED: module(origin, common)} | {n: module(origin, records, common) for n, records in kinds.items()}
    init = '"""Types of the manifests, one module for each kind: generated, and only for the type checker."""\n'
    return {PACKAGE / "__init__.py": init} | {PACKAGE / f"{n}.py": text for n, text in texts.items()}
