"""What a release has promised to those who run its claims, written down once, to be compared with ever after.

`make released` renders every example and writes what others build against into `tests/function/released/VERSION.json`:
claims with their platforms, and of what they become the composition's keys, names, kinds, selectors, ports and keys of
Secrets. A record holds all that it takes to compare, so that neither tags nor a newer example are needed. One that is
there holds: nothing is written that breaks it.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from function import claim, documents, platform, preview, resources, yaml_reader
from function.invalid import Invalid
from tools.packages import version
from tools.render_examples import ROOT, examples

RECORDS = Path("tests/function/released")
DEFINITIONS = ("apis/claim/definition.yaml", "apis/namespaced/definition.yaml")
INPUT = "package/input/agentexecutor.fn.bizmatters.io_agentexecutorplatforms.yaml"
COMPOSITIONS = ("apis/claim/composition.yaml", "apis/namespaced/composition.yaml")
# Where jobs, results and state are: executors of another release go on with what those before have put there.
PLACES = (
    "NATS_STREAM",
    "NATS_CONSUMER",
    "NATS_SUBJECT_PREFIX",
    "NATS_STATUS_STREAM",
    "NATS_DEAD_LETTER_STREAM",
    "POSTGRES_SCHEMA",
)


def record() -> dict[str, Any]:
    """The record of what is here now."""
    found = {}
    for example in examples():
        given = documents.platform(str(ROOT / example.platform)).body if example.platform else None
        (asked,) = documents.claims([str(ROOT / example.claim)])
        found[str(example.claim)] = {
            "claim": asked.body,
            "platform": given,
            "objects": composed(asked.body, given),
        }
    return {"version": version(), "definitions": definitions(), "migrations": migrations(), "examples": found}


def composed(asked: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is promised of each object of a claim, by its key in the composition.

    Raises:
        Invalid: the claim or its platform is refused.
    """
    settings = platform.parse(given)
    made = resources.render(claim.parse(asked, settings), settings)
    return {key: promise(manifest) for key, manifest in made.items()}


def promise(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object others build against."""
    _, namespace, name = preview.identity(manifest)
    of = {"kind": manifest["kind"], "apiVersion": manifest["apiVersion"], "namespace": namespace, "name": name}
    return of | dict(parts(manifest["kind"], manifest.get("spec") or {}))


def parts(kind: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of a spec is promised: `selector` and the like are never to change, `has …` may only grow."""
    match kind:
        case "Deployment":
            yield "selector", spec["selector"]
            pod = spec["template"]["spec"]
            yield "has labels", [f"{k}={v}" for k, v in spec["template"]["metadata"]["labels"].items()]
            for container in (*pod["initContainers"], *pod["containers"]):
                values = {one["name"]: one["value"] for one in container["env"] if one["name"] in PLACES}
                yield f"places of {container['name']}", values
                yield f"has env of {container['name']}", [variable["name"] for variable in container["env"]]
                yield (
                    f"has ports of {container['name']}",
                    [f"{port['name']} {port['containerPort']}" for port in container.get("ports", ())],
                )
        case "Service":
            yield "selector", spec["selector"]
            yield "has ports", [f"{port['name']} {port['port']}" for port in spec["ports"]]
        case "ExternalSecret":
            yield "secret", spec["target"]["name"]
            # Not one more: it would be a parameter that a platform does not have, and no key of the Secret would come.
            yield "keys", {one["secretKey"]: one["remoteRef"]["key"] for one in spec["data"]}
        case "ScaledObject":
            yield "target", spec["scaleTargetRef"]
        case "NetworkPolicy":
            yield "selector", spec["podSelector"]
        case "PodDisruptionBudget":
            yield "selector", spec["selector"]


def definitions() -> dict[str, Any]:
    """The names that claims, composites and Inputs are written with, and the name of what is called for them."""
    found: dict[str, Any] = {}
    for path in (*DEFINITIONS, INPUT):
        spec = read(path)["spec"]
        names = {key: spec[key] for key in ("group", "names", "claimNames", "scope") if key in spec}
        found[path] = names | {"has versions": [one["name"] for one in spec["versions"] if one["served"]]}
    for path in COMPOSITIONS:
        body = read(path)
        steps = [step["step"] for step in body["spec"]["pipeline"]]
        found[path] = {"name": body["metadata"]["name"], "type": body["spec"]["compositeTypeRef"], "steps": steps}
    return found


@functools.cache
def read(path: str) -> dict[str, Any]:
    """The one document of a file."""
    (body,) = yaml_reader.parse((ROOT / path).read_text("utf-8"))
    return body.value


def migrations() -> dict[str, str]:
    """The digest of each migration: databases remember those that they have had, and refuse one that has changed."""
    there = sorted((ROOT / "migrations").glob("*.up.sql"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in there}


def faults(released: Mapping[str, Any]) -> Iterator[str]:
    """What of a record no longer holds, each with what that would do to those who have that release."""
    here, files = definitions(), migrations()
    for path, promised in released["definitions"].items():
        for what, was, now in changed(promised, here.get(path, {})):
            yield f"{path}: {what} {now}, it was {was} in {released['version']}: what was written for it is refused"
    for name, digest in released["migrations"].items():
        if files.get(name) != digest:
            yield f"migrations/{name}: is not what it was in {released['version']}: databases that had it refuse it"
    for example, was in released["examples"].items():
        try:
            now = composed(was["claim"], was["platform"])
        except Invalid as error:
            yield f"{example} of {released['version']} is refused now: {error}"
        else:
            yield from (f"{example} of {released['version']}: {fault}" for fault in differences(was["objects"], now))


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What would happen to the objects of a claim that is there; objects that are new are nobody's loss."""
    keys = {whole(promised): key for key, promised in now.items()}
    for key, old in was.items():
        new = now.get(key)
        if new is None:
            other = keys.get(whole(old))
            if other is None:
                yield f"{key} is gone: Crossplane would delete {whole(old)}"
            else:
                yield f"{key} is called {other}: Crossplane would delete {whole(old)} and make it again"
        elif kind(old) != kind(new):
            yield f"{key} is a {kind(new)}: {whole(old)} would be left behind, and nobody's"
        elif whole(old) != whole(new):
            yield f"{key} is {whole(new)}: claims that are there keep {whole(old)}, and others do not have it"
        else:
            for what, then, here in changed(old, new):
                yield f"{key}: {what} {here}, it was {then}: {CONSEQUENCES.get(what.split()[0], ELSE)}"


CONSEQUENCES = {
    "selector": "Kubernetes refuses to change it, or pods that run would no longer be selected",
    "keys": "a Secret would come with other keys, or wait for a parameter that nobody has",
    "places": "jobs and state would be looked for where nobody has put them",
    "secret": "pods and people look for the Secret under the name that it had",
}
ELSE = "somebody builds against it"


def changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each promise that is not kept: what it is about, what it was, what it is."""
    for what, old in was.items():
        new = now.get(what)
        if what == "apiVersion":  # a newer version of a kind is the same object
            continue
        if what.startswith("has "):
            missing = [one for one in old if one not in (new or ())]
            if missing:
                yield what.removeprefix("has "), ", ".join(missing), "missing"
        elif old != new:
            yield what, old, new


def kind(promised: Mapping[str, Any]) -> str:
    """Kind and group, such as Deployment.apps."""
    group = promised["apiVersion"].rpartition("/")[0]
    return f"{promised['kind']}.{group}" if group else str(promised["kind"])


def whole(promised: Mapping[str, Any]) -> str:
    """Which object it is."""
    return f"{kind(promised)} {promised['namespace']}/{promised['name']}"


def records() -> list[Path]:
    """Every record, oldest first."""
    found = (ROOT / RECORDS).glob("*.json")
    return sorted(found, key=lambda path: [int(part) for part in path.stem.split(".")])


def load(path: Path) -> dict[str, Any]:
    """A record."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def main() -> int:
    """Write the record of the version in pyproject.toml, unless something released does not hold any more."""
    broken = [fault for path in records() for fault in faults(load(path))]
    if broken:
        print("\n".join(broken), file=sys.stderr)
        return 1
    path = ROOT / RECORDS / f"{version()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {RECORDS / path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
