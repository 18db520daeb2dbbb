"""docs/reference/api.md: every field of a claim, of its status and of the function's Input."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from function import platform, schema, sizes

HEADER = """# API reference

Generated from `function/spec.py`, `function/platform.py` and `function/sizes.py` by `make generate`.

A field without a default is decided by the size profile or by the platform where its description says so, and is
otherwise absent. The same fields make up a claim, a cluster-scoped composite and a namespaced composite.
"""
STATUS = """
### Status

Conditions: `Synced` and `Ready` are Crossplane's; `SpecValid`, `SecretsReady`, `WorkloadAvailable` and `ScalingReady`
are the function's.
"""
TABLE = "| field | type | default | meaning |\n|---|---|---|---|"


def files() -> dict[Path, str]:
    """The one page, by its path from the repository's root."""
    claim = schema.xrd_claim()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    given = schema.input_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    parts = [
        HEADER,
        "## `AgentExecutor`, `platform.bizmatters.io/v1alpha1`\n",
        _table("spec", claim["spec"]),
        STATUS,
        _table("status", claim["status"]),
        "\n### Size profiles\n",
        _profiles(),
        f"\n## `{platform.KIND}`, `{platform.API_VERSION}`\n",
        "The `input` of the function's step in a Composition's pipeline.\n",
        _table("spec", given),
    ]
    return {Path("docs/reference/api.md"): "\n".join(parts) + "\n"}


def _table(root: str, node: dict[str, Any]) -> str:
    rows = (
        f"| `{path}` | {_kind(field, required=required)} | {_default(field)} | {_meaning(field)} |"
        for path, field, required in _fields(root, node)
    )
    return "\n".join((TABLE, *rows))


def _fields(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field below a node with its path, whether it must be given, parents before children."""
    for name, field in node.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, field, name in node.get("required", ())
        yield from _fields(f"{here}[]", field["items"]) if "items" in field else _fields(here, field)
        if "additionalProperties" in field:
            yield from _fields(f"{here}.*", field["additionalProperties"])


def _kind(field: dict[str, Any], *, required: bool) -> str:
    kind = field["type"]
    if kind == "array":
        kind = f"list of {field['items']['type']}s"
    elif "additionalProperties" in field:
        kind = f"map of {field['additionalProperties']['type']}s"
    return f"{kind}, required" if required else kind


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if isinstance(default, list):
        default = ", ".join(item["cidr"] if isinstance(item, dict) else str(item) for item in default)
    return "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _meaning(field: dict[str, Any]) -> str:
    said = [field["description"].rstrip(".").replace("|", r"\|") + "."]
    if "enum" in field:
        said.append(f"One of {', '.join(f'`{value}`' for value in field['enum'])}.")
    if "minimum" in field and "maximum" in field:
        said.append(f"{field['minimum']} to {field['maximum']}.")
    if "maxLength" in field:
        said.append(f"At most {field['maxLength']} characters.")
    if "maxItems" in field:
        said.append(f"At most {field['maxItems']} entries.")
    said += [f"Checked: {rule['message']}." for rule in field.get("x-kubernetes-validations", ())]
    return " ".join(said)


def _profiles() -> str:
    rows = [
        (name, *(f"{r.request} / {r.limit}" for r in (p.cpu, p.memory)), p.concurrency, p.max_replicas)
        for name, p in sizes.STANDARD.items()
    ]
    head = ("size", "CPU request / limit", "memory request / limit", "concurrency", "maxReplicas")
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))
