"""The generated claims that the properties are shown on, and what each becomes."""

import functools
import json
from typing import Any

import hypothesis

from function import claim, resources
from tests.support.claims import EVERYTHING, OPEN, Given, given, manifest


@functools.cache
def claims(count: int = 500) -> tuple[Given, ...]:
    """A claim with every field, and as many generated ones; the same in every run on one version of Python."""
    found = [Given(manifest(EVERYTHING), OPEN)]

    @hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(given())
    def collect(case: Given) -> None:
        found.append(case)

    collect()
    return tuple(found)


def render(case: Given, **spec: Any) -> dict[str, Any]:
    """A claim's objects, as JSON has them; with some fields of its spec set."""
    manifest = case.manifest | {"spec": case.manifest["spec"] | spec}
    objects = resources.render(claim.parse(manifest, case.platform), case.platform)
    found: dict[str, Any] = json.loads(json.dumps(objects))
    return found


@functools.cache
def rendered() -> tuple[dict[str, Any], ...]:
    """The objects of every generated claim, each of which must be valid."""
    return tuple(render(case) for case in claims())
