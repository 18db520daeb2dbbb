import pytest
from pydantic import ValidationError

from function import platform, sizes
from function.invalid import Invalid
from function.quantity import parse
from function.sizes import STANDARD, Range, SizeProfile

MEMORY = Range("1Gi", "4Gi")


def profile(**change):
    return SizeProfile(**{"cpu": Range("1", "2"), "memory": MEMORY, **change})


def test_the_seeds_sizes_are_the_seeds():
    assert {
        name: (p.cpu.request, p.cpu.limit, p.memory.request, p.memory.limit, p.concurrency, p.max_replicas)
        for name, p in list(STANDARD.items())[:3]
    } == {
        "small": ("250m", "1000m", "512Mi", "2Gi", 5, 10),
        "medium": ("500m", "2000m", "1Gi", "4Gi", 5, 10),
        "large": ("1000m", "4000m", "2Gi", "8Gi", 5, 10),
    }


def test_the_standard_profiles_are_schedulable_and_grow():
    sizes.check(STANDARD)
    limits = [parse(p.cpu.limit) for p in STANDARD.values()]
    assert limits == sorted(limits)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"cpu": Range("2", "500m")}, "profiles.odd.cpu.request: '2' is above the limit '500m'"),
        ({"memory": Range("8Gi", "4Gi")}, "profiles.odd.memory.request: '8Gi' is above the limit '4Gi'"),
        ({"cpu": Range("0", "1")}, "profiles.odd.cpu.request: '0' is too little, the least is 1m"),
        (
            {"cpu": Range("1m", "49m")},
            "profiles.odd.cpu.limit: '49m' is too little, the migrations alone ask for 50m",
        ),
        (
            {"memory": Range("1Mi", "63Mi")},
            "profiles.odd.memory.limit: '63Mi' is too little, the migrations alone ask for 64Mi",
        ),
        ({"memory": Range("1", "4Gi")}, "profiles.odd.memory.request: '1' is too little, the least is 1Mi"),
    ],
)
def test_a_profile_that_no_pod_fits_is_refused_at_the_start(change, fault):
    with pytest.raises(Invalid) as refused:
        sizes.check(STANDARD | {"odd": profile(**change)})
    (found,) = refused.value.faults
    assert found.startswith(fault)


def test_every_fault_of_every_profile_is_said():
    with pytest.raises(Invalid) as refused:
        sizes.check({"Odd": profile(cpu=Range("2", "1")), "odd": profile(memory=Range("2", "1"))})
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "profiles",
        "profiles.Odd.cpu.request",
        "profiles.odd.memory.request",
        "profiles.odd.memory.limit",
        "profiles.odd.memory.request",
        "profiles",
    ]


@pytest.mark.parametrize(
    "bad", [{"cpu": Range("1", "2"), "memory": MEMORY, "max_replicas": 0}, {"cpu": Range("1", "2")}]
)
def test_a_profile_is_typed(bad):
    with pytest.raises(ValidationError):
        SizeProfile(**bad)


def test_a_quantity_in_a_profile_is_checked():
    with pytest.raises(ValidationError, match="is not a Kubernetes quantity"):
        Range("1 core", "2")


def test_a_platforms_own_main_may_add_one():
    offered = STANDARD | {"xlarge": profile()}
    sizes.check(offered)
    assert list(platform.DEFAULT.sizes(offered)) == [*dict.fromkeys((*STANDARD, "xlarge"))]


def test_a_profile_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        STANDARD["small"].concurrency = 50  # type: ignore[misc]
