"""Every bad value is refused at its own path, with what would be right."""

import time

import pytest

from function import claim
from tests.support.bad_texts import SECRET
from tests.support.bad_values import ROWS, spec


def manifest(body):
    return {
        "apiVersion": "platform.bizmatters.io/v1alpha1",
        "kind": "AgentExecutor",
        "metadata": {"name": "agents", "namespace": "ai"},
        "spec": body,
    }


def faults(given):
    with pytest.raises(claim.Invalid) as refused:
        claim.parse(given)
    return refused.value.faults


def test_there_are_at_least_150_of_them_over_all_fields():
    assert len(ROWS) >= 150
    fields = {name for name, field in claim.Spec.model_fields.items()}
    assert {row[0].split(".")[0] for row in ROWS} >= {claim.Spec.model_fields[name].alias for name in fields}


@pytest.mark.parametrize(("path", "value", "says"), ROWS)
def test_a_bad_value_is_refused_by_its_path(path, value, says):
    (fault,) = faults(manifest(spec(path, value)))
    where, _, what = fault.partition(": ")
    at, colon, said = says.partition(": ") if says.startswith(("[", ".")) else ("", "", says)
    assert where == f"spec.{path}{at}" if colon else where.startswith(f"spec.{path}")
    assert said in what


@pytest.mark.parametrize(("path", "value", "says"), ROWS)
def test_a_message_is_one_short_line_that_repeats_no_secret(path, value, says):
    (fault,) = faults(manifest(spec(path, value)))
    assert fault.isprintable()
    assert len(fault) < 500
    assert SECRET not in fault


def test_all_faults_are_reported_at_once():
    body = {}
    for path, value in (("size", "huge"), ("image", ""), ("natsUrl", "x"), ("scaling.minReplicas", -1), ("sise", 1)):
        fresh = spec(path, value)
        body |= {key: fresh[key] for key in fresh if key != "image" or path == "image"}
    found = [fault.partition(":")[0] for fault in faults(manifest(body))]
    assert sorted(found) == ["spec.image", "spec.natsUrl", "spec.scaling.minReplicas", "spec.sise", "spec.size"]


def test_a_fault_between_fields_is_found_beside_a_fault_of_a_field():
    body = spec("size", "medium") | {"image": 7, "scaling": {"minReplicas": 12, "lagThreshold": 0}}
    assert [fault.partition(":")[0] for fault in faults(manifest(body))] == [
        "spec.image",
        "spec.scaling.lagThreshold",
        "spec.scaling.minReplicas",
    ]


def test_what_nobody_will_read_is_only_counted():
    began = time.process_time()
    body = spec("size", "medium") | {f"field{n}": n for n in range(20_000)}
    assert faults(manifest(body))[50:] == ("and 19950 more",)
    assert time.process_time() - began < 5
