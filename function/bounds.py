"""What a claim may take of the platform, and not more.

Invariant: every fault names the bound, so that a tenant knows what to ask the platform team for.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from function import images
from function.addresses import Server, inside, may_be_in, nats_servers, overlap
from function.invalid import show
from function.platform import Platform
from function.pods import PodTemplate
from function.sizes import SizeProfile
from function.spec import Egress, Spec

TOOL_NETWORK = "TOOL_NETWORK"  # the service's setting


class Bound(NamedTuple):
    """What a claim that says nothing gets of something, and the most that one may ask for."""

    default: int
    most: int


def replicas(profile: SizeProfile, platform: Platform) -> Bound:
    """How many pods a claim of this size has at most: the platform's own limit, else the profile's."""
    return _bound(profile.max_replicas, platform.limits.max_replicas)


def concurrency(profile: SizeProfile, platform: Platform) -> Bound:
    """How many jobs a pod of this size runs at a time: the platform's own limit, else the profile's."""
    return _bound(profile.concurrency, platform.limits.concurrency)


def _bound(usual: int, limit: int | None) -> Bound:
    return Bound(usual, usual) if limit is None else Bound(min(usual, limit), limit)


def faults(spec: Spec, namespace: str, profile: SizeProfile, platform: Platform) -> Iterator[str]:
    """What of a claim is outside the platform's bounds, as `spec.<field>: what, and what is allowed`."""
    registries = platform.allowed_image_registries
    if registries and not any(images.within(spec.image, registry) for registry in registries):
        name = show(images.repository(spec.image))
        yield f"spec.image: {name} is not in a registry that the platform allows: {_list(registries)}"
    yield from _amounts(spec, profile, platform)
    yield from _secrets(spec, platform)
    yield from _nats(spec, namespace, platform)
    for n, rule in enumerate(spec.network.llm_egress or ()):
        yield from _egress(rule, platform.llm_egress.allowed, f"spec.network.llmEgress[{n}]")
    for n, variable in enumerate(spec.env):
        if variable.name == TOOL_NETWORK and not platform.workload.tool_network:
            yield (
                f"spec.env[{n}].name: {TOOL_NETWORK} gives a network to scripts that come with jobs, which the "
                "platform does not allow (input.spec.workload.toolNetwork)"
            )
    yield from _pods(spec.pod_template, platform)


def _amounts(spec: Spec, profile: SizeProfile, platform: Platform) -> Iterator[str]:
    for path, asked, most in (
        ("spec.scaling.maxReplicas", spec.scaling.max_replicas, replicas(profile, platform).most),
        ("spec.concurrency", spec.concurrency, concurrency(profile, platform).most),
    ):
        if asked is not None and asked > most:
            yield f"{path}: {asked} is above the platform's maximum for size {spec.size}, which is {most}"


def _secrets(spec: Spec, platform: Platform) -> Iterator[str]:
    asked, allowed = spec.external_secrets, platform.external_secrets
    if asked.store is not None and asked.store not in allowed.stores:
        stores = _list(f"{store.kind} {store.name}" for store in allowed.stores)
        name = f"{asked.store.kind} {show(asked.store.name)}"
        yield f"spec.externalSecrets.store: {name} is not a store that the platform allows: {stores}"
    prefix = asked.parameter_prefix
    if prefix is not None and not any(f"{prefix}/".startswith(f"{bound}/") for bound in allowed.prefixes):
        yield (
            f"spec.externalSecrets.parameterPrefix: {show(prefix)} is not below a prefix that the platform allows: "
            f"{_list(allowed.prefixes)}"
        )


def _nats(spec: Spec, namespace: str, platform: Platform) -> Iterator[str]:
    for server in nats_servers(spec.nats_url):
        yield from _reached(server, namespace, platform, "spec.natsUrl")
    asked = spec.nats.monitoring_endpoint
    if asked is not None and asked != platform.nats.monitoring_endpoint:
        path, (host, _, port) = "spec.nats.monitoringEndpoint", asked.rpartition(":")
        server = Server("http", host.lower(), int(port))
        # It is KEDA that asks there, from where it is.
        if server.service and server.service[1] is None:
            yield f"{path}: {show(host)} has no namespace, and KEDA is in another: write {host}.{namespace}.svc:{port}"
        else:
            yield from _reached(server, namespace, platform, path)


def _reached(server: Server, namespace: str, platform: Platform, path: str) -> Iterator[str]:
    allowed, outside, service = platform.nats.namespaces, platform.nats.cidrs, server.service
    if service and allowed and (service[1] or namespace) not in allowed:
        yield f"{path}: {show(server.host)} is not in a namespace that the platform allows: {_list(allowed)}"
    # Pods could not connect to it, and nothing but a timeout would say so.
    elif not service and not may_be_in(server.host, outside):
        yield (
            f"{path}: {show(server.host)} is no Service of the cluster, and not in a network that the "
            f"platform allows (input.spec.nats.cidrs): {_list(outside)}"
        )


def _egress(rule: Egress, allowed: tuple[Egress, ...], path: str) -> Iterator[str]:
    """A rule has to fit into one of the allowed networks; where it fits into none, the nearest says why."""
    around = [bound for bound in allowed if inside(rule.cidr, bound.cidr)]
    if around:
        yield from min((list(_beyond(rule, bound, path)) for bound in around), key=len)
    else:
        networks = _list(bound.cidr for bound in allowed)
        yield f"{path}.cidr: {show(rule.cidr)} is not inside a network that the platform allows: {networks}"


def _beyond(rule: Egress, bound: Egress, path: str) -> Iterator[str]:
    for n, port in enumerate(rule.ports):
        if port not in bound.ports:
            ports = _list(map(str, bound.ports))
            yield f"{path}.ports[{n}]: {port} is not a port that the platform allows there: {ports}"
    closed = [network for network in bound.except_ if overlap(rule.cidr, network) and not _carved(network, rule)]
    around = [network for network in closed if inside(rule.cidr, network)]
    if around:
        yield f"{path}.cidr: {show(rule.cidr)} is inside {_list(around)}, which the platform keeps closed"
    elif closed:
        yield f"{path}.except: lacks {_list(closed)}, which the platform keeps closed"


def _carved(excluded: str, rule: Egress) -> bool:
    """Whether a rule leaves out all that is excluded."""
    return any(inside(excluded, own) for own in rule.except_)


def _pods(pods: PodTemplate, platform: Platform) -> Iterator[str]:
    allowed = platform.scheduling
    name, path = pods.priority_class_name, "spec.podTemplate"
    domains = platform.pod_metadata.allowed_domains
    for field, keys in (("annotations", pods.annotations), ("labels", pods.labels)):
        for key in keys:
            domain = key.rpartition("/")[0]
            if domain and not any(f".{domain}".endswith(f".{bound}") for bound in domains):
                yield (
                    f"{path}.{field}: {show(key)} is not of a domain that the platform allows "
                    f"(input.spec.podMetadata.allowedDomains): {_list(domains)}"
                )
    if name is not None and name not in allowed.allowed_priority_classes:
        yield (
            f"{path}.priorityClassName: {show(name)} is not a priority class that the platform allows: "
            f"{_list(allowed.allowed_priority_classes)}"
        )
    for key in pods.node_selector:
        if key not in allowed.allowed_node_selector_keys:
            yield (
                f"{path}.nodeSelector: {show(key)} is not a node label that the platform allows: "
                f"{_list(allowed.allowed_node_selector_keys)}"
            )
    for n, asked in enumerate(pods.tolerations):
        value = (asked.value or "") if asked.operator == "Equal" else None  # to Kubernetes none is the empty one
        fits = any(
            asked.key == bound.key and bound.value in (None, value) and bound.effect in (None, asked.effect)
            for bound in allowed.allowed_tolerations
        )
        if not fits:
            rows = _list(
                bound.key
                + ("" if bound.value is None else f"={bound.value}")
                + (f":{bound.effect}" if bound.effect else "")
                for bound in allowed.allowed_tolerations
            )
            yield f"{path}.tolerations[{n}]: {show(asked.key)} is not a toleration that the platform allows: {rows}"


def _list(allowed: Iterable[str]) -> str:
    return ", ".join(allowed) or "none"
