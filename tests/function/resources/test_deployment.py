"""The Deployment of the seed's claim, and what each field of a claim changes in it."""

import pytest

from function import claim as claims
from function import platform
from function.resources import deployment
from tests.support.calls import claim

OPEN = platform.parse({
    "apiVersion": platform.API_VERSION,
    "kind": platform.KIND,
    "spec": {
        "scheduling": {
            "allowedPriorityClasses": ["batch"],
            "allowedTolerations": [{"key": "gpu"}],
            "allowedNodeSelectorKeys": ["pool"],
        }
    },
})  # fmt: skip


def render(**spec):
    return deployment.render(claims.parse(claim(**spec), OPEN), OPEN)


def pod(**spec):
    return render(**spec)["spec"]["template"]["spec"]


def executor(**spec):
    return pod(**spec)["containers"][0]


def environment(container):
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def key(secret, name, **more):
    return {"secretKeyRef": {"name": secret, "key": name, **more}}


POSTGRES_KEYS = [f"POSTGRES_{part}" for part in ("HOST", "PORT", "DB", "USER", "PASSWORD")]
POSTGRES = {
    **{k: key("agent-executor-postgres", k) for k in POSTGRES_KEYS},
    "POSTGRES_SCHEMA": "agent_executor",
}  # fmt: skip


def test_keda_owns_replicas():
    assert "replicas" not in render()["spec"]


@pytest.mark.parametrize(
    ("size", "requests", "limits"),
    [
        ("small", {"cpu": "250m", "memory": "512Mi"}, {"cpu": "1000m", "memory": "2Gi"}),
        ("medium", {"cpu": "500m", "memory": "1Gi"}, {"cpu": "2000m", "memory": "4Gi"}),
        ("large", {"cpu": "1000m", "memory": "2Gi"}, {"cpu": "4000m", "memory": "8Gi"}),
    ],
)
def test_the_size_is_what_the_executor_gets(size, requests, limits):
    assert executor(size=size)["resources"] == {"requests": requests, "limits": limits}


def test_migrations_run_first_from_the_same_image_with_postgres_alone():
    (migrations,) = pod()["initContainers"]
    assert (migrations["name"], migrations["image"]) == ("run-migrations", executor()["image"])
    assert migrations["command"] == ["scripts/ci/run-migrations.sh"]
    assert environment(migrations) == POSTGRES
    assert migrations["resources"]["limits"] == executor()["resources"]["limits"]


def test_the_environment_is_the_contracts():
    assert environment(executor()) == {
        "HTTP_PORT": "8080",
        "NATS_URL": "nats://nats.nats.svc:4222",
        "NATS_STREAM": "AGENT_EXECUTION",
        "NATS_CONSUMER": "agent-executor-workers",
        "NATS_SUBJECT_PREFIX": "agent",
        "NATS_STATUS_STREAM": "AGENT_STATUS",
        "NATS_DEAD_LETTER_STREAM": "AGENT_DEAD_LETTER",
        "MAX_CONCURRENT_JOBS": "5",
        "DRAIN_SECONDS": "120",
        **POSTGRES,
        **{f"DRAGONFLY_{k}": key("agent-executor-dragonfly", f"DRAGONFLY_{k}") for k in ("HOST", "PORT", "PASSWORD")},
        "OPENAI_API_KEY": key("agent-executor-llm-keys", "OPENAI_API_KEY"),
        "ANTHROPIC_API_KEY": key("agent-executor-llm-keys", "ANTHROPIC_API_KEY"),
    }


def test_one_provider_is_enough_where_something_else_makes_the_secrets():
    found = environment(executor(externalSecrets={"create": False}))
    assert found["OPENAI_API_KEY"] == key("agent-executor-llm-keys", "OPENAI_API_KEY", optional=True)
    assert found["POSTGRES_HOST"] == POSTGRES["POSTGRES_HOST"]


def test_the_claims_own_variables_come_last():
    asked = [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "OTEL_SERVICE_NAME", "value": "agents"}]
    assert executor(env=asked)["env"][-2:] == asked


def test_there_is_longer_to_end_than_to_drain():
    assert pod()["terminationGracePeriodSeconds"] > int(environment(executor())["DRAIN_SECONDS"])


def test_probes_ask_what_the_service_answers():
    paths = {name: executor()[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness")}
    assert paths == {
        "liveness": {"path": "/health", "port": "http"},
        "readiness": {"path": "/ready", "port": "http"},
    }
    assert executor()["ports"] == [{"name": "http", "containerPort": 8080}]


def test_a_pod_is_asked_often_stays_ready_over_a_blip_and_is_not_ended_while_it_starts():
    ready, alive = executor()["readinessProbe"], executor()["livenessProbe"]
    assert ready["periodSeconds"] == 1
    assert ready["periodSeconds"] * ready["failureThreshold"] >= 15
    assert alive["initialDelaySeconds"] >= 60
    assert "startupProbe" not in executor()  # kubelet may ask for readiness a second later


def test_no_container_may_do_anything_it_need_not():
    for container in (*pod()["initContainers"], *pod()["containers"]):
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False


def test_an_update_never_leaves_fewer_executors():
    assert render()["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}


def test_nothing_optional_is_there_unless_asked_for():
    absent = {"imagePullSecrets", "nodeSelector", "tolerations", "topologySpreadConstraints", "priorityClassName"}
    assert not absent & set(pod())
    assert set(render()["spec"]["template"]["metadata"]) == {"labels"}


def test_the_pod_template_is_passed_through():
    asked = {
        "nodeSelector": {"pool": "agents"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "batch",
    }
    found = pod(podTemplate=asked, imagePullSecrets=["ghcr"])
    spread = {"labelSelector": {"matchLabels": {"app": "agent-executor"}}, **asked["topologySpreadConstraints"][0]}
    assert {name: found[name] for name in asked} == {**asked, "topologySpreadConstraints": [spread]}
    assert found["imagePullSecrets"] == [{"name": "ghcr"}]


def test_pod_labels_and_annotations_are_added_and_the_selector_stays():
    made = render(podTemplate={"labels": {"team": "a"}, "annotations": {"prometheus.io/scrape": "true"}})
    assert made["spec"]["template"]["metadata"]["labels"]["team"] == "a"
    assert made["spec"]["template"]["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    assert made["spec"]["selector"] == {"matchLabels": {"app": "agent-executor"}}


def test_only_what_changes_the_pods_restarts_them():
    assert render(scaling={"maxReplicas": 7})["spec"] == render()["spec"]
