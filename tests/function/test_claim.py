"""A claim is the same value whichever way it arrives, and no input whatsoever is anything but a claim or Invalid."""

import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from function import claim, identity, platform
from function.model import model_at
from function.sizes import STANDARD
from function.spec import Spec

SEED = {
    "image": "ghcr.io/org/agent-executor:v1.2.3",
    "size": "medium",
    "natsUrl": "nats://nats.nats.svc:4222",
    "postgresConnectionSecret": "agent-executor-postgres",
    "dragonflyConnectionSecret": "agent-executor-dragonfly",
    "llmKeysSecret": "agent-executor-llm-keys",
}
HEAD = {"apiVersion": identity.API_VERSION, "kind": "AgentExecutor"}
NAMED = {"name": "agents", "namespace": "ai"}


def claimed(**spec):
    return claim.parse({**HEAD, "metadata": NAMED, "spec": {**SEED, **spec}})


def open_to(**spec):
    return platform.parse({"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": spec})


def faults(given, **settings):
    with pytest.raises(claim.Invalid) as refused:
        claim.parse(given, **settings)
    return list(refused.value.faults)


def test_the_seeds_claim_has_the_seeds_values():
    asked = claimed()
    assert (asked.name, asked.namespace, asked.image, asked.size) == ("agents", "ai", SEED["image"], "medium")
    assert (asked.min_replicas, asked.max_replicas, asked.lag_threshold, asked.concurrency) == (1, 10, 5, 5)
    assert (asked.stream, asked.consumer, asked.account) == ("AGENT_EXECUTION", "agent-executor-workers", "$G")
    assert (asked.subject_prefix, asked.status_stream) == ("agent", "AGENT_STATUS")
    assert asked.dead_letter_stream == "AGENT_DEAD_LETTER"
    assert asked.monitoring_endpoint == "nats-headless.nats.svc.cluster.local:8222"
    assert asked.postgres_schema == "agent_executor"
    assert asked.creates_secrets
    assert (asked.store.name, asked.store.kind) == ("aws-parameter-store", "ClusterSecretStore")
    assert asked.parameter_prefix == "/zerotouch/prod/agent-executor"
    assert asked.refresh_interval == "1h"
    assert asked.ingress_from == ("ai", "monitoring")
    assert not asked.paused


def test_both_models_and_a_claims_file_are_the_same_claim():
    legacy = {
        **HEAD,
        "kind": "XAgentExecutor",
        "metadata": {"name": "agents-x7d2k"},
        "spec": {**SEED, "claimRef": NAMED | {**HEAD}, "compositionRef": {"name": "c"}, "resourceRefs": []},
    }
    namespaced = {**HEAD, "metadata": NAMED, "spec": {**SEED, "crossplane": {"compositionRef": {"name": "c"}}}}
    file = {**HEAD, "metadata": NAMED, "spec": {**SEED, "compositionSelector": {}, "writeConnectionSecretToRef": {}}}
    assert claim.parse(legacy) == claim.parse(namespaced) == claim.parse(file) == claimed()


def test_a_struct_has_only_doubles_and_whole_ones_are_integers():
    asked = claimed(scaling={"minReplicas": 2.0, "maxReplicas": 7.0}, concurrency=3.0)
    assert [asked.min_replicas, asked.max_replicas, asked.concurrency] == [2, 7, 3]
    assert all(type(number) is int for number in (asked.min_replicas, asked.max_replicas, asked.concurrency))


def test_the_lag_threshold_follows_the_concurrency_unless_set():
    assert claimed(concurrency=2).lag_threshold == 2
    assert claimed(concurrency=2, scaling={"lagThreshold": 9}).lag_threshold == 9


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("nats://nats.nats.svc:4222", "nats-headless.nats.svc.cluster.local:8222"),
        ("tls://bus.messaging.svc.cluster.local", "nats-headless.messaging.svc.cluster.local:8222"),
        ("nats://a.team:4222,nats://b.other:4222", "nats-headless.team.svc.cluster.local:8222"),
        ("nats://nats", "nats-headless.ai.svc.cluster.local:8222"),
        ("tls://nats.example.com", "nats.example.com:8222"),
        ("nats://[2001:db8::1]:4222", "[2001:db8::1]:8222"),
        ("nats://192.0.2.1:4222", "192.0.2.1:8222"),
    ],
)
def test_the_monitoring_endpoint_is_derived_from_the_first_server(url, endpoint):
    body = {**HEAD, "metadata": NAMED, "spec": {**SEED, "natsUrl": url}}
    assert claim.parse(body, open_to(nats={"cidrs": ["0.0.0.0/0", "::/0"]})).monitoring_endpoint == endpoint


def test_the_claims_monitoring_endpoint_beats_the_platforms_and_that_the_derived_one():
    settings = open_to(nats={"monitoringEndpoint": "monitor.nats.svc:8222"})
    body = {**HEAD, "metadata": NAMED, "spec": SEED}
    assert claim.parse(body, settings).monitoring_endpoint == "monitor.nats.svc:8222"
    body["spec"] = {**SEED, "nats": {"monitoringEndpoint": "own.nats.svc:8222"}}
    assert claim.parse(body, settings).monitoring_endpoint == "own.nats.svc:8222"


def test_an_empty_list_denies_and_no_list_leaves_it_to_the_platform():
    closed = claimed(network={"llmEgress": [], "ingressFrom": []})
    assert (closed.llm_egress, closed.ingress_from) == ((), ())
    assert claimed().llm_egress == platform.INTERNET


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"apiVersion": "v1"}, "apiVersion: 'v1' is not 'platform.bizmatters.io/v1alpha1'"),
        ({"kind": "Agent"}, "kind: 'Agent' is not AgentExecutor, XAgentExecutor"),
        ({"metadata": {"namespace": "ai"}}, "metadata.name: is missing, and is required"),
        ({"metadata": {"name": "agents"}}, "metadata.namespace: is missing, and is required"),
        ({"metadata": {"name": "1a", "namespace": "ai"}}, "metadata.name: '1a' is not a name of lower-case letters"),
        ({"metadata": {"name": "a.b", "namespace": "ai"}}, "metadata.name: 'a.b' is not a name"),
        ({"metadata": {"name": "a" * 55, "namespace": "ai"}}, "metadata.name: has 55 characters, the most is 54"),
        ({"metadata": {"name": "a", "namespace": "n" * 64}}, "metadata.namespace: has 64 characters, the most is 63"),
        ({"metadata": {"name": 7, "namespace": "ai"}}, "metadata.name: 7 is not a string"),
        ({"spec": []}, "spec: a list is not an object"),
        ({"spec": None}, "spec: is missing, and is required"),
        (
            {"metadata": {"name": "default", "namespace": "ai"}},
            "metadata.name: 'default' is the ServiceAccount of pods that name none, which would become the claim's",
        ),
        (
            {"metadata": {"name": "kubernetes", "namespace": "default"}},
            "metadata.name: 'kubernetes' is the Service of the API server, which would become the claim's",
        ),
        (
            {"kind": "XAgentExecutor", "spec": {**SEED, "claimRef": {"name": "default", "namespace": "ai"}}},
            "spec.claimRef.name: 'default' is the ServiceAccount",
        ),
        ({"kind": "XAgentExecutor"}, "spec.claimRef: is missing, so this XAgentExecutor has no namespace"),
        ({"kind": "XAgentExecutor", "spec": {**SEED, "claimRef": {"name": "A"}}}, "spec.claimRef.name: 'A' is not"),
    ],
)
def test_a_claim_without_an_identity_is_refused(change, fault):
    found = faults({**HEAD, "metadata": NAMED, "spec": SEED, **change})
    assert any(one.startswith(fault) for one in found), found


def test_a_name_that_is_kubernetes_own_elsewhere_is_free():
    asked = claim.parse({**HEAD, "metadata": {"name": "kubernetes", "namespace": "ai"}, "spec": SEED})
    assert asked.name == "kubernetes"


def test_the_longest_name_leaves_room_for_the_autoscalers():
    asked = claim.parse({**HEAD, "metadata": {"name": "a" * 54, "namespace": "ai"}, "spec": SEED})
    assert len(f"keda-hpa-{asked.name}") == 63


BOUNDED = [
    (
        {"image": "ghcr.io/org/app:v1"},
        {"allowedImageRegistries": ["ghcr.io/org"]},
        {"allowedImageRegistries": ["ghcr.io/or"]},
    ),
    (
        {"image": "nginx"},
        {"allowedImageRegistries": ["docker.io/library"]},
        {"allowedImageRegistries": ["docker.io/org"]},
    ),
    (
        {"externalSecrets": {"parameterPrefix": "/team/a/b"}},
        {"externalSecrets": {"allowedParameterPrefixes": ["/team/a"]}},
        {"externalSecrets": {"allowedParameterPrefixes": ["/team/ab"]}},
    ),
    (
        {"externalSecrets": {"store": {"name": "vault"}}},
        {"externalSecrets": {"allowedStores": [{"name": "vault"}]}},
        {"externalSecrets": {"allowedStores": [{"name": "vault", "kind": "SecretStore"}]}},
    ),
    ({"scaling": {"maxReplicas": 20}}, {"limits": {"maxReplicas": 20}}, {"limits": {"maxReplicas": 19}}),
    ({"concurrency": 8}, {"limits": {"concurrency": 8}}, {"limits": {"concurrency": 7}}),
    (
        {"network": {"llmEgress": [{"cidr": "10.1.0.0/16", "ports": [8000]}]}},
        {"llmEgress": {"allowed": [{"cidr": "10.0.0.0/8", "ports": [443, 8000]}]}},
        {"llmEgress": {"allowed": [{"cidr": "10.0.0.0/8", "ports": [8000], "except": ["10.1.2.0/24"]}]}},
    ),
    (
        {"network": {"llmEgress": [{"cidr": "10.1.0.0/16", "except": ["10.1.2.0/23"]}]}},
        {"llmEgress": {"allowed": [{"cidr": "10.0.0.0/8", "except": ["10.1.2.0/24"]}]}},
        {"llmEgress": {"allowed": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/22"]}]}},
    ),
    (
        {"podTemplate": {"priorityClassName": "batch"}},
        {"scheduling": {"allowedPriorityClasses": ["batch"]}},
        {"scheduling": {"allowedPriorityClasses": ["low"]}},
    ),
    (
        {"podTemplate": {"nodeSelector": {"pool": "gpu"}}},
        {"scheduling": {"allowedNodeSelectorKeys": ["pool"]}},
        {"scheduling": {"allowedNodeSelectorKeys": ["zone"]}},
    ),
    (
        {"podTemplate": {"tolerations": [{"key": "gpu", "value": "a", "effect": "NoSchedule"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "effect": "NoSchedule"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "value": "b"}]}},
    ),
    (
        {"podTemplate": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "effect": "NoSchedule"}]}},
    ),
    ({"natsUrl": "nats://nats.team:4222"}, {"nats": {"namespaces": ["team"]}}, {"nats": {"namespaces": ["nats"]}}),
    ({"natsUrl": "nats://nats:4222"}, {"nats": {"namespaces": ["ai"]}}, {"nats": {"namespaces": ["nats"]}}),
    ({"natsUrl": "tls://nats.example.com"}, {"nats": {"cidrs": ["192.0.2.0/24"]}}, {}),
    (
        {"natsUrl": "tls://192.0.2.9,tls://[2001:db8::9]:4222"},
        {"nats": {"cidrs": ["2001:db8::/48", "192.0.2.0/24"]}},
        {"nats": {"cidrs": ["192.0.2.0/24", "2001:db9::/48"]}},
    ),
    (
        {"podTemplate": {"tolerations": [{"key": "gpu"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "value": ""}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "value": "a"}]}},
    ),
    (
        {"podTemplate": {"tolerations": [{"key": "gpu", "operator": "Exists", "value": ""}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu"}]}},
        {"scheduling": {"allowedTolerations": [{"key": "gpu", "value": ""}]}},
    ),
    (
        {"natsUrl": "nats://nats-0.nats-headless.team.svc:4222"},
        {"nats": {"namespaces": ["team"]}},
        {"nats": {"namespaces": ["nats-headless"], "cidrs": ["192.0.2.0/24"]}},
    ),
    *(
        ({"nats": {"monitoringEndpoint": asked}}, {"nats": opened}, {"nats": closed})
        for asked, opened, closed in (
            ("vault.vault.svc:8200", {"namespaces": ["vault", "nats"]}, {"namespaces": ["nats"]}),
            ("192.0.2.9:8222", {"cidrs": ["192.0.2.0/24"]}, {"cidrs": ["192.0.3.0/24"]}),
            ("monitor.example.com:8222", {"monitoringEndpoint": "monitor.example.com:8222"}, {}),
            ("127.0.0.1:8222", {"cidrs": ["127.0.0.0/8"]}, {"cidrs": ["192.0.2.0/24"]}),
        )
    ),
    (
        {"env": [{"name": "TOOL_NETWORK", "value": "true"}]},
        {"workload": {"toolNetwork": True}},
        {"workload": {"explainPods": True}},
    ),
    *(
        (
            {"podTemplate": {field: {"team.example.org/role": "admin"}}},
            {"podMetadata": {"allowedDomains": ["example.org"]}},
            {"podMetadata": {"allowedDomains": ["ample.org", "other.example.org"]}},
        )
        for field in ("annotations", "labels")
    ),
]


@pytest.mark.parametrize(("spec", "opened", "closed"), BOUNDED)
def test_a_bound_opens_what_it_says_and_no_more(spec, opened, closed):
    body = {**HEAD, "metadata": NAMED, "spec": {**SEED, **spec}}
    claim.parse(body, open_to(**opened))
    (fault,) = faults(body, platform=open_to(**closed))
    assert fault.startswith(f"spec.{next(iter(spec))}")
    assert "platform" in fault


@pytest.mark.parametrize(
    "key",
    [
        "iam.amazonaws.com/role", "vault.hashicorp.com/agent-inject", "sidecar.istio.io/inject", "linkerd.io/inject",
        "k8s.v1.cni.cncf.io/networks", "kubernetes.io/egress-bandwidth", "azure.workload.identity/use",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["annotations", "labels"])
def test_no_claim_asks_for_a_role_a_sidecar_or_a_network_by_itself(field, key):
    body = {**HEAD, "metadata": NAMED, "spec": {**SEED, "podTemplate": {field: {key: "true"}}}}
    (fault,) = faults(body)
    assert fault == (
        f"spec.podTemplate.{field}: '{key}' is not of a domain that the platform allows "
        "(input.spec.podMetadata.allowedDomains): example.com, prometheus.io"
    )


def test_the_platforms_limit_is_what_a_claim_gets_that_names_none():
    body = {**HEAD, "metadata": NAMED, "spec": SEED}
    asked = claim.parse(body, open_to(limits={"maxReplicas": 4, "concurrency": 2}))
    assert (asked.max_replicas, asked.concurrency, asked.lag_threshold) == (4, 2, 2)
    asked = claim.parse(body, open_to(limits={"maxReplicas": 40, "concurrency": 20}))
    assert (asked.max_replicas, asked.concurrency) == (10, 5)


def test_an_inputs_profile_is_a_size_and_its_replicas_are_the_bound():
    row = {"cpu": {"request": "2", "limit": "8"}, "memory": {"request": "4Gi", "limit": "16Gi"}, "maxReplicas": 30}
    body = {**HEAD, "metadata": NAMED, "spec": {**SEED, "size": "gpu", "scaling": {"maxReplicas": 31}}}
    assert faults(body, platform=open_to(profiles={"gpu": row})) == [
        "spec.scaling.maxReplicas: 31 is above the platform's maximum for size gpu, which is 30"
    ]
    assert faults(body) == [f"spec.size: 'gpu' is not one of {', '.join(sorted(STANDARD))}"]


def test_many_faults_are_cut_to_what_an_event_can_hold():
    found = faults({**HEAD, "metadata": NAMED, "spec": {**SEED, **{f"field{n}": n for n in range(1000)}}})
    assert len(found) == 51
    assert found[-1] == "and 950 more"


def nested(depth, make):
    value = "x"
    for _ in range(depth):
        value = make(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        nested(100_000, lambda inner: {"a": inner}),
        nested(100_000, lambda inner: [inner]),
        10**5000,
        -(10**5000),
        "\ud800",
        "x" * 10_000_000,
        {"\ud800": 1},
        {1: 2, None: 3, (): 4},
        "💥\u2028\x00\x7f",
    ],
    ids=[
        "deep objects",
        "deep lists",
        "huge",
        "huge and negative",
        "surrogate",
        "long",
        "surrogate key",
        "keys",
        "odd",
    ],
)
@pytest.mark.parametrize("place", ["whole", "spec", "image", "nats", "env", "unknown", "name", "claimRef"])
def test_no_value_anywhere_is_anything_but_invalid(value, place):
    given = {
        "whole": value,
        "spec": {**HEAD, "metadata": NAMED, "spec": value},
        "name": {**HEAD, "metadata": {"name": value, "namespace": value}, "spec": SEED},
        "claimRef": {**HEAD, "kind": "XAgentExecutor", "metadata": {}, "spec": {**SEED, "claimRef": value}},
    }.get(place, {**HEAD, "metadata": NAMED, "spec": {**SEED, place: value}})
    for fault in faults(given):
        assert fault.encode()
        assert len(fault) < 1000


def names(model, seen=()):
    for name, field in model.model_fields.items():
        yield field.alias or name
        try:
            inner = model_at(model, [field.alias or name])
        except LookupError:
            continue
        yield from names(inner)


def said(parse, given):
    """What a parser says of an input: that it is fine, or what is wrong with it; anything else is raised."""
    try:
        parse(given)
    except claim.Invalid as refused:
        return str(refused)
    return "fine"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12)
    | st.sampled_from(["1.5", "nats://a:4222", "medium", "10.0.0.0/8", "0 8 * * *", "UTC", "Exists", "a", "1h"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(sorted(set(names(Spec)))) | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.slow
@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
@hypothesis.given(st.dictionaries(st.sampled_from(sorted(set(names(Spec)))), JSON, max_size=8), st.booleans())
def test_any_json_is_a_claim_or_invalid(spec, complete):
    body = {**SEED, **spec} if complete else spec
    assert said(claim.parse, {**HEAD, "metadata": NAMED, "spec": body}).encode()


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(JSON, JSON)
def test_any_json_is_a_platform_or_invalid(whole, spec):
    for given in (whole, {"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": spec}):
        assert said(platform.parse, given).encode()


def test_reading_a_claim_needs_neither_protobuf_nor_yaml():
    import subprocess

    code = (
        "import sys, function.claim; print([m for m in ('grpc', 'google', 'ruamel', 'crossplane') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_standard_size_can_be_asked_for():
    assert [claimed(size=size).profile for size in STANDARD] == list(STANDARD.values())
