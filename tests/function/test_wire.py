"""Our encoder against Protobuf's own."""

import math

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function import wire
from function.fixed import Fixed, fixed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT, VALUES, max_size=8))
def test_it_encodes_what_protobuf_encodes(value):
    assert Struct.FromString(wire.struct(value)) == json_format.ParseDict(value, Struct())


def test_fixed_parts_and_tuples_are_encoded_like_others():
    part = Fixed(a=1, b=[Fixed(c="d")])
    for _ in range(2):  # the second time from what was kept
        assert wire.struct({"x": part, "y": (part, 2)}) == wire.struct(
            {"x": {"a": 1, "b": [{"c": "d"}]}, "y": [dict(part), 2]}
        )


def test_long_bodies_have_long_lengths():
    value = {"k": "x" * 70_000, "l": ["y" * 300] * 300}
    assert json_format.MessageToDict(Struct.FromString(wire.struct(value))) == value


def test_numbers_that_json_lacks_are_still_doubles():
    assert math.isnan(Struct.FromString(wire.struct({"k": math.nan})).fields["k"].number_value)


def test_what_json_does_not_have_is_refused_by_type():
    with pytest.raises(TypeError, match="a manifest holds a set"):
        wire.struct({"k": {1}})


def test_an_entry_is_what_the_sdk_would_send():
    response = fnv1.RunFunctionResponse()
    response.desired.resources["k"].resource.update({"a": {"b": [1, "c"]}})
    response.desired.resources["k"].ready = fnv1.READY_FALSE
    made = wire.desired("k", wire.struct({"a": {"b": [1, "c"]}}), fnv1.READY_FALSE)
    assert fnv1.RunFunctionResponse.FromString(made) == response


def test_a_fixed_part_is_made_once_for_the_same_arguments():
    made = []

    @fixed
    def part(name: str) -> dict[str, str]:
        made.append(name)
        return {"name": name}

    assert part("a") is part("a")
    assert part("b") == {"name": "b"}
    assert made == ["a", "b"]
