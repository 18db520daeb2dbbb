import pytest

from function import platform
from function.invalid import Invalid
from function.model import Fixed

HEAD = {"apiVersion": platform.API_VERSION, "kind": platform.KIND}


def test_no_input_is_the_default():
    assert platform.parse(None) is platform.parse({}) is platform.DEFAULT
    assert platform.parse(HEAD) == platform.parse({**HEAD, "spec": {}}) == platform.DEFAULT


def test_the_default_is_the_seeds_and_opens_nothing_more():
    seed = platform.DEFAULT
    assert [store.name for store in seed.external_secrets.stores] == ["aws-parameter-store"]
    assert seed.external_secrets.prefixes == ("/zerotouch/prod/agent-executor",)
    assert (seed.databases.postgres.namespace, seed.databases.postgres.port) == ("databases", 5432)
    assert (seed.databases.dragonfly.namespace, seed.databases.dragonfly.port) == ("databases", 6379)
    assert {port for rule in seed.llm_egress.granted for port in rule.ports} == {443}
    closed = {network for rule in seed.llm_egress.granted for network in rule.except_}
    assert closed >= {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"}
    assert seed.scheduling == platform.Scheduling()
    assert not any(vars(seed.scheduling).values())


def test_a_part_of_a_part_may_be_given():
    given = platform.parse({**HEAD, "spec": {"dns": {"podLabels": {"app": "coredns"}}, "databases": {"postgres": {}}}})
    assert (given.dns.namespace, given.dns.port, given.dns.pod_labels) == ("kube-system", 53, {"app": "coredns"})
    assert given.databases == platform.DEFAULT.databases


def test_equal_inputs_are_one_value():
    spec = {"nats": {"podLabels": {"a": "1", "b": "2"}}, "databases": {"postgres": {"port": 6000.0}}}
    turned = {"databases": {"postgres": {"port": 6000}}, "nats": {"podLabels": {"b": "2", "a": "1"}}}
    one, other = (platform.parse({**HEAD, "spec": given}) for given in (spec, turned))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("change", [lambda d: d.update(a=1), lambda d: d.clear(), lambda d: d.__setitem__("a", 1)])
def test_a_fixed_dict_does_not_change(change):
    with pytest.raises(TypeError, match="does not change"):
        change(Fixed({"b": 2}))


PROFILE = {"cpu": {"request": "1", "limit": "2"}, "memory": {"request": "1Gi", "limit": "2Gi"}}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([], "input: a list is not an object"),
        ({"kind": platform.KIND}, "input.apiVersion: null is not 'agentexecutor.fn.bizmatters.io/v1beta1'"),
        ({**HEAD, "kind": "Input"}, "input.kind: 'Input' is not 'AgentExecutorPlatform'"),
        ({**HEAD, "profiles": {}}, "input.profiles: unknown field, the fields are apiVersion, kind, metadata, spec"),
        ({**HEAD, "spec": 5}, "input.spec: 5 is not an object"),
        ({**HEAD, "spec": {"profile": {}}}, "input.spec.profile: unknown field, did you mean 'profiles'?"),
        ({**HEAD, "spec": {"profiles": {"X": PROFILE}}}, "input.spec.profiles.X: 'X' is not a name of lower-case"),
        (
            {**HEAD, "spec": {"profiles": {"x": {**PROFILE, "cpu": {"request": "3", "limit": "2"}}}}},
            "input.spec.profiles.x.cpu.request: '3' is above the limit '2'",
        ),
        (
            {**HEAD, "spec": {"profiles": {"x": {**PROFILE, "cpu": {"request": 3, "limit": "2"}}}}},
            "input.spec.profiles.x.cpu.request: 3 is not a string",
        ),
        ({**HEAD, "spec": {"allowedImageRegistries": ["https://a"]}}, "input.spec.allowedImageRegistries[0]: 'https://a'"),
        ({**HEAD, "spec": {"databases": {"postgres": {"port": 0}}}}, "input.spec.databases.postgres.port: 0 is too"),
        ({**HEAD, "spec": {"dns": {"namespace": "A"}}}, "input.spec.dns.namespace: 'A' is not a name"),
        ({**HEAD, "spec": {"limits": {"maxReplicas": 1e9}}}, "input.spec.limits.maxReplicas: 1000000000 is too large"),
        ({**HEAD, "spec": {"llmEgress": {"default": [{"cidr": "10.0.0.0/8", "ports": [443]}], "allowed": []}}},
         "input.spec.llmEgress.default[0].cidr: '10.0.0.0/8' is not inside what is allowed"),
        ({**HEAD, "spec": {"llmEgress": {"allowed": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]}}},
         "input.spec.llmEgress.allowed[0].except[0]: '11.0.0.0/8' is not a part of 10.0.0.0/8"),
        ({**HEAD, "spec": {"scheduling": {"allowedTolerations": ["gpu"]}}}, "input.spec.scheduling.allowedTolerations"),
        ({**HEAD, "spec": {"nats": {"monitoringEndpoint": "http://a:1"}}}, "input.spec.nats.monitoringEndpoint: "),
        ({**HEAD, "spec": {"nats": {"podLabels": {}}}}, "input.spec.nats.podLabels: is empty, and so is namespaces"),
        ({**HEAD, "spec": {"nats": {"cidrs": ["10.0.0.1/8"]}}}, "input.spec.nats.cidrs[0]: '10.0.0.1/8' has bits set"),
    ],
)  # fmt: skip
def test_a_bad_input_is_refused_by_its_path(given, fault):
    with pytest.raises(Invalid) as refused:
        platform.parse(given)
    assert any(found.startswith(fault) for found in refused.value.faults), refused.value.faults
