"""Size profiles: what "small", "medium" and "large" buy on this platform.

To add one, add one line to STANDARD, then `make generate` (the XRDs' `size` enum follows). To add one without forking,
build your own image whose main says:

    serve.run(FunctionRunner(profiles=STANDARD | {"xlarge": SizeProfile(...)}))

To add one without any build, add a row to `spec.profiles` of the function's Input.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from function.formats import Quantity
from function.invalid import Invalid, show
from function.model import Model, Whole
from function.quantity import parse


class Range(Model):
    """What a container asks for, and the most it may use."""

    request: Quantity
    """What the scheduler sets aside for one pod."""
    limit: Quantity
    """The most that one pod may use."""

    def __init__(self, *pair: str, **fields: str) -> None:
        """Take `Range("250m", "1000m")` as well as the two names."""
        super().__init__(**dict(zip(("request", "limit"), pair, strict=False)), **fields)


class SizeProfile(Model):
    """The resources of one executor pod, how many jobs it runs at a time, and how far the fleet may grow."""

    cpu: Range
    """CPU cores, `250m` being a quarter of one."""
    memory: Range
    """Bytes, with a suffix such as Mi or Gi."""
    concurrency: Annotated[Whole, Field(ge=1, le=1000)] = 5
    """Jobs that one pod runs at a time, and the most that a claim of this size may ask for."""
    max_replicas: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Pods that a claim of this size may grow to."""


STANDARD: Mapping[str, SizeProfile] = MappingProxyType({
    "small":  SizeProfile(cpu=Range("250m", "1000m"),  memory=Range("512Mi", "2Gi")),
    "medium": SizeProfile(cpu=Range("500m", "2000m"),  memory=Range("1Gi", "4Gi")),
    "large":  SizeProfile(cpu=Range("1000m", "4000m"), memory=Range("2Gi", "8Gi")),
})  # fmt: skip

MIGRATIONS = MappingProxyType({"cpu": "50m", "memory": "64Mi"})  # what they ask for, in any size
DEFAULT_SIZE = "medium"  # the seed's, so every set of profiles has it
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def check(profiles: Mapping[str, SizeProfile]) -> None:
    """Refuse profiles that no pod could be scheduled with, or that no claim could name.

    Raises:
        Invalid: with every fault of every profile, as `profiles.<name>.<field>: what, and what would be right`.
    """
    faults = [fault for name, profile in profiles.items() for fault in _faults(name, profile)]
    if DEFAULT_SIZE not in profiles:
        faults.append(f"profiles: has no {DEFAULT_SIZE!r}, the size of every claim that does not name one")
    if faults:
        raise Invalid(faults)


def _faults(name: str, profile: SizeProfile) -> list[str]:
    faults = []
    if not re.fullmatch(NAME, name) or len(name) > 63:
        faults.append(f"profiles: {show(name)} is not a name of lower-case letters, digits and '-'")
    for resource, unit in (("cpu", "1m"), ("memory", "1Mi")):
        asked: Range = getattr(profile, resource)
        request, limit = parse(asked.request), parse(asked.limit)
        if request < parse(unit):
            faults.append(f"profiles.{name}.{resource}.request: {asked.request!r} is too little, the least is {unit}")
        if limit < parse(MIGRATIONS[resource]):
            faults.append(
                f"profiles.{name}.{resource}.limit: {asked.limit!r} is too little, "
                f"the migrations alone ask for {MIGRATIONS[resource]}"
            )
        if request > limit:
            faults.append(
                f"profiles.{name}.{resource}.request: {asked.request!r} is above the limit {asked.limit!r}, "
                "no pod could be made with it"
            )
    return faults
