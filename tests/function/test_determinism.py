"""Rendering depends on the claim alone: not on the process, a map's order, an earlier claim, or what is observed."""

import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from crossplane.function import resource
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.fn import FunctionRunner
from function.platform import API_VERSION, KIND
from tests.support import corpus
from tests.support.claims import OPEN, Given
from tests.support.corpus import render, rendered

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("generated-claims"),  # made once, in one process
]

ROOT = Path(__file__).parents[2]


def test_one_claim_leaves_nothing_behind_in_another():
    backwards = [render(case) for case in reversed(corpus.claims())]
    assert tuple(reversed(backwards)) == rendered()


PROGRAM = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from function import claim, platform, resources
OPEN = platform.Platform.model_validate_json(sys.stdin.readline())
for line in sys.stdin:
    manifest, wide = json.loads(line)
    bounds = OPEN if wide else platform.DEFAULT
    print(json.dumps(resources.render(claim.parse(manifest, bounds), bounds)))
"""


def rendered_elsewhere(hash_seed: str) -> list[str]:
    """The first hundred claims' objects, out of another process."""
    lines = [
        OPEN.model_dump_json(by_alias=True),
        *(json.dumps([c.manifest, c.platform is OPEN]) for c in corpus.claims()[:100]),
    ]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(lines),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_every_process_renders_the_same_bytes():
    runs = [rendered_elsewhere(seed) for seed in ("0", "1", "4242")]
    assert len(runs[0]) == 100
    assert all(one == other for one, other in pairwise(runs))


def shuffled(value: Any, order: random.Random) -> Any:
    """The same value with its maps in another order, as they arrive in Protobuf."""
    match value:
        case dict():
            return {key: shuffled(value[key], order) for key in order.sample(list(value), len(value))}
        case list():
            return [shuffled(part, order) for part in value]
        case _:
            return value


def test_the_order_of_a_map_changes_nothing():
    order = random.Random(3)
    for case, objects in zip(corpus.claims(), rendered(), strict=True):
        assert render(Given(shuffled(case.manifest, order), case.platform)) == objects


def request(case: Given, before: fnv1.RunFunctionResponse | None = None) -> fnv1.RunFunctionRequest:
    """One call of Crossplane's, with what the answer before it asked for applied, and its conditions set."""
    wanted = fnv1.RunFunctionRequest()
    status: dict[str, Any] = {}
    if before:
        for key, applied in before.desired.resources.items():
            wanted.observed.resources[key].resource.CopyFrom(applied.resource)
        told = [(c.type, fnv1.Status.Name(c.status), c.reason, c.message) for c in before.conditions]
        keys = ("type", "status", "reason", "message")
        status = resource.struct_to_dict(before.desired.composite.resource)["status"]
        status["conditions"] = [dict(zip(keys, (t, WORDS[s], r, m), strict=True)) for t, s, r, m in told]
    composite = {**case.manifest, **({"status": status} if status else {})}
    wanted.observed.composite.resource.CopyFrom(resource.dict_to_struct(composite))
    if case.platform is OPEN:
        spec = json.loads(OPEN.model_dump_json(by_alias=True, exclude_none=True))
        wanted.input.CopyFrom(resource.dict_to_struct({"apiVersion": API_VERSION, "kind": KIND, "spec": spec}))
    return wanted


WORDS = {"STATUS_CONDITION_TRUE": "True", "STATUS_CONDITION_FALSE": "False", "STATUS_CONDITION_UNKNOWN": "Unknown"}


async def test_what_was_applied_asks_for_no_further_change():
    runner = FunctionRunner()
    for case, objects in zip(corpus.claims(), rendered(), strict=True):
        first = await runner.RunFunction(request(case), None)
        assert not [result for result in first.results if result.severity == fnv1.SEVERITY_FATAL]
        assert {
            key: resource.struct_to_dict(wanted.resource) for key, wanted in first.desired.resources.items()
        } == objects
        second = await runner.RunFunction(request(case, first), None)
        assert {
            key: resource.struct_to_dict(wanted.resource) for key, wanted in second.desired.resources.items()
        } == objects
        third = await runner.RunFunction(request(case, second), None)
        assert third.desired == second.desired
        assert third.conditions == second.conditions
        assert not third.results, "nothing changed, so there is nothing to tell"
