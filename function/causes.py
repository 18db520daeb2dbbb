"""Why the pods of a rollout do not come up: what Kubernetes says in their status, in words that stay the same.

Invariants: a cause has nothing in it that changes while it lasts (a counter, a time, a port, a uid), or every reconcile
would write the status anew; nothing is read that a container has written, it may be a secret; and nothing of this
happens unless the platform asks for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from function import names
from function.observed import ABSENT, at, conditions, items, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from function.claim import Claim
    from function.readiness import Readiness

KEY = "pods"  # what they are required as
WORKLOAD = "deployment"
HASH = "pod-template-hash"  # the label that a Deployment gives the pods of each rollout
MOST, LENGTH = 3, 200  # causes that are told, and characters of each

ENDED = ("Succeeded", "Failed")  # a pod that was evicted stays, and another has taken its place
STARTING = ("", "ContainerCreating", "PodInitializing")
# The two take turns, at every try. The second is what a person sees nearly all the time.
PULLING = ("ErrImagePull", "ImagePullBackOff")
IMAGE = f"{PULLING[-1]}, "
CRASHING = ("", "CrashLoopBackOff", "RunContainerError")
NOT_STARTED = ("StartError", "ContainerCannotRun")
PLAIN = ("CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull")  # their messages are one sentence
# What registries and container runtimes say, and what that comes to; the whole text may have ports and request ids.
# Each has a space or colon that no image's name has.
PULLS = (
    ("no match for platform", "not built for the node's platform"),
    ("no space left", "no space left on the node"),
    ("too many requests", "the registry is called too often"),
    ("access denied", "access denied"),
    ("is denied", "access denied"),
    ("403 forbidden", "access denied"),
    ("401 unauthorized", "access denied"),
    ("unauthorized: ", "access denied"),
    ("authentication required", "access denied"),
    ("authorization failed", "access denied"),
    ("x509: ", "the registry's certificate is not trusted"),
    ("no such host", "the registry's name cannot be resolved"),
    ("server misbehaving", "the registry's name cannot be resolved"),
    ("connection refused", "the registry cannot be reached"),
    ("no route to host", "the registry cannot be reached"),
    ("network is unreachable", "the registry cannot be reached"),
    ("i/o timeout", "the registry cannot be reached"),
    ("deadline exceeded", "the registry cannot be reached"),
    ("manifest unknown", "not found"),
    (": not found", "not found"),
)
_POD = re.compile(r" ?\(pod: .*?container: [^)]*\)")  # `(pod: "name_namespace(uid)", container: name)`
_PASSING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-|[0-9a-f]{32}")  # a uid, or a container's id
_REPLICA_SET = '[Rr]eplica ?[Ss]et "{}-([a-z0-9]+)"'


def asked(claim: Claim, readiness: Mapping[str, Readiness]) -> bool:
    """Whether the platform wants this, and a rollout waits for its pods.

    Only then are they asked for: the pods of an executor that scales change all the time, and every change would be a
    reconcile.
    """
    return claim.platform.workload.explain_pods and readiness[WORKLOAD].waits


def selector(claim: Claim, deployment: Any) -> dict[str, str]:
    """The labels of the latest rollout's pods, as far as the Deployment says which ReplicaSet that is."""
    said = conditions(deployment).get("Progressing", ABSENT).message
    found = re.search(_REPLICA_SET.format(re.escape(claim.name)), said)
    return {**names.selector(claim), **({HASH: found[1]} if found else {})}


def known(pods: Iterable[Any]) -> tuple[str, ...]:
    """Every cause once, in an order that depends on nothing else. A pod, a dict or a Struct, has one at most."""
    return tuple(sorted({cause for pod in pods if (cause := _bounded(_cause(pod)))}))


def told(readiness: Mapping[str, Readiness], causes: tuple[str, ...]) -> Mapping[str, Readiness]:
    """The same readiness, with the causes behind what is said of the Deployment."""
    if not causes:
        return readiness
    more = len(causes) - MOST
    said = "; ".join([*causes[:MOST], *([f"and {more} more"] if more > 0 else [])])
    before = readiness[WORKLOAD]
    return {**readiness, WORKLOAD: before._replace(message=f"{before.message}: {said}")}


def _cause(pod: Any) -> str:
    if at(pod, "metadata", "deletionTimestamp") is not None or text(pod, "status", "phase") in ENDED:
        return ""
    said = conditions(pod)
    if said.get("Ready", ABSENT).status == "True":
        return ""
    scheduled = said.get("PodScheduled", ABSENT)
    if scheduled.status == "False":
        # The second sentence is about other pods that could have made room.
        return _joined(scheduled.reason or "Unschedulable", scheduled.message.partition(". ")[0])
    for part in ("initContainerStatuses", "containerStatuses"):
        for status in items(pod, "status", part):
            if trouble := _trouble(status, ends=part == "initContainerStatuses"):
                name = text(status, "name")
                # An image is named itself, and mostly it is both containers'.
                return trouble if name == names.CONTAINER or trouble.startswith(IMAGE) else f"{name}: {trouble}"
    return ""


def _trouble(status: Any, *, ends: bool) -> str:
    """What keeps a container from being ready; `ends`: it is meant to come to an end."""
    if at(status, "ready") is True:
        return ""
    waiting, message = (text(status, "state", "waiting", key) for key in ("reason", "message"))
    if waiting in PULLING:
        why = next((short for words, short in PULLS if words in message.lower()), "")
        return _joined(PULLING[-1], text(status, "image"), f" ({why})" if why else "")
    if waiting in CRASHING and (crash := _crash(status, ends=ends)):
        return crash
    if waiting in STARTING:
        return ""
    if waiting in PLAIN and not _PASSING.search(plain := _POD.sub("", message)):
        return _joined(waiting, plain)
    return _joined(waiting, _command(message))


def _crash(status: Any, *, ends: bool) -> str:
    """How a container ended that is started again and again.

    It runs, has ended and waits in turn, and is called the same all the while: else the status would change with it.
    """
    for state in ("state", "lastState"):
        if at(status, state, "terminated") is None:
            continue
        code = number(status, state, "terminated", "exitCode")
        if ends and state == "state" and code == 0:
            return ""
        reason, message = (text(status, state, "terminated", key) for key in ("reason", "message"))
        named = f" ({reason})" if reason not in ("", "Error") else ""
        # Of others the message may be what the container has written.
        command = _command(message) if reason in NOT_STARTED else ""
        return _joined("CrashLoopBackOff", f"exit code {code}{named}", command and f": {command}")
    return ""


def _command(message: str) -> str:
    """What a container runtime says of a command that it cannot run, without the steps that led there."""
    _, found, rest = message.partition('exec: "')
    command = f"{found}{rest}".removesuffix(": unknown")
    return "" if _PASSING.search(command) else command


def _joined(reason: str, *details: str) -> str:
    said = "".join(details)
    return f"{reason}, {said}" if said else reason


def _bounded(cause: str) -> str:
    line = " ".join(cause.split())
    return line if len(line) <= LENGTH else f"{line[: LENGTH - 1]}…"
