"""Generate `function/schemas/`: TypedDicts for every kind that the function composes.

The types come from the official schemas: Kubernetes' own (as `kubernetes-validate` ships them) and the custom resource
definitions of KEDA and External Secrets (from their pinned Go modules). `status` is left out, for nobody renders it,
and so are nulls, which the API server accepts but a server-side apply should never send.
"""

import functools
import json
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tools import gomodules

Schema = dict[str, Any]

PACKAGE = Path("function/schemas")
SHARED = "core"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
FORMATS = {"IntOrString": "int | str", "Quantity": "int | str"}  # a float is a quantity too, but never one to write

KUBERNETES = {  # module: (apiVersion, kind)
    "service_account": ("v1", "ServiceAccount"),
    "deployment": ("apps/v1", "Deployment"),
    "service": ("v1", "Service"),
    "network_policy": ("networking.k8s.io/v1", "NetworkPolicy"),
    "pod_disruption_budget": ("policy/v1", "PodDisruptionBudget"),
}
CUSTOM = {  # module: (Go module, file of the definition, version)
    "scaled_object": ("github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml", "v1alpha1"),
    "external_secret": (
        "github.com/external-secrets/external-secrets",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
        "v1",
    ),
}


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


def title(key: str) -> str:
    """`imagePullSecrets` -> `ImagePullSecrets`."""
    return key[:1].upper() + key[1:]


def one(name: str) -> str:
    """The name of one item of a list: `Policies` -> `Policy`, `Triggers` -> `Trigger`."""
    return re.sub(r"ies$", "y", name) if name.endswith("ies") else re.sub(r"(?<=[a-z])(?<!s)s$", "", name)


def only_type(schema: Schema) -> str | None:
    """The JSON type, where Kubernetes adds null to it."""
    types = schema.get("type")
    return next((t for t in types if t != "null"), None) if isinstance(types, list) else types


def literal(values: list[Any]) -> str:
    """A type of these values only."""
    return f"Literal[{', '.join(json.dumps(v) for v in values if v is not None)}]"


# Kubernetes: one set of definitions that refer to each other by name.


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


def full_name(ref: str) -> str:
    return ref.rpartition("/")[2]


def short(full: str) -> str:
    return full.rpartition(".")[2]


def is_record(full: str) -> bool:
    return bool(definitions()[full].get("properties"))


def kubernetes_type(schema: Schema) -> str:
    """The Python type of one field of a Kubernetes definition."""
    if ref := schema.get("$ref"):
        name = full_name(ref)
        if is_record(name):
            return short(name)
        return FORMATS.get(short(name)) or kubernetes_type(definitions()[name])
    if "enum" in schema:
        return literal(schema["enum"])
    match only_type(schema):
        case "array":
            return f"list[{kubernetes_type(schema['items'])}]"
        case "object" if "additionalProperties" in schema:
            return f"Mapping[str, {kubernetes_type(schema['additionalProperties'])}]"
        case "object" | None:
            return "Mapping[str, Any]"
        case scalar:
            return SCALARS[scalar]


def kubernetes_record(schema: Schema) -> Record:
    fields = {k: kubernetes_type(s) for k, s in schema["properties"].items() if not is_status(s)}
    return Record(fields, set(schema.get("required", ())))


def is_status(schema: Schema) -> bool:
    return full_name(schema.get("$ref", "")).endswith("Status")


def reachable(full: str, found: dict[str, Schema] | None = None) -> dict[str, Schema]:
    """The records that a definition is made of, itself included."""
    found = {} if found is None else found
    if full not in found and is_record(full):
        found[full] = definitions()[full]
        for name in references({k: s for k, s in found[full]["properties"].items() if not is_status(s)}):
            reachable(name, found)
    return found


def references(schema: Any) -> Iterator[str]:
    match schema:
        case {"$ref": str(ref)}:
            yield full_name(ref)
        case dict():
            for part in schema.values():
                yield from references(part)


def root(api_version: str, kind: str) -> str:
    """The full name of a kind's definition."""
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "kind": kind, "version": version}
    return next(n for n, s in definitions().items() if wanted in s.get("x-kubernetes-group-version-kind", ()))


def own(full: str, kind: str) -> bool:
    """Whether a definition belongs beside its kind, rather than among the shared ones."""
    return short(full).startswith(kind) or not full.startswith(("io.k8s.api.core.", "io.k8s.apimachinery."))


# Custom resources: one nested schema, whose parts have no names of their own.


@dataclass
class Names:
    """Names for the records of a custom resource: a part's own key, with its parent's before it where that is taken."""

    records: dict[str, Record] = field(default_factory=dict)

    def add(self, name: str, parent: str, record: Record) -> str:
        for candidate in (name, parent + name):
            if self.records.setdefault(candidate, record) == record:
                return candidate
        raise ValueError(f"{parent}.{name}: two records want this name, give one of them another")

    def type_of(self, schema: Schema, name: str, parent: str) -> str:
        if schema.get("x-kubernetes-int-or-string"):
            return "int | str"
        if "enum" in schema:
            return literal(schema["enum"])
        match schema.get("type"):
            case "array":
                return f"list[{self.type_of(schema['items'], one(name), parent)}]"
            case "object" if "properties" in schema:
                return self.add(name, parent, self.record(schema, name))
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return f"Mapping[str, {self.type_of(schema['additionalProperties'], one(name), parent)}]"
            case "object" | None:
                return "Mapping[str, Any]" if schema.get("type") else "Any"
            case scalar:
                return SCALARS[scalar]

    def record(self, schema: Schema, name: str) -> Record:
        fields = {k: self.type_of(s, title(k), name) for k, s in schema["properties"].items()}
        return Record(fields, set(schema.get("required", ())))


@functools.cache
def custom_definition(module: str, file: str) -> Schema:
    """A CustomResourceDefinition from a pinned Go module."""
    found: Schema = YAML(typ="safe", pure=True).load(gomodules.directory(module) / file)
    return found


# Modules.


def manifest(api_version: str, kind: str, record: Record) -> Record:
    """A whole object: its identity is fixed and it must have what makes it one."""
    identity = {"apiVersion": literal([api_version]), "kind": literal([kind]), "metadata": "ObjectMeta"}
    rest = {k: t for k, t in record.fields.items() if k not in identity and k != "status"}
    return Record(identity | rest, {*identity, *({"spec"} & rest.keys()), *(record.required & rest.keys())})


def source(origin: str, records: dict[str, Record], shared: set[str] | frozenset[str] = frozenset()) -> str:
    """The text of one module."""
    body = "\n\n\n".join("\n".join(record.lines(name)) for name, record in sorted(records.items()))
    used = sorted(n for n in shared if n not in records and re.search(rf"\b{n}\b", body))
    typing = sorted(n for n in ("Any", "Literal", "Required", "TypedDict") if re.search(rf"\b{n}\b", body))
    imports = [
        "from collections.abc import Mapping" if "Mapping[" in body else "",
        f"from typing import {', '.join(typing)}",
    ]
    lines = [
        f'"""Generated from {origin} by `python -m tools.generate`: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        *filter(None, imports),
    ]
    if used:
        lines += ["", f"from function.schemas.{SHARED} import {', '.join(used)}"]
    return "\n".join([*lines, "", "", body, ""])


def kubernetes_modules() -> dict[Path, str]:
    """The shared module and one for each built-in kind."""
    origin = f"the schemas of Kubernetes {release()} in kubernetes-validate {metadata.version('kubernetes-validate')}"
    shared = {META: definitions()[META]}
    owned: dict[str, dict[str, Record]] = {}
    for module, (api_version, kind) in KUBERNETES.items():
        top = root(api_version, kind)
        parts = reachable(top)
        owned[module] = {short(n): kubernetes_record(s) for n, s in parts.items() if own(n, kind) and n != top}
        owned[module][kind] = manifest(api_version, kind, kubernetes_record(parts[top]))
        shared |= {n: s for n, s in parts.items() if not own(n, kind)}
    shared |= reachable(META)
    common = {short(n): kubernetes_record(s) for n, s in shared.items()}
    if len(common) != len(shared):
        raise ValueError("two shared definitions have the same short name")
    for records in owned.values():  # the token projection of a pod is no part of a ServiceAccount
        for name in records.keys() & common.keys():
            del records[name]
    files = {SHARED: source(origin, common)} | {m: source(origin, r, common.keys()) for m, r in owned.items()}
    return {PACKAGE / f"{m}.py": text for m, text in files.items()}


def custom_modules() -> dict[Path, str]:
    """One module for each custom kind; raises gomodules.UnavailableError where the definitions cannot be had."""
    files = {}
    for module, (go_module, file, version) in CUSTOM.items():
        spec = custom_definition(go_module, file)["spec"]
        kind, names = spec["names"]["kind"], Names()
        served = next(v for v in spec["versions"] if v["name"] == version)["schema"]["openAPIV3Schema"]
        wish = f"{kind}Spec"
        names.records[wish] = names.record(served["properties"]["spec"], wish)
        names.records[kind] = manifest(f"{spec['group']}/{version}", kind, Record({"spec": wish}))
        origin = f"{go_module} {gomodules.version(go_module)}"
        files[PACKAGE / f"{module}.py"] = source(origin, names.records, {"ObjectMeta"})
    return files


def files() -> dict[Path, str]:
    """Every generated file, by its path in the repository."""
    init = '"""Types of the manifests, one module for each kind: generated, and only for the type checker."""\n'
    return {PACKAGE / "__init__.py": init, **kubernetes_modules(), **custom_modules()}
