"""What is taken away comes back, what others own is left alone, and a crash of anybody changes nothing."""

import signal
from typing import Any

import pytest

from tests.e2e.composed import NAME, applied, identities
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.crossplane import Crossplane
from tests.e2e.lab.processes import until

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]
MEMORY = {"small": "2Gi", "large": "8Gi"}  # limits of the sizes


def waits(crossplane: Crossplane) -> bool:
    """Whether a call of the function has not been answered yet."""
    asked, answered = crossplane.calls()
    return asked > answered


def memory(deployment: Any) -> str:
    """The memory limit of the executor's container."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])


def test_a_service_deleted_by_hand_comes_back(claims: Lab, where: str, timed: Timed) -> None:
    applied(claims, where)
    old = claims.api.get("Service", NAME, where)["metadata"]["uid"]
    with timed("deleted to back"):
        claims.api.delete("Service", NAME, where)
        claims.api.until(
            "Service", NAME, where, lambda seen: seen is not None and seen["metadata"]["uid"] != old, "back", 120
        )


def test_a_function_or_a_crossplane_that_is_killed_in_the_middle_changes_nothing_else(
    claims: Lab, where: str, timed: Timed
) -> None:
    applied(claims, where)
    function = claims.function
    assert function is not None
    for process, size in ((function, "large"), (claims.crossplane.core, "small")):
        before = identities(claims, where)
        with function.frozen():
            claims.api.patch("AgentExecutor", NAME, where, {"spec": {"size": size}})
            until(lambda: waits(claims.crossplane), "Crossplane waits for the function", 60)
            process.stop(signal.SIGKILL)
        assert identities(claims, where) == before
        with timed(f"{process.name} killed while the function was called, to the edit being carried out"):
            process.start()
            claims.api.until("Deployment", NAME, where, lambda seen, size=size: memory(seen) == MEMORY[size], size, 180)
        uid, generation = before["Deployment", NAME]
        assert identities(claims, where) == before | {("Deployment", NAME): (uid, generation + 1)}


def test_replicas_are_left_to_whoever_scales(claims: Lab, where: str) -> None:
    applied(claims, where)
    claims.api.kubectl("scale", "deployment", NAME, "--replicas=4", "-n", where)
    claims.api.apply(cluster.claim(NAME, where, size="large"))
    grown = claims.api.until(
        "Deployment",
        NAME,
        where,
        lambda seen: memory(seen) == MEMORY["large"],
        "large",
    )
    assert grown["spec"]["replicas"] == 4
