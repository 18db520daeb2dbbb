"""What holds for every claim there can be, shown on 500 generated ones over every field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from function.model import model_at
from function.spec import Spec
from tests.support import corpus, validate
from tests.support.corpus import render, rendered

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("generated-claims")]  # made once, in one process


def every_object() -> Iterator[Mapping[str, Any]]:
    return (manifest for objects in rendered() for manifest in objects.values())


def test_there_are_500_and_all_are_valid():
    assert len(rendered()) == 1 + 500


def test_they_set_every_field():
    def declared(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, field in model.model_fields.items():
            here = (*path, field.alias or name)
            yield here
            for steps in ([field.alias or name], [field.alias or name, 0]):  # an object, or a list of objects
                try:
                    yield from declared(model_at(model, steps), here)
                    break
                except LookupError:
                    continue

    def given(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        match value:
            case dict():
                for key, part in value.items():
                    yield (*path, key)
                    yield from given(part, (*path, key))
            case list():
                for part in value:
                    yield from given(part, path)

    assert set(declared(Spec)) - {path for case in corpus.claims() for path in given(case.manifest["spec"])} == set()


def test_the_schemas_of_kubernetes_accept_every_object():
    objects = [manifest for manifest in every_object() if manifest["kind"] not in validate.CUSTOM]
    assert {fault for manifest in objects for fault in validate.faults(manifest)} == set()


def test_the_schemas_of_keda_and_external_secrets_accept_every_object():
    objects = [manifest for manifest in every_object() if manifest["kind"] in validate.CUSTOM]
    assert {fault for manifest in objects for fault in validate.faults(manifest)} == set()


def test_pod_security_allows_every_pod():
    forbidden = validate.forbidden([objects["deployment"]["spec"]["template"] for objects in rendered()])
    assert [reasons for reasons in forbidden if reasons] == []


def test_nothing_is_null():
    assert [path for manifest in every_object() for path in validate.nulls(manifest)] == []


def test_replicas_are_left_to_keda():
    assert [objects for objects in rendered() if "replicas" in objects["deployment"]["spec"]] == []


SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
NAMES = {  # kind: the grammar of its name, and its length; HPA names are keda-hpa-<name>, and they become label values
    "Service": ("[a-z]([-a-z0-9]*[a-z0-9])?", 63),
    "ScaledObject": (SUBDOMAIN, 63 - len("keda-hpa-")),
    "Deployment": (SUBDOMAIN, 63),  # its name is a label of its pods
}
QUALIFIED = rf"({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
VALUE = "([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"


def test_names_and_labels_are_within_the_limits_of_kubernetes():
    for manifest in every_object():
        grammar, length = NAMES.get(manifest["kind"], (SUBDOMAIN, 253))
        name = manifest["metadata"]["name"]
        assert re.fullmatch(grammar, name)
        assert len(name) <= length
        for meta in (manifest["metadata"], manifest.get("spec", {}).get("template", {}).get("metadata", {})):
            assert all(re.fullmatch(QUALIFIED, key) for part in ("labels", "annotations") for key in meta.get(part, {}))
            assert all(re.fullmatch(VALUE, value) for value in meta.get("labels", {}).values())


def test_the_objects_of_a_claim_fit_each_other():
    for objects in rendered():
        pod = objects["deployment"]["spec"]["template"]
        selectors = [
            objects["deployment"]["spec"]["selector"]["matchLabels"],
            objects["service"]["spec"]["selector"],
            objects["network-policy"]["spec"]["podSelector"]["matchLabels"],
            *([budget["spec"]["selector"]["matchLabels"]] if (budget := objects.get("pod-disruption-budget")) else []),
        ]
        assert all(selector.items() <= pod["metadata"]["labels"].items() for selector in selectors)
        assert pod["spec"]["serviceAccountName"] == objects["service-account"]["metadata"]["name"]
        assert objects["scaled-object"]["spec"]["scaleTargetRef"]["name"] == objects["deployment"]["metadata"]["name"]
        assert len({(manifest["kind"], manifest["metadata"]["name"]) for manifest in objects.values()}) == len(objects)
        assert len({manifest["metadata"]["namespace"] for manifest in objects.values()}) == 1
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
        assert all(mount["name"] in volumes for container in containers for mount in container["volumeMounts"])


def test_every_key_that_a_pod_reads_is_one_that_is_fetched():
    for objects in rendered():
        secrets = {m["spec"]["target"]["name"]: {d["secretKey"] for d in m["spec"]["data"]} for m in objects.values()
                   if m["kind"] == "ExternalSecret"}  # fmt: skip
        pod = objects["deployment"]["spec"]["template"]["spec"]
        read = [v["valueFrom"]["secretKeyRef"] for c in (*pod["initContainers"], *pod["containers"]) for v in c["env"]
                if "valueFrom" in v]  # fmt: skip
        assert read
        assert not secrets or all(ref["key"] in secrets[ref["name"]] for ref in read)


def test_no_rule_of_the_network_policy_is_open_to_everybody():
    for objects in rendered():
        spec = objects["network-policy"]["spec"]
        assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
        assert all(rule["ports"] and rule["to"] and all(rule["to"]) for rule in spec["egress"])
        assert all(rule["ports"] and rule["from"] and all(rule["from"]) for rule in spec["ingress"])


def test_a_new_image_or_size_changes_no_label_and_no_name():
    for case, objects in zip(corpus.claims(), rendered(), strict=True):
        later = render(case, image="ghcr.io/org/agent-executor:v9.9.9", size="large")
        for key, manifest in objects.items():
            assert later[key]["metadata"] == manifest["metadata"]
        assert later["deployment"]["spec"]["selector"] == objects["deployment"]["spec"]["selector"]
        assert (
            later["deployment"]["spec"]["template"]["metadata"] == objects["deployment"]["spec"]["template"]["metadata"]
        )
