"""A claim says why the pods of a rollout do not come up, where the platform asks for it, and keeps to the same words."""

# ruff: noqa: E501 - a case is a row of a table

import copy
import itertools
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import Struct

from function import causes, documents, platform, preview
from function.fn import SOON, TTL, FunctionRunner
from tests.support.calls import DEPLOYED, RUNNING, call, claim, composite, conditions, request, results, said
from tools.render_examples import ROOT

NAMESPACE = "intelligence-deepagents"
HASH, OLD = "6c9f4d7b58", "5d8f7c9b64"
IMAGE = "ghcr.io/arun4infra/agent-executor:v9"
UID = "0f0c5c1e-6a0f-4f0e-9d53-8f6f0f5a2b61"
ID = "5f" * 32
ON = {"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": {"workload": {"explainPods": True}}}
EXEC = 'exec: "scripts/ci/run.sh": stat scripts/ci/run.sh: no such file or directory'
RUNC = f"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: {EXEC}"
PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": {IMAGE}: not found'


def container(
    state: Any = None, last: Any = None, name: str = "agent-executor", *, ready: bool = False
) -> dict[str, Any]:
    """What a pod's status has of a container."""
    return {
        "name": name,
        "image": IMAGE,
        "ready": ready,
        "restartCount": 7,
        "state": state or {},
        "lastState": last or {},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "containerID": f"containerd://{ID}"}}


RUNS = {"running": {"startedAt": "2026-03-01T10:00:00Z"}}
DONE = container(ended(0, "Completed"), name="run-migrations", ready=True)


def pod(
    *containers: Any, init: Any = (DONE,), template: str = HASH, phase: str = "Pending", **more: Any
) -> dict[str, Any]:
    """A pod as Crossplane sends it."""
    scheduled = more.pop("scheduled", ("PodScheduled", "True"))
    ready = ("Ready", "True" if more.pop("ready", False) else "False", "ContainersNotReady")
    labels = {"app": "agent-executor", "pod-template-hash": template}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"agent-executor-{template}-x7k2p",
            "namespace": NAMESPACE,
            "uid": UID,
            "labels": labels,
            **more,
        },
        "status": {
            "phase": phase,
            "conditions": said(scheduled, ready),
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
        },
    }


def pulling(reason: str, message: str) -> dict[str, Any]:
    """As it is with an image that both containers have: the first of them says so."""
    first = container(waiting(reason, message), name="run-migrations")
    return pod(container(waiting("PodInitializing")), init=[first])


def backing_off(message: str) -> dict[str, Any]:
    return pulling("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {message}')


CRASHED = (
    "back-off 2m40s restarting failed container=agent-executor pod=agent-executor-x_intelligence-deepagents("
    + UID
    + ")"
)
CASES = {
    "an image that is not there": (backing_off(PULL), f"ImagePullBackOff, {IMAGE} (not found)"),
    "the same at the next try": (pulling("ErrImagePull", PULL), f"ImagePullBackOff, {IMAGE} (not found)"),
    "the same of another container runtime": (
        pulling("ErrImagePull", f"reading manifest v9 in ghcr.io/arun4infra/agent-executor: manifest unknown: {ID}"),
        f"ImagePullBackOff, {IMAGE} (not found)"),
    "an image whose registry does not let the node in": (
        backing_off(f'failed to pull and unpack image "{IMAGE}": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 403 Forbidden'),
        f"ImagePullBackOff, {IMAGE} (access denied)"),
    "an image that may be there or not": (
        backing_off(f"pull access denied for {IMAGE}, repository does not exist or may require 'docker login'"),
        f"ImagePullBackOff, {IMAGE} (access denied)"),
    "a registry that nobody answers for": (
        backing_off('failed to do request: Head "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 10.96.0.10:53: no such host'),
        f"ImagePullBackOff, {IMAGE} (the registry's name cannot be resolved)"),
    "a registry that cannot be reached, by a port that is another each time": (
        backing_off('failed to do request: Head "https://ghcr.io/v2/": read tcp 10.0.0.5:41234->140.82.121.33:443: i/o timeout'),
        f"ImagePullBackOff, {IMAGE} (the registry cannot be reached)"),
    "a registry that has had enough": (
        backing_off("unexpected status code 429 Too Many Requests - Server message: toomanyrequests"),
        f"ImagePullBackOff, {IMAGE} (the registry is called too often)"),
    "a certificate of somebody else's": (
        backing_off("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        f"ImagePullBackOff, {IMAGE} (the registry's certificate is not trusted)"),
    "an image for other machines": (
        backing_off(f'failed to unpack "{IMAGE}": no match for platform in manifest: not found'),
        f"ImagePullBackOff, {IMAGE} (not built for the node's platform)"),
    "an error that nobody knows": (backing_off(f"EOF 10.0.0.5:41234 {UID}"), f"ImagePullBackOff, {IMAGE}"),
    "an image's name that is none": (
        pod(container(waiting("InvalidImageName", "couldn't parse image name: invalid reference format"))),
        "InvalidImageName, couldn't parse image name: invalid reference format"),
    "a Secret that is missing": (
        pod(container(waiting("CreateContainerConfigError", 'secret "agent-executor-postgres" not found'))),
        'CreateContainerConfigError, secret "agent-executor-postgres" not found'),
    "a Secret that is missing for the migrations": (
        pod(container(waiting("PodInitializing")), init=[container(waiting("CreateContainerConfigError", "couldn't find key POSTGRES_HOST in Secret a/b"), name="run-migrations")]),
        "run-migrations: CreateContainerConfigError, couldn't find key POSTGRES_HOST in Secret a/b"),
    "an image that would run as root": (
        pod(container(waiting("CreateContainerConfigError", f'container has runAsNonRoot and image will run as root (pod: "a-x7k2p_b({UID})", container: agent-executor)'))),
        "CreateContainerConfigError, container has runAsNonRoot and image will run as root"),
    "a path that has the pod's uid": (
        pod(container(waiting("CreateContainerConfigError", f"stat /var/lib/kubelet/pods/{UID}/volumes: no such file"))),
        "CreateContainerConfigError"),
    "a container whose name is still taken": (
        pod(container(waiting("CreateContainerError", f'failed to reserve container name: name is reserved for "{ID}"'))),
        "CreateContainerError"),
    "a command that is not in the image": (
        pod(container(waiting("CreateContainerError", f"{RUNC}: unknown"))), f"CreateContainerError, {EXEC}"),
    "a container that crashes, while it waits": (
        pod(container(waiting("CrashLoopBackOff", CRASHED), ended(1))), "CrashLoopBackOff, exit code 1"),
    "the same when it has just ended": (pod(container(ended(1), ended(1))), "CrashLoopBackOff, exit code 1"),
    "the same when it runs": (pod(container(RUNS, ended(1))), "CrashLoopBackOff, exit code 1"),
    "a container that takes too much memory": (
        pod(container(waiting("CrashLoopBackOff"), ended(137, "OOMKilled"))), "CrashLoopBackOff, exit code 137 (OOMKilled)"),
    "a container that ends by itself": (
        pod(container(waiting("CrashLoopBackOff"), ended(0, "Completed"))), "CrashLoopBackOff, exit code 0 (Completed)"),
    "a container that has written why it ends": (
        pod(container(waiting("CrashLoopBackOff"), ended(3, "Error", 'exec: "c4n4ry"'))), "CrashLoopBackOff, exit code 3"),
    "a container that could not be started": (
        pod(container(waiting("CrashLoopBackOff", CRASHED), ended(128, "StartError", f"{RUNC}: unknown"))),
        f"CrashLoopBackOff, exit code 128 (StartError): {EXEC}"),
    "the same while it is tried": (
        pod(container(waiting("RunContainerError", RUNC), ended(128, "StartError", RUNC))),
        f"CrashLoopBackOff, exit code 128 (StartError): {EXEC}"),
    "the same for the first time": (pod(container(waiting("RunContainerError", RUNC))), f"RunContainerError, {EXEC}"),
    "migrations that fail": (
        pod(container(waiting("PodInitializing")), init=[container(waiting("CrashLoopBackOff", CRASHED), ended(1), "run-migrations")]),
        "run-migrations: CrashLoopBackOff, exit code 1"),
    "a container that somebody else has put beside it": (
        pod(container(RUNS, ready=True), container(waiting("CrashLoopBackOff"), ended(2), "sidecar")),
        "sidecar: CrashLoopBackOff, exit code 2"),
    "a pod that fits no node": (
        pod(init=[], scheduled=("PodScheduled", "False", "Unschedulable", "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: 0/3 nodes are available: 3 No preemption victims found.")),
        "Unschedulable, 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}"),
    "a pod that is not to be scheduled yet": (
        pod(init=[], scheduled=("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")),
        "SchedulingGated, Scheduling is blocked due to non-empty scheduling gates"),
    "a pod that was just made": (pod(container(waiting("ContainerCreating"))), ""),
    "a pod that nobody has looked at": ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, ""),
    "migrations that run": (pod(container(waiting("PodInitializing")), init=[container(RUNS, name="run-migrations")]), ""),
    "migrations that are done, and not called ready yet": (
        pod(container(waiting("PodInitializing")), init=[container(ended(0, "Completed"), ended(1), "run-migrations")]), ""),
    "a pod that waits for its databases": (pod(container(RUNS)), ""),
    "a pod that is ready after a crash": (pod(container(RUNS, ended(1), ready=True), ready=True), ""),
    "a pod that is being deleted": (
        pod(container(waiting("CrashLoopBackOff"), ended(1)), deletionTimestamp="2026-03-01T10:00:00Z"), ""),
    "a pod that was evicted": (pod(container(ended(137)), phase="Failed"), ""),
}  # fmt: skip


@pytest.mark.parametrize("form", [dict, Struct], ids=["a dict", "a Struct"])
@pytest.mark.parametrize(("found", "cause"), CASES.values(), ids=CASES)
def test_a_pod_says_why_it_does_not_come_up(form, found, cause):
    body = found
    if form is Struct:
        body = Struct()
        body.update(found)
    assert causes.known([body]) == ((cause,) if cause else ())


def test_each_cause_is_told_once_in_one_order_whatever_that_of_the_pods_is():
    pods = [
        CASES[name][0]
        for name in ("a Secret that is missing", "a container that crashes, while it waits", "the same when it runs")
    ]
    wanted = (CASES["a Secret that is missing"][1], "CrashLoopBackOff, exit code 1")
    assert {causes.known(order) for order in itertools.permutations(pods)} == {tuple(sorted(wanted))}


GARBAGE = [
    None,
    True,
    1,
    1.5,
    "text",
    [],
    [[]],
    [None],
    {},
    {"fields": 1},
    [{"name": 1}],
    [{"state": 1}],
    [{"state": {"waiting": [], "terminated": 1}}],
    "\u202e" * 99_999,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda value: repr(value)[:30])
def test_garbage_in_a_pod_is_no_exception_and_not_long(garbage):
    for part in ("metadata", "status"):
        body = Struct()
        body.update({**pod(container(RUNS)), part: garbage})
        assert causes.known([body, {**pod(container(RUNS)), part: garbage}]) == ()
    for part in ("phase", "conditions", "initContainerStatuses", "containerStatuses"):
        odd = pod(container(waiting("CrashLoopBackOff"), ended(1)))
        odd["status"][part] = garbage
        causes.known([odd])
        body = Struct()
        body.update(odd)
        causes.known([body])
    for state in (waiting("CrashLoopBackOff"), waiting("CreateContainerConfigError")):
        for part, key in itertools.product(state, ("reason", "message")):
            found = container(
                {part: {**state[part], key: garbage}}, {"terminated": {"exitCode": garbage, "reason": garbage}}
            )
            assert all(len(cause) <= causes.LENGTH for cause in causes.known([pod(found)]))


def test_what_is_told_is_one_bounded_line():
    long = pod(container(waiting("CreateContainerConfigError", "a\nb \t" * 500)))
    (cause,) = causes.known([long])
    assert len(cause) == causes.LENGTH
    assert cause.startswith("CreateContainerConfigError, a b a b ")
    assert cause.endswith("…")


def deployment(
    progressing: str = f'ReplicaSet "agent-executor-{HASH}" is progressing.', *, available: bool = True
) -> dict[str, Any]:
    """One whose latest rollout waits for a pod."""
    containers = [{"name": "agent-executor", "image": IMAGE}]
    return {
        **DEPLOYED,
        "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}},
        "status": {
            "observedGeneration": 2,
            "readyReplicas": int(available),
            "unavailableReplicas": 1,
            "conditions": said(
                (
                    "Available",
                    str(available),
                    "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
                ),
                ("Progressing", "True", "ReplicaSetUpdated", progressing),
            ),
        },
    }


WAITING = {**RUNNING, "deployment": deployment()}
BROKEN = backing_off(PULL)
TOLD = f"1 of 1 replicas ready; the rollout of {IMAGE} waits for 1 pod"


async def explained(observed: dict[str, Any], *pods: Any, xr: Any = None, given: Any = ON, runner: Any = None) -> Any:
    """What the function answers when Crossplane sends it these pods."""
    sent = request(xr or composite(), observed, given)
    for found in pods:
        sent.required_resources[causes.KEY].items.add().resource.update(found)
    return await (runner or FunctionRunner()).RunFunction(sent, None)


def message(response: fnv1.RunFunctionResponse) -> str:
    return conditions(response)["WorkloadAvailable"][2]


async def test_nothing_of_it_happens_unless_the_platform_asks():
    plain = await call(composite(), WAITING)
    assert plain.requirements == fnv1.Requirements()
    assert plain.meta.ttl == TTL
    assert message(plain) == TOLD
    assert await explained(WAITING, BROKEN, given=None) == plain


async def test_while_a_rollout_waits_the_claim_says_why():
    assert message(await explained(WAITING, BROKEN)) == f"{TOLD}: ImagePullBackOff, {IMAGE} (not found)"
    assert conditions(await explained(WAITING, BROKEN))["WorkloadAvailable"][:2] == ("True", "Available")
    assert message(await explained(WAITING)) == TOLD


async def test_the_first_pods_of_a_claim_are_explained():
    first = {**RUNNING, "deployment": deployment(available=False)}
    assert conditions(await explained(first, CASES["migrations that fail"][0]))["WorkloadAvailable"] == (
        "False",
        "MinimumReplicasUnavailable",
        "0 of 1 replicas ready: run-migrations: CrashLoopBackOff, exit code 1",
    )


async def test_a_rollout_past_its_deadline_is_explained():
    stuck = deployment()
    stuck["status"]["conditions"][1] |= {
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out",
    }
    response = await explained({**RUNNING, "deployment": stuck}, BROKEN)
    assert message(response) == f"timed out (1 of 1 replicas ready): ImagePullBackOff, {IMAGE} (not found)"
    assert [reason for _, reason, _ in results(response)].count("ProgressDeadlineExceeded") == 1


async def test_three_causes_are_told_and_how_many_more_there_are():
    pods = [pod(container(waiting("CrashLoopBackOff"), ended(code))) for code in (5, 4, 3, 2, 1)]
    first = "; ".join(f"CrashLoopBackOff, exit code {code}" for code in (1, 2, 3))
    assert message(await explained(WAITING, *pods)) == f"{TOLD}: {first}; and 2 more"


@pytest.mark.parametrize("xr", [composite(), claim()], ids=["claim model", "namespaced model"])
async def test_the_pods_of_the_latest_rollout_are_required_whatever_was_sent(xr):
    labels = {"app": "agent-executor", "pod-template-hash": HASH}
    wanted = fnv1.Requirements()
    wanted.resources["pods"].CopyFrom(
        fnv1.ResourceSelector(
            api_version="v1", kind="Pod", match_labels=fnv1.MatchLabels(labels=labels), namespace=NAMESPACE
        )
    )
    for pods in ((), (BROKEN,), (BROKEN, pod(container(RUNS)))):
        response = await explained(WAITING, *pods, xr=xr)
        assert response.requirements == wanted
        assert response.meta.ttl == SOON
        assert response.meta.tag == "tag"


ROLLOUTS = {
    f'ReplicaSet "agent-executor-{HASH}" is progressing.': HASH,
    f'Created new replica set "agent-executor-{HASH}"': HASH,
    f'Found new replica set "agent-executor-{HASH}"': HASH,
    f'ReplicaSet "agent-executor-{HASH}" has timed out progressing.': HASH,
    f'ReplicaSet "agent-executor-{HASH}" has successfully progressed.': HASH,
    'Deployment "agent-executor" has timed out progressing.': None,
    f'ReplicaSet "agent-executor-b-{HASH}" is progressing.': None,
    f'ReplicaSet "other-{HASH}" is progressing.': None,
    'ReplicaSet "agent-executor-6C9F4D7B58" is progressing.': None,
    "": None,
}


@pytest.mark.parametrize(("progressing", "template"), ROLLOUTS.items(), ids=lambda value: str(value)[:60])
async def test_which_rollout_is_the_latest_the_deployment_says(progressing, template):
    response = await explained({**RUNNING, "deployment": deployment(progressing)})
    labels = response.requirements.resources["pods"].match_labels.labels
    assert dict(labels) == {"app": "agent-executor", **({"pod-template-hash": template} if template else {})}


DEAF = {
    "there is no Deployment yet": {},
    "all pods are ready": RUNNING,
    "pods are added to a rollout that is done": {
        **RUNNING,
        "deployment": {**DEPLOYED, "status": {**DEPLOYED["status"], "readyReplicas": 1, "unavailableReplicas": 1}},
    },
    "there are no pods": {**RUNNING, "deployment": {**deployment(), "spec": {"replicas": 0}}},
    "the change was not taken up yet": {**RUNNING, "deployment": {**deployment(), "metadata": {"generation": 3}}},
}


@pytest.mark.parametrize("observed", DEAF.values(), ids=DEAF)
async def test_pods_are_not_asked_for_while(observed):
    response = await explained(observed, BROKEN)
    assert response.requirements == fnv1.Requirements()
    assert response.meta.ttl == TTL
    assert response == await call(composite(), observed)


async def test_a_refusal_requires_nothing():
    response = await explained(WAITING, BROKEN, xr=composite(size="huge"))
    assert response.requirements == fnv1.Requirements()
    assert results(response)[0][0] == "FATAL"


async def test_it_goes_with_rollouts_of_changed_secrets():
    both = {**ON, "spec": {**ON["spec"], "externalSecrets": {"rolloutOnChange": True}}}
    response = await explained(WAITING, BROKEN, given=both)
    assert sorted(response.requirements.resources) == ["dragonfly-secret", "llm-keys-secret", "pods", "postgres-secret"]
    assert message(response).startswith(f"{TOLD}: ImagePullBackOff")


async def test_nothing_but_what_is_said_of_pods_changes_the_answer():
    plain, why = await call(composite(), WAITING), await explained(WAITING, BROKEN)
    assert why.desired.resources == plain.desired.resources
    assert {key: told for key, told in conditions(why).items() if key != "WorkloadAvailable"} == {
        key: told for key, told in conditions(plain).items() if key != "WorkloadAvailable"
    }


async def test_an_event_does_not_come_with_another_cause():
    xr = {**composite(), "status": {"conditions": said(("WorkloadAvailable", "True", "Available", TOLD))}}
    assert not [told for told in results(await explained(WAITING, BROKEN, xr=xr)) if "WorkloadAvailable" in told[2]]


async def test_what_does_not_matter_of_pods_is_no_other_question():
    """A back-off that grows, a restart that is counted, a condition's time: the same answer, and not made again."""
    runner, crashing = FunctionRunner(), CASES["a container that crashes, while it waits"][0]
    first = await explained(WAITING, crashing, runner=runner)
    for number in range(5):
        touched = copy.deepcopy(crashing)
        touched["metadata"] |= {"resourceVersion": str(number), "name": f"pod-{number}", "uid": f"{number}{UID[1:]}"}
        status = touched["status"]["containerStatuses"][0]
        status["restartCount"] = number
        status["state"] = (waiting("CrashLoopBackOff", f"back-off {number}m0s"), RUNS, ended(1))[number % 3]
        assert await explained(WAITING, touched, pod(container(RUNS), template=OLD), runner=runner) == first
    assert len(runner._answers) == 1
    assert message(await explained(WAITING, BROKEN, runner=runner)) != message(first)
    assert len(runner._answers) == 2


async def test_an_answer_never_depends_on_the_pods_of_another_call():
    runner = FunctionRunner()
    sent = [(), (BROKEN,), *((found,) for found, _ in CASES.values())]
    calls = list(itertools.product((composite(), composite("other", "team")), (WAITING, RUNNING), (ON, None), sent))
    for xr, observed, given, pods in [*calls, *reversed(calls)]:
        kept = await explained(observed, *pods, xr=xr, given=given, runner=runner)
        assert kept == await explained(observed, *pods, xr=xr, given=given)


def test_reading_changes_nothing_that_was_sent():
    for found, _ in CASES.values():
        body = Struct()
        body.update(found)
        before = body.SerializeToString(deterministic=True)
        causes.known([body])
        assert body.SerializeToString(deterministic=True) == before


STATES = ROOT / "examples" / "observed" / "explained-rollout"
CLAIM, PLATFORM = (str(ROOT / "examples" / part / "explained-rollout.yaml") for part in ("claims", "platforms"))


def seen(state: str) -> list[dict[str, Any]]:
    return [document.body for document in documents.read(str(STATES / f"{state}.yaml"))]


@pytest.mark.parametrize("state", ["image-missing", "migrations-fail"])
async def test_the_preview_of_a_state_shows_what_the_function_answers(state):
    found = seen(state)
    (one,) = preview.load([CLAIM], PLATFORM, None, found)
    names = {preview.identity(made, NAMESPACE): key for key, made in one.objects.items()}
    there = {names[where]: body for body in found if (where := preview.identity(body, NAMESPACE)) in names}
    pods = list(preview.pods(one.claim, there["deployment"], found))
    assert len(pods) == 1  # and not that of the rollout before
    response = await explained(there, *pods, xr=one.document.body)
    assert message(response) in "\n".join(preview.report(one, found))
    assert message(response).endswith(("(not found)", "exit code 1"))


def test_a_preview_passes_over_the_pods_of_others_and_says_nothing_unless_asked():
    found = seen("image-missing")
    (one,) = preview.load([CLAIM], PLATFORM)
    (off,) = preview.load([CLAIM])
    without = [body for body in found if body["kind"] != "Pod"]
    silent = list(preview.report(one, without))
    assert list(preview.report(off, found)) == silent
    assert list(preview.report(one, found)) != silent
    for change in ({"namespace": "another"}, {"labels": {"app": "another"}}, {"labels": ["app"]}, {"labels": None}):
        others = copy.deepcopy(found)
        for body in others:
            if body["kind"] == "Pod":
                body["metadata"] |= change
        assert list(preview.report(one, others)) == silent


def test_crossplane_is_permitted_to_read_pods_and_nothing_else() -> None:
    (role,) = (document.body for document in documents.read(str(ROOT / "examples" / "rbac-pods.yaml")))
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    assert role["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}
