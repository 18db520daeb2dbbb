"""Hypothesis strategies for valid claims, over every field, each with a platform that allows it.

A claim here is what a tenant would write. That it is valid is part of what the tests that use it assert.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from function import identity, platform, sizes
from function.platform import Platform

CLASSES = ("batch-low", "interactive")
NODE_KEYS = ("example.com/pool", "kubernetes.io/arch")
OPEN = platform.parse({
    "apiVersion": platform.API_VERSION,
    "kind": platform.KIND,
    "spec": {
        "profiles": {"2xlarge": {"cpu": {"request": "2", "limit": "8"}, "memory": {"request": "4Gi", "limit": "16Gi"}}},
        "externalSecrets": {
            "allowedStores": [{"name": "vault", "kind": "ClusterSecretStore"}, {"name": "team", "kind": "SecretStore"}],
            "allowedParameterPrefixes": ["/teams"],
        },
        "nats": {"cidrs": ["192.0.2.0/24", "2001:db8::/48"]},
        "llmEgress": {
            "allowed": [
                {"cidr": "0.0.0.0/0", "ports": [443, 8443], "except": ["10.0.0.0/8"]},
                {"cidr": "::/0", "ports": [443]},
            ],
            "default": [],
        },
        "scheduling": {
            "allowedPriorityClasses": list(CLASSES),
            "allowedTolerations": [{"key": "example.com/gpu"}, {"key": "spot", "effect": "NoExecute"}],
            "allowedNodeSelectorKeys": list(NODE_KEYS),
        },
        "limits": {"maxReplicas": 200, "concurrency": 50},
    },
})  # fmt: skip


class Given(NamedTuple):
    """A claim's manifest, and the platform that it is made for."""

    manifest: dict[str, Any]
    platform: Platform


def text(pattern: str) -> st.SearchStrategy[str]:
    """Texts that match a pattern as a whole, in ASCII."""
    return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
labels = text(LABEL)
names = text("[a-z]([-a-z0-9]{0,52}[a-z0-9])?")
subdomains = text(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?){0,3}")
streams = text("[A-Za-z0-9_-]{1,40}")
label_keys = text(r"((a\.)?example\.com/)?team[-A-Za-z0-9_.]{0,40}[A-Za-z0-9]")
label_values = text("([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SERVICES = ("nats", "nats.nats", "nats.nats.svc", "NATS.nats.svc.", "queue.team-a.svc.cluster.local")
OUTSIDE = ("nats.example.com", "NATS.example.com.", "192.0.2.7", "[2001:db8::7]")
ports = st.integers(1, 65535)
images = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "ghcr.io/", "localhost:5000/", "[2001:db8::1]:5000/", "Registry.example.com/"]),
    text("[a-z0-9]{1,20}((_|__|[.]|-{1,3})[a-z0-9]{1,9}){0,2}(/[a-z0-9]{1,20}){0,3}"),
    text("(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,30})?"),
    text("(@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?"),
)
# What YAML and shells like to misread is plain text to Kubernetes.
values = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60),
    st.sampled_from(
        ["on", "null", "~", "1e3", "0o14", "12:30", "$(NATS_URL)", "$$(X)", "{{ .Values }}", "- a", "#", "a: b\n"]
    ),
)
env = st.lists(st.fixed_dictionaries({"name": text("TEAM_[A-Za-z0-9_]{1,20}")}, optional={"value": values}),
               max_size=5, unique_by=lambda e: e["name"])  # fmt: skip
windows = st.sampled_from(
    [("0 8 * * 1-5", "0 18 * * 1-5"), ("*/15 7,8 1-7 JAN-MAR MON", "30 20 * * ?"), ("0 0 * * *", "59 23 * * SUN")]
)
zones = st.sampled_from(["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Etc/GMT+12"])


def nats_urls(*hosts: str) -> st.SearchStrategy[str]:
    """One to four servers with these hosts."""
    schemes, port = (
        st.sampled_from(["nats", "tls"]),
        st.one_of(st.just(""), st.builds(":{}".format, ports)),
    )
    one = st.builds("{}://{}{}".format, schemes, st.sampled_from(hosts), port)
    return st.lists(one, min_size=1, max_size=4, unique=True).map(",".join)


networks = st.sampled_from([
    {"cidr": "203.0.113.0/24"}, {"cidr": "203.0.113.7/32", "ports": [443, 8443]}, {"cidr": "2606:4700::/32"},
    {"cidr": "198.51.0.0/16", "except": ["198.51.100.0/24", "198.51.101.0/24"]},
    {"cidr": "0.0.0.0/0", "ports": [8443], "except": ["10.0.0.0/8", "192.168.0.0/16"]},
])  # fmt: skip
tolerations = st.sampled_from(
    [
        {"key": "example.com/gpu", "operator": "Exists"},
        {"key": "example.com/gpu", "value": "a100", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    ]
)
selectors = st.one_of(
    some(matchLabels=st.dictionaries(label_keys, label_values, max_size=2)),
    st.just(
        {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}, {"key": "app", "operator": "Exists"}]}
    ),
)
policies = st.sampled_from(["Honor", "Ignore"])
ZONES = {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
NODES = {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1}
spreads = st.one_of(
    st.fixed_dictionaries(
        {**{k: st.just(v) for k, v in ZONES.items()}, "maxSkew": st.integers(1, 5)},
        optional={"minDomains": st.integers(1, 5), "nodeAffinityPolicy": policies},
    ),
    st.fixed_dictionaries(
        {**{k: st.just(v) for k, v in NODES.items()}, "labelSelector": selectors},
        optional={"nodeTaintsPolicy": policies, "matchLabelKeys": st.just(["pod-template-hash"])},
    ),
)


# A claim with every field there is, so that no field depends on a draw.
EVERYTHING = {
    "image": "ghcr.io/org/agent-executor:v1.0.0",
    "size": "2xlarge",
    "natsUrl": "tls://nats.example.com:4222",
    "postgresConnectionSecret": "own-postgres",
    "dragonflyConnectionSecret": "own-dragonfly",
    "llmKeysSecret": "own-keys",
    "nats": {
        "stream": "A", "consumer": "B", "subjectPrefix": "a.b", "statusStream": "C", "deadLetterStream": "D",
        "monitoringEndpoint": "nats.example.com:8222", "account": "TEAM-A",
    },
    "postgresSchema": "own",
    "scaling": {
        "minReplicas": 2, "maxReplicas": 20, "lagThreshold": 3,
        "schedule": [{"timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "replicas": 4}],
    },
    "concurrency": 3,
    "externalSecrets": {
        "create": True, "store": {"name": "team", "kind": "SecretStore"}, "parameterPrefix": "/teams/a",
        "refreshInterval": "15m",
    },
    "imagePullSecrets": ["registry"],
    "env": [{"name": "TEAM_A", "value": "on"}],
    "network": {
        "llmEgress": [{"cidr": "198.51.0.0/16", "ports": [443, 8443], "except": ["198.51.100.0/24"]}],
        "ingressFrom": ["web"],
    },
    "podTemplate": {
        "nodeSelector": {"example.com/pool": "agents"},
        "tolerations": [
            {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30}
        ],
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 3, "nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore",
            "matchLabelKeys": ["pod-template-hash"],
            "labelSelector": {
                "matchLabels": {"team": "a"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["agents"]}],
            },
        }],
        "priorityClassName": "batch-low",
        "annotations": {"example.com/owner": "a"},
        "labels": {"team": "a"},
    },
    "paused": True,
}  # fmt: skip


@st.composite
def scaling(draw: st.DrawFn, most: int) -> dict[str, Any]:
    """Bounds in order, and a schedule below them."""
    limits = draw(some(maxReplicas=st.integers(1, most), lagThreshold=st.integers(1, 1000)))
    ceiling = limits.get("maxReplicas", min(most, 10))
    if draw(st.booleans()):
        limits["minReplicas"] = draw(st.integers(0, ceiling))
    rows = draw(st.lists(st.tuples(windows, zones, st.integers(1, ceiling)), max_size=3, unique_by=lambda row: row[:2]))
    if rows:
        limits["schedule"] = [{"timezone": z, "start": w[0], "end": w[1], "replicas": n} for w, z, n in rows]
    return limits


@st.composite
def secrets(draw: st.DrawFn) -> dict[str, str]:
    """Three names, all different."""
    fields = ("postgresConnectionSecret", "dragonflyConnectionSecret", "llmKeysSecret")
    return dict(zip(fields, draw(st.lists(subdomains, min_size=3, max_size=3, unique=True)), strict=True))


@st.composite
def nats(draw: st.DrawFn, hosts: Sequence[str]) -> dict[str, Any]:
    """A tenant's own streams, all different, and subjects; KEDA finds them at one of the hosts."""
    three = draw(st.lists(streams, min_size=3, max_size=3, unique=True))
    return draw(some(
        consumer=streams,
        subjectPrefix=text("[A-Za-z0-9][A-Za-z0-9_-]{0,20}([.][A-Za-z0-9][A-Za-z0-9_-]{0,20}){0,2}"),
        monitoringEndpoint=st.builds("{}:{}".format, st.sampled_from(hosts), ports),
        account=st.sampled_from(["$G", "TEAM-A"]),
    )) | dict(zip(("stream", "statusStream", "deadLetterStream"), three, strict=True))  # fmt: skip


@st.composite
def given(draw: st.DrawFn) -> Given:
    """A claim and its platform: the default one, or OPEN with fields that only that allows."""
    wide = draw(st.booleans())
    pods: dict[str, st.SearchStrategy[Any]] = {
        "topologySpreadConstraints": st.lists(spreads, max_size=2, unique_by=lambda s: s["topologyKey"]),
        "annotations": st.dictionaries(label_keys, values, max_size=3),
        "labels": st.dictionaries(label_keys, label_values, max_size=3),
    }
    secret: dict[str, st.SearchStrategy[Any]] = {
        "create": st.booleans(),
        "refreshInterval": st.sampled_from(["1h", "15m", "1h30m"]),
    }
    network: dict[str, st.SearchStrategy[Any]] = {
        "ingressFrom": st.lists(labels, max_size=3, unique=True),
        "llmEgress": st.just([]),
    }
    if wide:
        pods |= {
            "nodeSelector": st.dictionaries(st.sampled_from(NODE_KEYS), label_values, max_size=2),
            "tolerations": st.lists(tolerations, max_size=3, unique_by=str),
            "priorityClassName": st.sampled_from(CLASSES),
        }
        secret |= {
            "store": st.sampled_from(
                [{"name": "vault", "kind": "ClusterSecretStore"}, {"name": "team", "kind": "SecretStore"}]
            ),
            "parameterPrefix": st.sampled_from(["/teams", "/teams/a-b/c_d.e"]),
        }
        network["llmEgress"] = st.lists(networks, max_size=3, unique_by=str)
    spec = draw(some(
        size=st.sampled_from([*sizes.STANDARD, *(["2xlarge"] if wide else [])]),
        natsUrl=nats_urls(*SERVICES, *(OUTSIDE if wide else ())),
        nats=nats((*SERVICES[1:], *(OUTSIDE if wide else ()))),
        postgresSchema=text("[a-oq-z_][a-z0-9_]{0,40}"),
        scaling=scaling(200 if wide else 10),
        concurrency=st.integers(1, 50 if wide else 5),
        externalSecrets=some(**secret),
        imagePullSecrets=st.lists(subdomains, max_size=3, unique=True),
        env=env,
        network=some(**network),
        podTemplate=some(**pods),
        paused=st.booleans(),
    ))  # fmt: skip
    spec |= {"image": draw(images)} | (draw(secrets()) if draw(st.booleans()) else {})
    form = draw(st.sampled_from([dict, composite, namespaced]))
    return Given(form(manifest(spec, draw(names), draw(labels))), OPEN if wide else platform.DEFAULT)


def manifest(spec: dict[str, Any], name: str = "everything", namespace: str = "team-a") -> dict[str, Any]:
    """A claim."""
    head = {"apiVersion": identity.API_VERSION, "kind": identity.CLAIM_KIND}
    return {**head, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def composite(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster-scoped composite that Crossplane makes for a claim."""
    meta = manifest["metadata"]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": identity.COMPOSITE_KIND,
        "metadata": {"name": f"{meta['name']}-x7k2p"},
        "spec": {
            **manifest["spec"],
            "claimRef": {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], **meta},
        },
    }


def namespaced(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The composite of the newer model, with what Crossplane keeps in its spec."""
    own = {"compositionRef": {"name": "agentexecutor"}, "compositionUpdatePolicy": "Automatic"}
    return {**manifest, "spec": {**manifest["spec"], "crossplane": own}}
