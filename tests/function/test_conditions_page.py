"""docs/reference/conditions.md has every reason that the function can give, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from function import claim, readiness, status
from function.resources import external_secrets
from tests.support.calls import claim as manifest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "conditions.md").read_text("utf-8")
FOREIGN = {"ProgressDeadlineExceeded", "FailedCreate", "TriggerError", "ScaledObjectCheckFailed"}


def reasons(module: str) -> Iterator[str]:
    """What stands in the source where a reason belongs: `reason=…`, `Condition(…, …, …)`, `_refusal(…)`."""
    for node in ast.walk(ast.parse((ROOT / "function" / f"{module}.py").read_text("utf-8"))):
        places: list[ast.expr] = []
        if isinstance(node, ast.Call):
            places = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            places += {"_refusal": node.args[:1], "Condition": node.args[2:3]}.get(called, [])
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["reason"]:
            places = [node.value]
        for place in places:
            yield from (found.value for found in ast.walk(place) if isinstance(found, ast.Constant) and found.value)


def test_the_page_has_every_reason_and_no_other():
    given = {reason for module in ("readiness", "status", "fn", "serve") for reason in reasons(module)}
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    prose = set(re.findall(r"`(\w+)`", PAGE.partition("## Other reasons")[2])) & {"Observed", "SecretSynced"}
    assert len(given) > 20
    assert rows | prose | {"SecretsRemoved"} == given
    assert "The event `SecretsRemoved`" in PAGE
    assert set(re.findall(r"`([A-Z]\w+)`", PAGE.partition("## Other reasons")[2])) - prose == FOREIGN


def test_the_page_has_every_condition():
    asked = claim.parse(manifest())
    ready = dict.fromkeys(["deployment", "scaled-object", *external_secrets.KEYS], readiness.NOT_OBSERVED)
    conditions = [condition.type for condition in status.conditions(asked, ready)]
    assert re.findall(r"^## `(\w+)`: ", PAGE, re.MULTILINE) == conditions


@pytest.mark.parametrize("reason", sorted(readiness.WAITING))
def test_what_passes_by_itself_says_so(reason):
    (row, *_) = re.findall(rf"^\| `{reason}` \|.*$", PAGE, re.MULTILINE)
    assert "Wait" in row or reason == "MinimumReplicasUnavailable"
