"""Generate `function/schemas/` for the kinds of KEDA and External Secrets.

The source is their custom resource definitions, read from the pinned Go modules. Such a definition is one nested
schema whose parts have no names: a part is named after its key, with its parent's name before it where that is taken.
"""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from tools import gomodules
from tools.typed_dicts import PACKAGE, SCALARS, Record, Schema, literal, manifest, module

KINDS = {  # module: (Go module, file of the definition, version)
    "scaled_object": ("github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml", "v1alpha1"),
    "external_secret": (
        "github.com/external-secrets/external-secrets",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
        "v1",
    ),
}


def title(key: str) -> str:
    """`imagePullSecrets` -> `ImagePullSecrets`."""
    return key[:1].upper() + key[1:]


def one(name: str) -> str:
    """The name of one item of a list: `Policies` -> `Policy`, `Triggers` -> `Trigger`."""
    return name[:-3] + "y" if name.endswith("ies") else re.sub(r"(?<=[a-z])(?<!s)s$", "", name)


@dataclass
class Records:
    """The records of one custom resource, each under a name of its own."""

    named: dict[str, Record] = field(default_factory=dict)

    def name(self, wish: str, parent: str, record: Record) -> str:
        """Keep a record under the first name that is free, or that an equal record already has."""
        for candidate in (wish, parent + wish):
            if self.named.setdefault(candidate, record) == record:
                return candidate
        raise ValueError(f"{parent}.{wish}: three records want this name")

    def type_of(self, schema: Schema, wish: str, parent: str) -> str:
        """The Python type of one field; records inside it are kept on the way."""
        if schema.get("x-kubernetes-int-or-string"):
            return "int | str"
        if "enum" in schema:
            return literal(schema["enum"])
        match schema.get("type"):
            case "array":
                return f"list[{self.type_of(schema['items'], one(wish), parent)}]"
            case "object" if "properties" in schema:
                return self.name(wish, parent, self.record(schema, wish))
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return f"Mapping[str, {self.type_of(schema['additionalProperties'], one(wish), parent)}]"
            case "object":
                return "Mapping[str, Any]"
            case None:
                return "Any"
            case scalar:
                return SCALARS[scalar]

    def record(self, schema: Schema, name: str) -> Record:
        """The fields of one object schema."""
        types = {k: self.type_of(s, title(k), name) for k, s in schema["properties"].items()}
        return Record(types, set(schema.get("required", ())))


@functools.cache
def definition(name: str) -> Schema:
    """The CustomResourceDefinition behind one of KINDS; raises gomodules.UnavailableError."""
    go_module, file, _ = KINDS[name]
    found: Schema = YAML(typ="safe", pure=True).load(gomodules.directory(go_module) / file)
    return found


def structural(name: str) -> Schema:
    """Its OpenAPI schema, in the version that is used."""
    version = next(v for v in definition(name)["spec"]["versions"] if v["name"] == KINDS[name][2])
    found: Schema = version["schema"]["openAPIV3Schema"]
    return found


def files() -> dict[Path, str]:
    """One module for each kind, by path."""
    found = {}
    for name, (go_module, _, version) in KINDS.items():
        spec = definition(name)["spec"]
        kind, records = spec["names"]["kind"], Records()
        wish = f"{kind}Spec"
        records.named[wish] = records.record(structural(name)["properties"]["spec"], wish)
        records.named[kind] = manifest(f"{spec['group']}/{version}", kind, Record({"spec": wish}))
        origin = f"{go_module} {gomodules.version(go_module)}"
        found[PACKAGE / f"{name}.py"] = module(origin, records.named, {"ObjectMeta"})
    return found
