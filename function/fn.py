"""Request to response: the one module, with `serve`, that knows Crossplane and Protobuf.

Invariants: what earlier steps desire is passed on, and only this function's own keys are written; a bad claim or Input
applies nothing, so the last good objects stay; no request makes the call itself fail. A claim is read and rendered
once: the memo's key is all that the result depends on, byte for byte, so that no claim can get another one's answer.
Of the Secrets that Crossplane sends, where the platform asks for them, only a hash is read, and kept; of the pods, only
why they do not come up.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value

from function import causes, logs, resources, rotation, sizes, status, wire
from function import claim as claims
from function import observed as seen
from function import platform as platforms
from function.invalid import Invalid
from function.logs import log
from function.model import EMPTY
from function.readiness import HELD, judge
from function.resources import external_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import grpc

    from function.claim import Claim
    from function.platform import Platform
    from function.sizes import SizeProfile

    Key = tuple[bytes, bytes | None, Mapping[str, str], tuple[str, ...]]

TTL = Duration(seconds=60)  # how long Crossplane may wait before it asks again
SOON = Duration(seconds=10)  # the same while pods are looked at: it watches them, unless its circuit breaker has opened
CLAIMS = 128  # claims that are remembered; about 60 KiB each
INPUTS = 16  # Inputs that are remembered; a cluster has one for each composition


class Plan(NamedTuple):
    """A claim, and each of its objects by key: the kind and the manifest as an encoded Struct."""

    claim: Claim
    objects: Mapping[str, tuple[str, bytes]]


class Answer(NamedTuple):
    """What this function adds to a response, encoded: all but the composite's status, and the fields of that."""

    body: bytes
    status: bytes = b""


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
        self._plan = lru_cache(maxsize=CLAIMS)(self._make_plan)
        self._answers: dict[Key, Answer] = {}

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
            # Deterministic, because a map's order on the wire is not: the same state has to be the same key.
            given = request.input.SerializeToString(deterministic=True) if request.HasField("input") else None
            required = request.required_resources
            synced = _synced(required) if required else EMPTY
            why = causes.known(pod.resource for pod in required[causes.KEY].items) if causes.KEY in required else ()
            key = request.observed.SerializeToString(deterministic=True), given, synced, why
            # The latest key is the last one of the dict, which keeps their order.
            answer = self._answers.pop(key, None) or self._make_answer(request.observed, given, synced, why)
            self._answers[key] = answer
            if len(self._answers) > CLAIMS:
                del self._answers[next(iter(self._answers))]
        except Exception as error:  # noqa: BLE001 - see below
            # Whatever else goes wrong would reach Crossplane as a bare UNKNOWN, nobody's claim and nobody's log: a
            # fatal result applies just as little, says so on the claim, and leaves the traceback here.
            log.exception("failed", extra=_who(request.observed.composite.resource))
            told = f"the function itself failed ({type(error).__name__}): its log has the details"
            answer = _refusal("InternalError", told)
        # A key of ours is ours, whatever an earlier step has put there: on the wire the last entry of a map counts.
        response.MergeFromString(answer.body)
        if answer.status:  # field by field, beside what an earlier step may have set
            response.desired.composite.resource.fields["status"].struct_value.MergeFromString(answer.status)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("answered", extra=_who(request.observed.composite.resource))
        return response

    def _make_answer(
        self, observed: fnv1.State, given: bytes | None, synced: Mapping[str, str], why: tuple[str, ...] = ()
    ) -> Answer:
        """The answer to an observed state, an Input, hashes of Secrets and causes: nothing else matters."""
        composite = observed.composite.resource
        try:
            rolls_out = self._platform(given).external_secrets.rollout_on_change
        except Invalid as error:
            log.warning("refused the input", extra=_who(composite, faults=error.faults))
            return _refusal("InvalidInput", f"invalid input of the function: {error}")
        hashes: Mapping[str, str] = EMPTY
        if rolls_out:
            there = observed.resources["deployment"].resource if "deployment" in observed.resources else None
            hashes = rotation.hashes(synced, there)
        try:
            plan = self._plan(_identity(composite), _spec(composite), given, hashes)
        except Invalid as error:
            log.warning("refused", extra=_who(composite, faults=error.faults))
            refused = status.invalid(error.faults)
            return _refusal(refused.reason, f"invalid AgentExecutor: {error}", refused)
        found = {key: observed.resources[key].resource for key in plan.objects if key in observed.resources}
        judged = {key: judge(kind, key, found, plan.claim) for key, (kind, _) in plan.objects.items()}
        explains = causes.asked(plan.claim, judged)
        readiness = rotation.hold(plan.claim, hashes, causes.told(judged, why) if explains else judged)
        objects = [
            wire.desired(key, manifest, fnv1.READY_TRUE if readiness[key].ready else fnv1.READY_FALSE)
            for key, (_, manifest) in plan.objects.items()
            if readiness[key] is not HELD
        ]
        conditions = status.conditions(plan.claim, readiness)
        changes = status.events(conditions, seen.conditions(composite))
        unwanted = [key for key in external_secrets.KEYS if key not in plan.objects and key in observed.resources]
        gone = status.removed(observed.resources[key].resource for key in unwanted)
        told = _told(conditions, [*changes, *gone])
        if rolls_out:
            _require(told.requirements, plan.claim)
        if explains:
            _require_pods(told.requirements, plan.claim, found["deployment"])
            told.meta.ttl.CopyFrom(SOON)
        is_claimed = bool(seen.text(composite, "spec", "claimRef", "name"))
        generation = None if is_claimed else seen.number(composite, "metadata", "generation")
        fields = status.fields(plan.claim, generation, found, readiness)
        return Answer(b"".join(objects) + told.SerializeToString(), wire.struct(fields))

    def _make_plan(
        self, identity: Identity, spec: bytes | None, given: bytes | None, hashes: Mapping[str, str]
    ) -> Plan:
        """What depends on these alone: it stays the same while the observed objects change."""
        platform = self._platform(given)
        composite = {
            "apiVersion": identity.api_version,
            "kind": identity.kind,
            "metadata": {k: v for k, v in (("name", identity.name), ("namespace", identity.namespace)) if v},
            "spec": None if spec is None else seen.whole(seen.plain(Value.FromString(spec))),
        }
        claim = claims.parse(composite, platform, self._profiles)
        rendered = resources.render(claim, platform, hashes)
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


def _synced(required: Mapping[str, fnv1.Resources]) -> Mapping[str, str]:
    """The hashes of the Secrets that `_require` asks for. Crossplane sends an empty entry for one that is not there."""
    there = ((key, required[key].items) for key in external_secrets.KEYS if key in required)
    return rotation.known((key, items[0].resource) for key, items in there if items)


def _require(requirements: fnv1.Requirements, claim: Claim) -> None:
    """Ask for the Secrets. In every answer the same, whatever was sent: Crossplane calls again until it is."""
    for key, name in external_secrets.names(claim).items():
        requirements.resources[key].MergeFrom(
            fnv1.ResourceSelector(api_version="v1", kind="Secret", match_name=name, namespace=claim.namespace)
        )


def _require_pods(requirements: fnv1.Requirements, claim: Claim, deployment: Struct) -> None:
    """Ask for the pods of the latest rollout. It depends on what is observed alone: see `_require`."""
    labels = fnv1.MatchLabels(labels=causes.selector(claim, deployment))
    requirements.resources[causes.KEY].MergeFrom(
        fnv1.ResourceSelector(api_version="v1", kind="Pod", match_labels=labels, namespace=claim.namespace)
    )


def _who(composite: Struct, **more: Any) -> dict[str, Any]:
    """Whose call it is, for the log, and what there is to say of it."""
    who = {"xr": seen.text(composite, "metadata", "name"), "namespace": seen.text(composite, "metadata", "namespace")}
    if claim := seen.text(composite, "spec", "claimRef", "name"):
        who |= {"claim": claim, "namespace": seen.text(composite, "spec", "claimRef", "namespace")}
    return logs.fields(**who, **more)


def _told(conditions: Iterable[status.Condition], events: Iterable[status.Event] = ()) -> fnv1.RunFunctionResponse:
    """Conditions and results, for the claim too: the SDK leaves their target out, and then no claim ever sees them."""
    target = fnv1.TARGET_COMPOSITE_AND_CLAIM
    told = fnv1.RunFunctionResponse()
    for condition in conditions:
        holds = fnv1.STATUS_CONDITION_TRUE if condition.holds else fnv1.STATUS_CONDITION_FALSE
        told.conditions.add(
            type=condition.type, status=holds, reason=condition.reason, message=condition.message, target=target
        )
    for event in events:
        severity = fnv1.SEVERITY_WARNING if event.warning else fnv1.SEVERITY_NORMAL
        told.results.add(severity=severity, reason=event.reason, message=event.message, target=target)
    return told


def _refusal(reason: str, message: str, *conditions: status.Condition) -> Answer:
    """Nothing of ours is desired and the result is fatal: Crossplane keeps what it has applied before."""
    told = _told(conditions)
    target = fnv1.TARGET_COMPOSITE_AND_CLAIM
    told.results.add(severity=fnv1.SEVERITY_FATAL, reason=reason, message=message, target=target)
    return Answer(told.SerializeToString())
