"""Where the servers are: claims, Jobs, KEDA, policies and pages name the Services and pods that the tree makes."""

import re
from typing import Any

import pytest

from function import addresses, claim, resources, sizes
from tests.gitops.test_how_to import HOW_TOS
from tests.gitops.test_tree import Document, of, one, settings

SERVERS = [d for d in of("Application") if d.body["metadata"]["name"] == "nats"]
DATABASES = ("postgres", "dragonfly")


class Nats:
    """What the chart makes of an Application: its Services are called after the release, its pods after the chart."""

    def __init__(self, application: Document) -> None:
        spec = application.body["spec"]
        helm, self.namespace = spec["source"]["helm"], spec["destination"]["namespace"]
        self.service, self.pods = helm["releaseName"], {"app.kubernetes.io/name": spec["source"]["chart"]}
        assert spec["source"]["chart"] in self.service  # else they would be called RELEASE-CHART
        self.monitoring = f"{self.service}-headless.{self.namespace}.svc.cluster.local"
        self.monitoring += f":{helm['valuesObject']['config']['monitor']['port']}"

    def serves(self, urls: str) -> bool:
        """Whether these are all its own, as another namespace has to say it."""
        servers = addresses.nats_servers(urls)
        return {(s.service, s.port) for s in servers} == {((self.service, self.namespace), addresses.DEFAULT_PORT)}


def rendered(document: Document) -> dict[str, Any]:
    given = settings()
    return dict(resources.render(claim.parse(document.body, given, given.sizes(sizes.STANDARD)), given))


def opened(policy: dict[str, Any], namespace: str, pods: dict[str, str]) -> set[int]:
    """The ports of such pods that a policy lets its own connect to."""
    found = set()
    for rule in policy["spec"]["egress"]:
        for peer in rule["to"]:
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            place = peer.get("namespaceSelector", {}).get("matchLabels", {})
            if place == {"kubernetes.io/metadata.name": namespace} and labels.items() <= pods.items():
                found |= {port["port"] for port in rule["ports"]}
    return found


@pytest.mark.parametrize("application", SERVERS, ids=str)
@pytest.mark.parametrize("document", of("AgentExecutor"), ids=str)
def test_an_executor_and_keda_find_the_nats_servers(document: Document, application: Document) -> None:
    nats, made = Nats(application), rendered(document)
    (url,) = (
        each["value"]
        for container in made["deployment"]["spec"]["template"]["spec"]["containers"]
        for each in container["env"]
        if each["name"] == "NATS_URL"
    )
    assert nats.serves(url)
    asked = [t["metadata"] for t in made["scaled-object"]["spec"]["triggers"] if t["type"] == "nats-jetstream"]
    assert [each["natsServerMonitoringEndpoint"] for each in asked] == [nats.monitoring]
    assert opened(made["network-policy"], nats.namespace, nats.pods) == {addresses.DEFAULT_PORT}


@pytest.mark.parametrize("application", SERVERS, ids=str)
def test_a_claim_that_names_no_nats_servers_means_those(application: Document) -> None:
    (version,) = one("CompositeResourceDefinition")["spec"]["versions"]
    known = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert Nats(application).serves(known["natsUrl"]["default"])


@pytest.mark.parametrize("application", SERVERS, ids=str)
@pytest.mark.parametrize("job", of("Job"), ids=str)
def test_the_streams_are_made_on_those_servers_and_beside_them(job: Document, application: Document) -> None:
    nats = Nats(application)
    (container,) = job.body["spec"]["template"]["spec"]["containers"]
    assert nats.serves({each["name"]: each["value"] for each in container["env"]}["NATS_URL"])
    # Argo CD makes the namespace of the Application, and no other.
    beside = [d.body for d in of("ConfigMap", job.file)]
    assert {body["metadata"]["namespace"] for body in (job.body, *beside)} == {nats.namespace}


def service(name: str) -> dict[str, Any]:
    (found,) = (d.body for d in of("Service", "platform/05-databases/") if d.body["metadata"]["name"] == name)
    return found


def test_the_parameters_name_the_databases_services() -> None:
    line = r'^ *aws ssm put-parameter .*--name \S+/(\w+)/(host|port) --value "([^"]*)"'
    put = {found for page in HOW_TOS for found in re.findall(line, page.read_text("utf-8"), re.MULTILINE)}
    wanted = set()
    for name in DATABASES:
        body = service(name)
        (port,) = body["spec"]["ports"]
        host = f"{name}.{body['metadata']['namespace']}.svc.cluster.local"
        wanted |= {(name, "host", host), (name, "port", str(port["port"]))}
    assert put == wanted


@pytest.mark.parametrize("name", DATABASES)
def test_a_service_is_in_front_of_the_pods_that_every_executor_may_connect_to(name: str) -> None:
    (body,) = (d.body for d in of("StatefulSet", "platform/05-databases/") if d.body["metadata"]["name"] == name)
    before, template = service(name), body["spec"]["template"]
    assert before["metadata"]["namespace"] == body["metadata"]["namespace"]
    assert before["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert body["spec"]["serviceName"] == name
    ports = {port["name"]: port["containerPort"] for c in template["spec"]["containers"] for port in c["ports"]}
    (front,) = before["spec"]["ports"]
    for document in of("AgentExecutor"):
        to = opened(rendered(document)["network-policy"], body["metadata"]["namespace"], template["metadata"]["labels"])
        assert ports[front["targetPort"]] in to
