"""What is taken away comes back, what others own is left alone, and a crash of anybody changes nothing."""

import signal

import pytest

from tests.e2e.composed import NAME, applied, identities
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster
from tests.e2e.lab.api import is_true
from tests.e2e.lab.cluster import Lab

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900), pytest.mark.xdist_group("claims")]


def test_a_service_deleted_by_hand_comes_back(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    old = claims.api.get("Service", NAME, where)["metadata"]["uid"]
    with timed("deleted to back"):
        claims.api.delete("Service", NAME, where)
        claims.api.until(
            "Service", NAME, where, lambda seen: seen is not None and seen["metadata"]["uid"] != old, "back", 120
        )


def test_a_function_or_a_crossplane_that_is_killed_changes_nothing(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    before = identities(claims, where)
    assert claims.function is not None
    for process in (claims.function, claims.crossplane.core):
        with timed(f"{process.name} killed to reconciled again"):
            process.stop(signal.SIGKILL)
            # There is something to reconcile while nobody can.
            edited = claims.api.patch("AgentExecutor", NAME, where, {"metadata": {"labels": {"killed": process.name}}})
            assert identities(claims, where) == before
            process.start()
            xr = edited["spec"]["resourceRef"]["name"]
            claims.api.until(
                "XAgentExecutor",
                xr,
                "",
                lambda seen, name=process.name: (
                    seen["metadata"]["labels"].get("killed") == name and is_true(seen, "Synced")
                ),
                "reconciled",
                180,
            )
        assert identities(claims, where) == before


def test_replicas_are_left_to_whoever_scales(claims: Lab, where: str) -> None:
    applied(claims, where)
    claims.api.kubectl("scale", "deployment", NAME, "--replicas=4", "-n", where)
    claims.api.apply(cluster.claim(NAME, where, size="large"))
    grown = claims.api.until(
        "Deployment",
        NAME,
        where,
        lambda seen: seen["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "8Gi",
        "large",
    )
    assert grown["spec"]["replicas"] == 4
