"""Request to response: the one module, with `serve`, that knows Crossplane and Protobuf.

Invariants: what earlier steps desire is passed on, and only this function's own keys are written; a bad claim or Input
applies nothing, so the last good objects stay; no request makes the call itself fail. A claim is read and rendered
once: the memo's key is all that the result depends on, byte for byte, so that no claim can get another one's answer.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value

from function import claim as claims
from function import observed as seen
from function import platform as platforms
from function import resources, sizes, status, wire
from function.invalid import Invalid
from function.readiness import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import grpc

    from function.claim import Claim
    from function.platform import Platform
    from function.sizes import SizeProfile

TTL = Duration(seconds=60)  # how long Crossplane may wait before it asks again
PLANS = 256  # claims that are remembered; about 30 KiB each
INPUTS = 16  # Inputs that are remembered; a cluster has one for each composition


class Plan(NamedTuple):
    """A claim, and each of its objects by key: the kind and the manifest as an encoded Struct."""

    claim: Claim
    objects: Mapping[str, tuple[str, bytes]]


class Identity(NamedTuple):
    """What of a composite, beside its spec, decides how it is rendered."""

    api_version: str
    kind: str
    name: str
    namespace: str


class FunctionRunner(grpcv1.FunctionRunnerServiceServicer):
    """Composes AgentExecutors out of these size profiles, and those that an Input adds."""

    def __init__(self, profiles: Mapping[str, SizeProfile] = sizes.STANDARD) -> None:
        """Check the profiles, so that a bad one stops the start and not a claim.

        Raises:
            Invalid: a profile can never be scheduled.
        """
        sizes.check(profiles)
        self._profiles = profiles
        self._platform = lru_cache(maxsize=INPUTS)(_platform)
        self._plan = lru_cache(maxsize=PLANS)(self._make_plan)
        self._log = structlog.get_logger()

    async def RunFunction(  # noqa: N802 - gRPC's name for it
        self, request: fnv1.RunFunctionRequest, _: grpc.aio.ServicerContext[Any, Any] | None
    ) -> fnv1.RunFunctionResponse:
        """Answer one call of Crossplane's."""
        response = fnv1.RunFunctionResponse(desired=request.desired)
        response.meta.tag = request.meta.tag
        response.meta.ttl.CopyFrom(TTL)
        if request.HasField("context"):
            response.context.CopyFrom(request.context)
        try:
            self._answer(request, response)
        except Exception as error:  # noqa: BLE001 - see below
            # Whatever else goes wrong would reach Crossplane as a bare UNKNOWN, nobody's claim and nobody's log: a
            # fatal result applies just as little, says so on the claim, and leaves the traceback here.
            self._log.exception("failed", **_who(request))
            response = fnv1.RunFunctionResponse(meta=response.meta, desired=request.desired)
            told = f"the function itself failed ({type(error).__name__}): its log has the details"
            _add_result(response, fnv1.SEVERITY_FATAL, "InternalError", told)
        return response

    def _answer(self, request: fnv1.RunFunctionRequest, response: fnv1.RunFunctionResponse) -> None:
        given = request.input.SerializeToString(deterministic=True) if request.HasField("input") else None
        try:
            self._platform(given)
        except Invalid as error:
            self._log.warning("refused the input", **_who(request), faults=error.faults)
            _add_result(response, fnv1.SEVERITY_FATAL, "InvalidInput", f"invalid input of the function: {error}")
            return
        composite = request.observed.composite.resource
        try:
            plan = self._plan(_identity(composite), _spec(composite), given)
        except Invalid as error:
            self._log.info("refused", **_who(request), faults=error.faults)
            refusal = status.invalid(error.faults)
            _add_conditions(response, [refusal])
            _add_result(response, fnv1.SEVERITY_FATAL, refusal.reason, f"invalid AgentExecutor: {error}")
            return
        found = request.observed.resources
        observed = {key: found[key].resource for key in plan.objects if key in found}
        readiness = {key: judge(kind, key, observed) for key, (kind, _) in plan.objects.items()}
        for key, (_, manifest) in plan.objects.items():
            desired = response.desired.resources[key]
            desired.resource.ParseFromString(manifest)
            desired.ready = fnv1.READY_TRUE if readiness[key].ready else fnv1.READY_FALSE
        generation = seen.number(composite, "metadata", "generation")
        fields = status.fields(plan.claim, generation, observed, readiness)
        # Field by field into what an earlier step may have set there.
        response.desired.composite.resource.fields["status"].struct_value.MergeFromString(wire.struct(fields))
        conditions = status.conditions(plan.claim, readiness)
        _add_conditions(response, conditions)
        for event in status.events(conditions, seen.conditions(composite)):
            severity = fnv1.SEVERITY_WARNING if event.warning else fnv1.SEVERITY_NORMAL
            _add_result(response, severity, event.reason, event.message)
        if self._log.is_enabled_for(logging.DEBUG):
            ready = [key for key, judged in readiness.items() if judged.ready]
            self._log.debug("answered", **_who(request), ready=ready)

    def _make_plan(self, identity: Identity, spec: bytes | None, given: bytes | None) -> Plan:
        """What depends on the composite and the Input alone, out of nothing but the memo's key."""
        platform = self._platform(given)
        composite = {
            "apiVersion": identity.api_version,
            "kind": identity.kind,
            "metadata": {k: v for k, v in (("name", identity.name), ("namespace", identity.namespace)) if v},
            "spec": None if spec is None else seen.whole(seen.plain(Value.FromString(spec))),
        }
        claim = claims.parse(composite, platform, self._profiles)
        rendered = resources.render(claim, platform)
        kinds = resources.REGISTRY
        return Plan(claim, {k: (kinds[k].kind, wire.struct(m)) for k, m in rendered.items()})


def _identity(composite: Struct) -> Identity:
    return Identity(
        seen.text(composite, "apiVersion"),
        seen.text(composite, "kind"),
        seen.text(composite, "metadata", "name"),
        seen.text(composite, "metadata", "namespace"),
    )


def _spec(composite: Struct) -> bytes | None:
    # Deterministic, because a map's order on the wire is not: the same spec has to be the same key.
    return composite.fields["spec"].SerializeToString(deterministic=True) if "spec" in composite.fields else None


def _platform(given: bytes | None) -> Platform:
    return platforms.DEFAULT if given is None else platforms.parse(seen.whole(Struct.FromString(given)))


def _who(request: fnv1.RunFunctionRequest) -> dict[str, str]:
    """Whose call it is, for the log."""
    composite = request.observed.composite.resource
    who = {"xr": seen.text(composite, "metadata", "name"), "namespace": seen.text(composite, "metadata", "namespace")}
    if claim := seen.text(composite, "spec", "claimRef", "name"):
        who |= {"claim": claim, "namespace": seen.text(composite, "spec", "claimRef", "namespace")}
    return who


def _add_conditions(response: fnv1.RunFunctionResponse, conditions: Iterable[status.Condition]) -> None:
    response.conditions.extend(
        fnv1.Condition(
            type=condition.type,
            status=fnv1.STATUS_CONDITION_TRUE if condition.holds else fnv1.STATUS_CONDITION_FALSE,
            reason=condition.reason,
            message=condition.message,
            target=fnv1.TARGET_COMPOSITE_AND_CLAIM,  # the SDK's helpers leave it out, and then no claim ever sees it
        )
        for condition in conditions
    )


def _add_result(response: fnv1.RunFunctionResponse, severity: fnv1.Severity, reason: str, message: str) -> None:
    response.results.add(severity=severity, message=message, reason=reason, target=fnv1.TARGET_COMPOSITE_AND_CLAIM)
