"""The Secrets of a claim: what SSM holds, named on the claim where it is missing, and said nowhere else."""

import re
from base64 import b64decode

import pytest

from tests.e2e.composed import NAME, applied
from tests.e2e.conftest import Timed
from tests.e2e.lab import cluster, parameters
from tests.e2e.lab.api import condition, is_true
from tests.e2e.lab.cluster import Lab
from tests.e2e.lab.processes import until

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("claims")]
POSTGRES = {
    f"POSTGRES_{key.upper()}": cluster.SEED[f"postgres/{key}"] for key in ("host", "port", "db", "user", "password")
}
DRAGONFLY = {f"DRAGONFLY_{key.upper()}": cluster.SEED[f"dragonfly/{key}"] for key in ("host", "port", "password")}
LLM = {"OPENAI_API_KEY": cluster.SEED["openai_api_key"], "ANTHROPIC_API_KEY": cluster.SEED["anthropic_api_key"]}


def secret(lab: Lab, name: str, where: str) -> dict[str, str]:
    """What a Secret holds."""
    return {key: b64decode(value).decode() for key, value in lab.api.get("Secret", name, where)["data"].items()}


def named(message: str, prefix: str) -> set[str]:
    """The parameters below a prefix that a message names."""
    return set(re.findall(rf"{re.escape(prefix)}/([a-z_/]+)", message))


def told_of(lab: Lab, where: str, prefix: str) -> set[str]:
    """The parameters that warnings about ExternalSecrets name."""
    said = [event for event in lab.api.list("Event", where) if event["involvedObject"]["kind"] == "ExternalSecret"]
    return named(" ".join(event["message"] for event in said if event["type"] == "Warning"), prefix)


def test_the_secrets_hold_what_ssm_holds_and_nobody_else_says_it(claims: Lab, where: str, timed: Timed) -> None:
    with timed("claim applied to Secrets synced"):
        claim = applied(claims, where)
    assert secret(claims, "agent-executor-postgres", where) == POSTGRES
    assert secret(claims, "agent-executor-dragonfly", where) == DRAGONFLY
    assert secret(claims, "agent-executor-llm-keys", where) == LLM
    xr = claims.api.get("XAgentExecutor", claim["spec"]["resourceRef"]["name"])
    # Of what has no namespace the events are in `default`.
    said = f"{claim} {xr} {claims.api.list('Event', where)} {claims.api.list('Event', 'default')}"
    said += "".join(process.log.read_text() for process in claims.plane.processes.all)
    assert claim["metadata"]["name"] in said
    confidential = [
        value for key, value in {**POSTGRES, **DRAGONFLY, **LLM}.items() if key.endswith(("PASSWORD", "API_KEY"))
    ]
    assert len(confidential) == 4
    assert not [value for value in confidential if value in said]


def test_a_missing_parameter_is_named_on_the_claim_and_heals_by_itself(claims: Lab, where: str, timed: Timed) -> None:
    missing = "postgres/password"
    prefix = f"{parameters.PREFIX}/{where}"
    claims.parameters.put({key: value for key, value in cluster.SEED.items() if key != missing}, prefix)
    with timed("claim applied to the name on it"):
        claims.api.apply(
            cluster.claim(NAME, where, externalSecrets={"parameterPrefix": prefix, "refreshInterval": "10s"})
        )
        claim = claims.api.until(
            "AgentExecutor",
            NAME,
            where,
            lambda seen: (
                condition(seen, "SecretsReady").get("reason") == "ParameterUnreadable"
                and [one["ready"] for one in seen["status"].get("secrets", [])] == [False, True, True]
            ),
            "one Secret misses a parameter, and the others are there",
        )
    said = condition(claim, "SecretsReady")
    assert said["status"] == "False"
    assert said["message"].startswith("agent-executor-postgres: ")
    # External Secrets' condition keeps to itself which one it was, so those of its Secret are all named, and no others.
    assert named(said["message"], prefix) == {key for key in cluster.SEED if key.startswith("postgres/")}
    # Its event does name the one: that is where a person looks next.
    until(lambda: told_of(claims, where, prefix) == {missing}, "the missing one in External Secrets' events", 30)
    with timed("parameter put to healed"):
        claims.parameters.put({missing: cluster.SEED[missing]}, prefix)
        claims.api.until("AgentExecutor", NAME, where, lambda seen: is_true(seen, "SecretsReady"), "healed", 300)
    assert secret(claims, "agent-executor-postgres", where) == POSTGRES
