"""An executor of a test's own in the cluster with pods, and what is known of it from outside."""

import contextlib
import secrets
import select
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.composed import COMPOSED, LEFT_BY_THEM, NAME
from tests.e2e.lab import backends, cluster
from tests.e2e.lab.api import KUBECTL, Api, condition, is_true
from tests.e2e.lab.cluster import Cluster
from tests.e2e.lab.processes import LabError
from tools import gobinaries

SCRIPTED = [{"name": "ALLOW_SCRIPTED_MODEL", "value": "true"}]
READY_SECONDS = 180
FORWARD_SECONDS = 30


@dataclass(frozen=True)
class Executor:
    """One claim, its namespace, and the streams and schema that are its own."""

    cluster: Cluster
    namespace: str
    name: str
    tenant: str

    @property
    def api(self) -> Api:
        """The cluster's API."""
        return self.cluster.api

    @property
    def environment(self) -> dict[str, str]:
        """What an observer outside the cluster needs to know."""
        streams = streams_of(self.tenant)
        return {
            "NATS_URL": self.cluster.backends.nats_url,
            "NATS_STREAM": streams["stream"],
            "NATS_CONSUMER": streams["consumer"],
            "NATS_SUBJECT_PREFIX": streams["subjectPrefix"],
            "NATS_STATUS_STREAM": streams["statusStream"],
            "NATS_DEAD_LETTER_STREAM": streams["deadLetterStream"],
            "DRAGONFLY_HOST": self.cluster.backends.host,
            "DRAGONFLY_PORT": str(backends.VALKEY),
            "DRAGONFLY_PASSWORD": cluster.SEED["dragonfly/password"],
        }

    def get(self) -> Any:
        """The claim."""
        return self.api.get("AgentExecutor", self.name, self.namespace)

    def is_responsive(self) -> bool:
        """Whether Crossplane still follows every change: it stops for a while after too many."""
        composite = self.get()["spec"].get("resourceRef")
        seen = self.api.get(composite["kind"], composite["name"]) if composite else self.get()
        return condition(seen, "Responsive").get("status") != "False"

    def edit(self, **spec: Any) -> Any:
        """Change fields of the claim, as a commit would."""
        return self.api.patch("AgentExecutor", self.name, self.namespace, {"spec": spec})

    def until(self, holds: Any, what: str, seconds: float = READY_SECONDS) -> Any:
        """The claim, once something holds of it."""
        return self.api.until("AgentExecutor", self.name, self.namespace, holds, what, seconds)

    def ready(self, seconds: float = READY_SECONDS) -> Any:
        """The claim, once it is READY."""
        return self.until(lambda seen: is_true(seen, "Ready", "Synced"), "READY", seconds)

    def deployment(self) -> Any:
        """The composed Deployment."""
        return self.api.get("Deployment", self.name, self.namespace)

    def until_deployed(self, holds: Any, what: str, seconds: float = READY_SECONDS) -> Any:
        """The Deployment, once something holds of it."""
        return self.api.until("Deployment", self.name, self.namespace, holds, what, seconds)

    def pods(self) -> list[Any]:
        """Its pods that are not on their way out."""
        found = self.api.list("Pod", self.namespace, f"app={self.name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def is_empty(self) -> bool:
        """Whether the last pod has ended: one on its way out may still answer."""
        return not self.api.list("Pod", self.namespace, f"app={self.name}")

    def http(self, path: str) -> Any:
        """What the Service answers, through the API server's proxy."""
        where = f"/api/v1/namespaces/{self.namespace}/services/{self.name}:http/proxy{path}"
        return self.api.http.get(where)

    def execute(self, *command: str) -> str:
        """What a command says in one of its pods; raises `LabError` if it fails."""
        where = (f"deploy/{self.name}", f"--container={self.name}", f"--namespace={self.namespace}")
        return self.api.kubectl("exec", *where, "--", *command)

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[str]:
        """The URL of its Service on this machine, as long as `kubectl port-forward` runs."""
        command = [gobinaries.build(*KUBECTL), f"--kubeconfig={self.api.kubeconfig}", "port-forward"]
        command += [f"--namespace={self.namespace}", f"svc/{self.name}", ":http"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                if not select.select([process.stdout], [], [], FORWARD_SECONDS)[0]:
                    raise LabError(f"kubectl port-forward: nothing said within {FORWARD_SECONDS} s")
                yield f"http://{process.stdout.readline().split()[2]}"  # Forwarding from 127.0.0.1:41234 -> 8080
            finally:
                process.terminate()

    def logs(self) -> str:
        """What all its pods have logged."""
        which = (f"--selector=app={self.name}", f"--container={self.name}", f"--namespace={self.namespace}")
        return self.api.kubectl("logs", *which, "--tail=-1")


def streams_of(tenant: str) -> dict[str, str]:
    """Streams, consumer and subjects of a tenant's own."""
    upper = tenant.upper()
    return {
        "stream": f"{upper}_EXECUTION",
        "consumer": f"{tenant}-workers",
        "subjectPrefix": f"{tenant}.agent",
        "statusStream": f"{upper}_STATUS",
        "deadLetterStream": f"{upper}_DEAD_LETTER",
    }


@contextlib.contextmanager
def namespace(api: Api) -> Iterator[str]:
    """A namespace as restricted as the platform tree's; it goes with all that is in it."""
    name = f"e2e-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "layer": "intelligence"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        yield name
    finally:
        api.kubectl("delete", "namespace", name, "--timeout=180s")


@contextlib.contextmanager
def running(one: Cluster, where: str, name: str = NAME, **spec: Any) -> Iterator[Executor]:
    """A READY executor of the seed's claim, with streams of its own."""
    tenant = f"t{secrets.token_hex(4)}"
    given: Mapping[str, Any] = {"size": "small", "nats": streams_of(tenant), "postgresSchema": tenant, "env": SCRIPTED}
    with applied(one, cluster.claim(name, where, **{**given, **spec}), tenant) as executor:
        yield executor


@contextlib.contextmanager
def applied(one: Cluster, claim: Mapping[str, Any], tenant: str) -> Iterator[Executor]:
    """A claim's READY executor, on its tenant's streams; with its claim all of it goes, which is asserted."""
    name, where = claim["metadata"]["name"], claim["metadata"]["namespace"]
    one.api.apply(claim)
    executor = Executor(one, where, name, tenant)
    try:
        executor.ready()
        yield executor
        assert executor.is_responsive(), "Crossplane has dropped changes: its circuit breaker is open"
    finally:
        one.api.delete("AgentExecutor", name, where)
        executor.until(lambda seen: seen is None, "gone")
        for kind in (*COMPOSED, *LEFT_BY_THEM):
            one.api.until_none(kind, where, "", name)
