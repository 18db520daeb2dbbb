"""Conditions and events, from what is ready."""

# ruff: noqa: E501 - a case is a row of a table

import pytest

from function import claim as claims
from function import observed as seen
from function import status
from function.readiness import Readiness
from function.status import Condition, Event
from tests.support.calls import claim

CLAIM = claims.parse(claim())
READY = Readiness(ready=True, reason="Fine", message="as it should be")
WAITING = Readiness(ready=False, reason="Creating", message="it is being created")
BROKEN = Readiness(ready=False, reason="ParameterUnreadable", message="no such parameter")
KEYS = ("postgres-secret", "dragonfly-secret", "llm-keys-secret", "deployment", "scaled-object")
CROSSPLANES = {"Ready", "Synced", "Healthy", "Responsive", "UpToDate"}


def conditions(**changed):
    readiness = dict.fromkeys(KEYS, READY) | {key.replace("_", "-"): value for key, value in changed.items()}
    return {condition.type: condition for condition in status.conditions(CLAIM, readiness)}


def test_there_are_four_conditions_and_none_is_crossplanes_own():
    assert list(conditions()) == ["SpecValid", "SecretsReady", "WorkloadAvailable", "ScalingReady"]
    assert not CROSSPLANES & set(conditions())


def test_each_part_has_its_condition():
    assert conditions(deployment=BROKEN)["WorkloadAvailable"] == Condition(
        "WorkloadAvailable", holds=False, reason="ParameterUnreadable", message="no such parameter"
    )
    assert conditions(scaled_object=BROKEN)["ScalingReady"].holds is False


@pytest.mark.parametrize(
    ("changed", "reason", "message"),
    [
        ({"llm_keys_secret": WAITING}, "Creating", "agent-executor-llm-keys: it is being created"),
        (
            {"postgres_secret": WAITING, "llm_keys_secret": BROKEN},
            "ParameterUnreadable",
            "agent-executor-postgres: it is being created; agent-executor-llm-keys: no such parameter",
        ),
    ],
)
def test_secrets_are_named_and_the_worst_gives_the_reason(changed, reason, message):
    assert conditions(**changed)["SecretsReady"] == Condition("SecretsReady", False, reason, message)


OLD = seen.Condition
CHANGES = {
    "nothing is new about what is not there yet": (None, Condition("X", False, "Creating"), []),
    "a fault is told at once": (None, Condition("X", False, "TriggerError", "why"), [Event(True, "TriggerError", "X: why")]),
    "good from the start is no news": (None, Condition("X", True, "Fine"), []),
    "the same again is no news": (OLD("False", "TriggerError", "a"), Condition("X", False, "TriggerError", "b"), []),
    "another fault is": (
        OLD("False", "TriggerError", "a"), Condition("X", False, "CheckFailed", "b"), [Event(True, "CheckFailed", "X: b")]),
    "recovery is, and no warning": (OLD("False", "TriggerError", ""), Condition("X", True, "Fine"), [Event(False, "Fine", "X: Fine")]),
    "ready after waiting is": (OLD("False", "Creating", ""), Condition("X", True, "Fine", "all"), [Event(False, "Fine", "X: all")]),
    "waiting again is, and no warning": (
        OLD("True", "Fine", ""), Condition("X", False, "Reconciling", "soon"), [Event(False, "Reconciling", "X: soon")]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "now", "events"), CHANGES.values(), ids=CHANGES)
def test_an_event_is_a_change(before, now, events):
    assert list(status.events([now], {} if before is None else {"X": before})) == events
