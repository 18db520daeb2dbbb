"""The rules between a claim's fields, each with the path of the field to change.

Invariant: what holds for one field alone stands in `spec.py`; what the platform decides stands in `bounds.py`.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations

from function.addresses import inside
from function.invalid import show
from function.spec import Spec

MAX_ANNOTATIONS = 255 * 1024  # bytes of all keys and values: what the API server takes, less 1 KiB for our own


def faults(spec: Spec, max_replicas: int) -> Iterator[str]:
    """What of a claim contradicts itself, as `spec.<field>: what, and what would be right`."""
    yield from _scaling(spec, max_replicas)
    yield from _secrets(spec)
    yield from _env(spec)
    yield from _network(spec)
    yield from _pods(spec)


def _scaling(spec: Spec, max_replicas: int) -> Iterator[str]:
    least = spec.scaling.min_replicas
    if least > max_replicas:
        yield f"spec.scaling.minReplicas: {least} is above maxReplicas, which is {max_replicas}"
    for n, entry in enumerate(spec.scaling.schedule):
        if entry.replicas > max_replicas:
            yield f"spec.scaling.schedule[{n}].replicas: {entry.replicas} is above maxReplicas, which is {max_replicas}"
    yield from _repeated(
        "spec.scaling.schedule",
        [(e.timezone, e.start.split(), e.end.split()) for e in spec.scaling.schedule],
        "is the same window as",
    )


def _secrets(spec: Spec) -> Iterator[str]:
    names = (
        ("postgresConnectionSecret", spec.postgres_connection_secret),
        ("dragonflyConnectionSecret", spec.dragonfly_connection_secret),
        ("llmKeysSecret", spec.llm_keys_secret),
    )
    for (first, a), (second, b) in combinations(names, 2):
        if a == b:
            yield f"spec.{second}: {show(b)} is the {first} too, and each needs a Secret of its own"
    yield from _repeated("spec.imagePullSecrets", spec.image_pull_secrets)


def _env(spec: Spec) -> Iterator[str]:
    yield from _repeated("spec.env", [variable.name for variable in spec.env], "has the name of")


def _network(spec: Spec) -> Iterator[str]:
    for n, rule in enumerate(spec.network.llm_egress or ()):
        for m, excluded in enumerate(rule.except_):
            if not inside(excluded, rule.cidr) or excluded == rule.cidr:
                yield f"spec.network.llmEgress[{n}].except[{m}]: {show(excluded)} is not a part of {rule.cidr}"
        yield from _repeated(f"spec.network.llmEgress[{n}].ports", rule.ports)
    yield from _repeated("spec.network.ingressFrom", spec.network.ingress_from or ())


def _pods(spec: Spec) -> Iterator[str]:
    pods = spec.pod_template
    size = sum(len(key.encode()) + len(value.encode()) for key, value in pods.annotations.items())
    if size > MAX_ANNOTATIONS:
        yield f"spec.podTemplate.annotations: have {size} bytes together, the most is {MAX_ANNOTATIONS}"
    yield from _repeated(
        "spec.podTemplate.topologySpreadConstraints",
        [(c.topology_key, c.when_unsatisfiable) for c in pods.topology_spread_constraints],
        "has the topologyKey and whenUnsatisfiable of",
    )


def _repeated(where: str, values: Iterable[object], says: str = "repeats") -> Iterator[str]:
    seen: list[object] = []
    for n, value in enumerate(values):
        if value in seen:
            yield f"{where}[{n}]: {says} {where}[{seen.index(value)}]"
        seen.append(value)
