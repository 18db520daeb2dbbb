"""The other objects of a claim: each one whole, and what the claim changes in it."""

import pytest

from function import claim as claims
from function import names, platform, resources
from tests.support.calls import claim

PREFIX = "/zerotouch/prod/agent-executor"


def render(key, given=platform.DEFAULT, **spec):
    return resources.render(claims.parse(claim(**spec), given), given).get(key)


def metadata(name="agent-executor", **more):
    labels = names.labels(claims.parse(claim()))
    return {"name": name, "namespace": "intelligence-deepagents", "labels": labels, **more}


def input_(**spec):
    return platform.parse({"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": spec})


def test_the_service_account_has_no_token():
    assert render("service-account") == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(),
        "automountServiceAccountToken": False,
    }


def test_the_service_leads_to_the_executors():
    assert render("service") == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(),
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": "agent-executor"},
            "ports": [{"name": "http", "port": 8080, "targetPort": "http"}],
        },
    }


SECRETS = {
    "postgres-secret": (
        "agent-executor-postgres",
        ["/postgres/host", "/postgres/port", "/postgres/db", "/postgres/user", "/postgres/password"],
    ),
    "dragonfly-secret": ("agent-executor-dragonfly", [f"/dragonfly/{k}" for k in ("host", "port", "password")]),
    "llm-keys-secret": ("agent-executor-llm-keys", ["/openai_api_key", "/anthropic_api_key"]),
}  # fmt: skip


@pytest.mark.parametrize(("key", "name", "parameters"), [(k, *v) for k, v in SECRETS.items()], ids=SECRETS)
def test_each_secret_is_made_of_its_parameters(key, name, parameters):
    assert render(key) == {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": metadata(name),
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws-parameter-store"},
            "target": {"name": name, "creationPolicy": "Owner"},
            "data": [
                {"secretKey": p.strip("/").replace("/", "_").upper(), "remoteRef": {"key": PREFIX + p}}
                for p in parameters
            ],
        },
    }


def test_secrets_may_come_from_elsewhere():
    assert render("llm-keys-secret", externalSecrets={"create": False}) is None
    allowed = input_(externalSecrets={"allowedStores": [{"name": "vault"}], "allowedParameterPrefixes": ["/teams"]})
    asked = {"store": {"name": "vault"}, "parameterPrefix": "/teams/a", "refreshInterval": "5m"}
    spec = render("llm-keys-secret", allowed, externalSecrets=asked, llmKeysSecret="keys.of.team-a")["spec"]
    assert spec["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    assert spec["refreshInterval"] == "5m"
    assert spec["target"]["name"] == "keys.of.team-a"
    assert [entry["remoteRef"]["key"] for entry in spec["data"]] == [
        "/teams/a/openai_api_key",
        "/teams/a/anthropic_api_key",
    ]


def test_the_scaled_object_follows_the_queue():
    assert render("scaled-object") == {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(),
        "spec": {
            "scaleTargetRef": {"name": "agent-executor"},
            "minReplicaCount": 1,
            "maxReplicaCount": 10,
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleDown": {
                            "stabilizationWindowSeconds": 300,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                        }
                    }
                }
            },
            "triggers": [
                {
                    "type": "nats-jetstream",
                    "metadata": {
                        "natsServerMonitoringEndpoint": "nats-headless.nats.svc.cluster.local:8222",
                        "account": "$G",
                        "stream": "AGENT_EXECUTION",
                        "consumer": "agent-executor-workers",
                        "lagThreshold": "5",
                        "activationLagThreshold": "0",
                    },
                }
            ],
        },
    }


def test_the_threshold_is_what_one_pod_runs_at_a_time():
    trigger = render("scaled-object", concurrency=3)["spec"]["triggers"][0]
    assert trigger["metadata"]["lagThreshold"] == "3"


def test_office_hours_are_floors():
    hours = {"timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "replicas": 3}
    spec = render("scaled-object", scaling={"minReplicas": 0, "schedule": [hours]})["spec"]
    assert spec["minReplicaCount"] == 0
    assert spec["triggers"][1] == {
        "type": "cron",
        "metadata": {
            "timezone": "Europe/Berlin",
            "start": "0 8 * * 1-5",
            "end": "0 18 * * 1-5",
            "desiredReplicas": "3",
        },
    }


def test_pausing_takes_the_pods_and_nothing_else():
    paused = resources.render(claims.parse(claim(paused=True)), platform.DEFAULT)
    running = resources.render(claims.parse(claim()), platform.DEFAULT)
    assert paused.pop("scaled-object")["metadata"] == metadata(annotations={"autoscaling.keda.sh/paused-replicas": "0"})
    assert "annotations" not in running.pop("scaled-object")["metadata"]
    assert paused == running


@pytest.mark.parametrize(("least", "there"), [(0, False), (1, False), (2, True), (5, True)])
def test_a_budget_is_only_there_where_enough_executors_are(least, there):
    made = render("pod-disruption-budget", scaling={"minReplicas": least})
    assert (made is not None) is there
    if there:
        assert made == {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": {"app": "agent-executor"}},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }


def within(name, **labels):
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    return {**peer, "podSelector": {"matchLabels": labels}} if labels else peer


def tcp(*ports):
    return [{"port": port, "protocol": "TCP"} for port in ports]


DNS = {
    "to": [within("kube-system", **{"k8s-app": "kube-dns"})],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}
NATS = {"to": [within("nats", **{"app.kubernetes.io/name": "nats"})], "ports": tcp(4222)}
DATABASES = [{"to": [within("databases")], "ports": tcp(5432)}, {"to": [within("databases")], "ports": tcp(6379)}]


def test_the_network_policy_opens_what_an_executor_needs():
    made = render("network-policy")
    *inside, v4, v6 = made["spec"].pop("egress")
    assert made == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(),
        "spec": {
            "podSelector": {"matchLabels": {"app": "agent-executor"}},
            "policyTypes": ["Egress", "Ingress"],
            "ingress": [{"from": [within("intelligence-deepagents"), within("monitoring")], "ports": tcp(8080)}],
        },
    }
    assert inside == [DNS, NATS, *DATABASES]
    assert [rule["ports"] for rule in (v4, v6)] == [tcp(443), tcp(443)]
    blocked = v4["to"][0]["ipBlock"]
    assert blocked["cidr"] == "0.0.0.0/0"
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(blocked["except"])
    assert {"fc00::/7", "fe80::/10"} <= set(v6["to"][0]["ipBlock"]["except"])


def test_nothing_is_open_that_a_claim_closes():
    spec = render("network-policy", network={"llmEgress": [], "ingressFrom": []})["spec"]
    assert spec["egress"] == [DNS, NATS, *DATABASES]
    assert spec["ingress"] == []
    assert spec["policyTypes"] == ["Egress", "Ingress"]


def test_every_nats_server_of_a_claim_is_reached():
    spec = render("network-policy", natsUrl="nats://nats.a.svc:4222,tls://nats.b.svc.cluster.local:443")["spec"]
    labels = {"app.kubernetes.io/name": "nats"}
    assert spec["egress"][1] == {"to": [within("a", **labels), within("b", **labels)], "ports": tcp(443, 4222)}


def test_nats_outside_the_cluster_is_where_the_platform_says():
    given = input_(nats={"cidrs": ["192.0.2.0/24"]})
    asked = {"natsUrl": "tls://192.0.2.7:4443", "nats": {"monitoringEndpoint": "192.0.2.7:8222"}}
    spec = render("network-policy", given, **asked)["spec"]
    assert spec["egress"][1] == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": tcp(4443)}


def test_pods_that_the_platform_names_are_reached_whatever_a_claim_closes():
    collector = {"namespace": "monitoring", "podLabels": {"app": "collector"}, "port": 4318}
    given = input_(clusterEgress=[collector, {"namespace": "models", "port": 8000}])
    spec = render("network-policy", given, network={"llmEgress": []})["spec"]
    assert spec["egress"][2 + len(DATABASES) :] == [
        {"to": [within("monitoring", app="collector")], "ports": tcp(4318)},
        {"to": [within("models")], "ports": tcp(8000)},
    ]


def test_no_rule_is_without_peers_or_ports():
    for spec in ({}, {"network": {"llmEgress": [], "ingressFrom": []}}, {"natsUrl": "nats://nats"}):
        policy = render("network-policy", **spec)["spec"]
        assert all(rule["to"] and rule["ports"] for rule in policy["egress"])
        assert all(rule["from"] and rule["ports"] for rule in policy["ingress"])


def test_keys_are_the_compositions_api():
    assert list(resources.REGISTRY) == [
        "service-account",
        "postgres-secret",
        "dragonfly-secret",
        "llm-keys-secret",
        "deployment",
        "service",
        "scaled-object",
        "network-policy",
        "pod-disruption-budget",
    ]


@pytest.mark.parametrize("key", resources.REGISTRY)
def test_the_registry_names_the_kind_that_is_rendered(key):
    assert render(key, scaling={"minReplicas": 2})["kind"] == resources.REGISTRY[key].kind
