"""The function deploys what the service is: names, ports, paths, numbers and seconds, each taken from both halves.

The only tests that import both. Each fails when one half changes alone.
"""

import re
from pathlib import Path

import pytest

from agent_executor import settings
from agent_executor.api import closing, main, service
from agent_executor.api.health import PROBE_SECONDS
from agent_executor.api.main import create_app
from agent_executor.services import migrations, streams
from agent_executor.services.nats_consumer import STOP_SECONDS
from agent_executor.services.redis import CALL_SECONDS
from function import bounds, claim, platform, resources, sizes

ROOT = Path(__file__).parents[2]
ASKED = {
    "apiVersion": "platform.bizmatters.io/v1alpha1",
    "kind": "AgentExecutor",
    "metadata": {"name": "agents", "namespace": "ai"},
    "spec": {"image": "ghcr.io/org/agent-executor:v1"},
}
SECRETS = {"postgres-secret": "POSTGRES", "dragonfly-secret": "DRAGONFLY", "llm-keys-secret": ""}


def rendered(**spec):
    return resources.render(claim.parse(ASKED | {"spec": ASKED["spec"] | spec}), platform.DEFAULT)


@pytest.fixture(scope="module")
def objects():
    return rendered()


@pytest.fixture(scope="module")
def pod(objects):
    return objects["deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def given(pod):
    """The environment of the executor, with a value for what comes from a Secret."""
    return started_with(pod)


def started_with(pod):
    env = {entry["name"]: entry.get("value", "1") for entry in pod["containers"][0]["env"]}
    return env | {"POSTGRES_HOST": "postgres", "POSTGRES_PORT": "5432", "DRAGONFLY_PORT": "6379"}


def test_every_variable_that_the_function_sets_is_a_setting_of_the_service(given):
    assert {name.lower() for name in given} <= set(settings.Settings.model_fields)


def test_the_service_starts_with_what_the_function_sets_and_nothing_else(given):
    read = settings.load(given)
    assert (read.nats_url, read.postgres_schema) == ("nats://nats.nats.svc:4222", "agent_executor")


def test_names_of_streams_and_subjects_reach_the_service_as_the_claim_has_them():
    asked = {
        "stream": "TENANT_JOBS",
        "consumer": "tenant-workers",
        "subjectPrefix": "tenant.a",
        "statusStream": "TENANT_STATUS",
        "deadLetterStream": "TENANT_DEAD",
    }
    read = settings.load(started_with(rendered(nats=asked)["deployment"]["spec"]["template"]["spec"]))
    jobs, status, dead = streams.wanted(read)
    assert (jobs.name, jobs.subjects) == ("TENANT_JOBS", ["tenant.a.execute.*"])
    assert (status.name, status.subjects) == ("TENANT_STATUS", ["tenant.a.status.*"])
    assert (dead.name, dead.subjects) == ("TENANT_DEAD", ["tenant.a.dead.*"])
    assert streams.consumer(read).durable_name == "tenant-workers"


def test_both_halves_have_the_same_defaults(given):
    alone = settings.load(
        {name: value for name, value in given.items() if not name.startswith("NATS_") or name == "NATS_URL"}
    )
    told = settings.load(given)
    assert streams.wanted(alone) == streams.wanted(told)
    assert streams.consumer(alone) == streams.consumer(told)


def test_keda_asks_for_the_stream_and_consumer_that_the_service_uses(objects, given):
    (trigger,) = objects["scaled-object"]["spec"]["triggers"]
    read = settings.load(given)
    assert (trigger["metadata"]["stream"], trigger["metadata"]["consumer"]) == (read.nats_stream, read.nats_consumer)


@pytest.mark.parametrize("spec", [{}, {"concurrency": 2}, {"size": "large"}])
def test_a_full_pod_is_what_keda_adds_a_pod_for(spec):
    objects = rendered(**spec)
    read = settings.load(started_with(objects["deployment"]["spec"]["template"]["spec"]))
    (trigger,) = objects["scaled-object"]["spec"]["triggers"]
    assert int(trigger["metadata"]["lagThreshold"]) == read.max_concurrent_jobs


@pytest.mark.parametrize("profile", sizes.STANDARD.values(), ids=sizes.STANDARD)
def test_the_consumer_may_hold_as_many_messages_as_all_pods_run_jobs(profile, given):
    assert streams.consumer(settings.load(given)).max_ack_pending >= profile.max_replicas * profile.concurrency


def test_the_setting_that_a_claim_may_not_change_by_itself_is_the_services(given):
    assert settings.load(given | {bounds.TOOL_NETWORK: "true"}).tool_network
    assert not settings.load(given).tool_network


def test_a_pod_has_longer_to_end_than_the_service_has_to_drain_and_hand_over(pod, given):
    drain = settings.load(given).drain_seconds
    handing_over = STOP_SECONDS + CALL_SECONDS + 2 * (service.HAND_OVER_SECONDS + service.LEAVE_SECONDS)
    closed = main.CLOSE_SECONDS + service.CLOSE_SECONDS + 7 * closing.LEAST_SECONDS
    assert pod["terminationGracePeriodSeconds"] > drain + handing_over + closed


def test_probes_ask_for_paths_that_the_service_answers_without_a_token(pod, given):
    app = create_app(settings.load(given | {"AGENT_EXECUTOR_API_TOKEN": "t"}))
    (container,) = pod["containers"]
    asked = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert asked == {"/health", "/ready"}
    assert all("security" not in app.openapi()["paths"][path]["get"] for path in asked)


def test_kubelet_waits_longer_for_readiness_than_the_service_for_what_it_asks(pod):
    (container,) = pod["containers"]
    assert container["readinessProbe"]["timeoutSeconds"] > PROBE_SECONDS


def test_ports_are_one_number_from_the_service_to_the_policy(objects, pod, given):
    port = settings.load(given).http_port
    named = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
    (service,) = objects["service"]["spec"]["ports"]
    (rule,) = objects["network-policy"]["spec"]["ingress"]
    assert named[service["targetPort"]] == port
    assert [each["port"] for each in rule["ports"]] == [port]
    assert service["port"] == port == 8080


def test_the_policy_opens_the_ports_that_the_service_connects_to(objects, given):
    read = settings.load({name: value for name, value in given.items() if not name.endswith("_PORT")})
    nats_port = int(re.search(r":(\d+)$", read.nats_url)[1])
    opened = {port["port"] for rule in objects["network-policy"]["spec"]["egress"] for port in rule["ports"]}
    assert {read.postgres_port, read.dragonfly_port, nats_port, 53, 443} == opened


@pytest.mark.parametrize(("key", "prefix"), SECRETS.items())
def test_secret_keys_are_settings_and_the_pod_reads_exactly_them(objects, pod, key, prefix):
    secret = objects[key]["spec"]["target"]["name"]
    keys = {entry["secretKey"] for entry in objects[key]["spec"]["data"]}
    read = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for entry in pod["containers"][0]["env"]
        if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == secret
    }
    assert read == keys <= {name.upper() for name in settings.Settings.model_fields}
    assert all(name.startswith(prefix) for name in keys)


def test_the_init_container_runs_a_script_of_the_image_with_all_that_migrations_need(pod):
    (init,) = pod["initContainers"]
    script = ROOT / init["command"][0]
    assert script.stat().st_mode & 0o111
    assert "agent_executor.services.migrations" in script.read_text()
    given = {entry["name"] for entry in init["env"]}
    assert given == {f"POSTGRES_{name}" for name in ("HOST", "PORT", "DB", "USER", "PASSWORD", "SCHEMA")}
    said = []
    assert migrations.main({}, said.append) == 2
    assert said[0].split(":")[0] in given


def test_the_function_keeps_its_own_variables_from_being_shadowed(given):
    for name in given:
        with pytest.raises(claim.Invalid, match=re.escape(name)):
            rendered(env=[{"name": name, "value": "x"}])


def test_what_a_tenant_may_set_of_the_service_is_not_shadowed():
    env = [
        {"name": "OPENAI_BASE_URL", "value": "https://llm.example.com"},
        {"name": "OTEL_SDK_DISABLED", "value": "true"},
    ]
    read = settings.load(started_with(rendered(env=env)["deployment"]["spec"]["template"]["spec"]))
    assert (read.openai_base_url, read.otel_sdk_disabled) == ("https://llm.example.com", True)
