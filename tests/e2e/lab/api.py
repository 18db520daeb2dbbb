"""The API server as the tests see it: kubectl for what a person would do, and plain HTTP for what is asked often."""

import json
import ssl
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.e2e.lab.processes import LabError, until
from tools import gobinaries

KUBECTL = ("kubernetes", "k8s.io/kubernetes/cmd/kubectl")
KUBECTL_SECONDS = 240  # more than the longest --timeout that it is given
# Where a kind is served.
PATHS = {
    "AgentExecutor": ("/apis/platform.bizmatters.io/v1alpha1", "agentexecutors"),
    "XAgentExecutor": ("/apis/platform.bizmatters.io/v1alpha1", "xagentexecutors"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "Composition": ("/apis/apiextensions.crossplane.io/v1", "compositions"),
    "CompositeResourceDefinition": ("/apis/apiextensions.crossplane.io/v1", "compositeresourcedefinitions"),
    "Configuration": ("/apis/pkg.crossplane.io/v1", "configurations"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Event": ("/api/v1", "events"),
    "ExternalSecret": ("/apis/external-secrets.io/v1", "externalsecrets"),
    "Function": ("/apis/pkg.crossplane.io/v1", "functions"),
    "FunctionRevision": ("/apis/pkg.crossplane.io/v1", "functionrevisions"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Namespace": ("/api/v1", "namespaces"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "ScaledObject": ("/apis/keda.sh/v1alpha1", "scaledobjects"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
}
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass(frozen=True)
class Api:
    """One API server, as one user."""

    kubeconfig: Path

    @cached_property
    def http(self) -> httpx.Client:
        """A client with the kubeconfig's credentials."""
        config = json.loads(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        with tempfile.NamedTemporaryFile() as ca:
            ca.write(b64decode(cluster["certificate-authority-data"]))
            ca.flush()
            context = ssl.create_default_context(cafile=ca.name)
        headers = {}
        if "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        else:
            context.load_cert_chain(user["client-certificate"], user["client-key"])
        return httpx.Client(base_url=cluster["server"], verify=context, headers=headers, trust_env=False, timeout=30)

    def kubectl(self, *arguments: str | Path, given: str | None = None, check: bool = True) -> str:
        """What kubectl says, both streams.

        Raises:
            LabError: it failed, and `check` is not off; the message is kubectl's own.
        """
        command = [gobinaries.build(*KUBECTL), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False
        )
        if check and done.returncode:
            raise LabError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def apply(self, *documents: Mapping[str, Any] | Path, check: bool = True) -> str:
        """Apply server-side, as Argo CD does here: manifests, files and folders."""
        said = ""
        for path in (document for document in documents if isinstance(document, Path)):
            recurse = ("--recursive",) if path.is_dir() else ()
            said += self.kubectl("apply", "--server-side", "--force-conflicts", "-f", path, *recurse, check=check)
        manifests = [document for document in documents if not isinstance(document, Path)]
        if manifests:
            given = yaml.safe_dump_all(manifests)
            said += self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=given, check=check)
        return said

    def get(self, kind: str, name: str, namespace: str = "") -> Any:
        """An object, or None."""
        answer = self.http.get(path(kind, name, namespace))
        return None if answer.status_code == httpx.codes.NOT_FOUND else _checked(answer)

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Any]:
        """The objects of a kind, of one namespace or of all."""
        items: list[Any] = _checked(self.http.get(path(kind, "", namespace), params={"labelSelector": selector}))[
            "items"
        ]
        return items

    def patch(self, kind: str, name: str, namespace: str, change: Mapping[str, Any], part: str = "") -> Any:
        """Merge a change into an object, or into its `status` if that is the part."""
        where = path(kind, name, namespace) + (f"/{part}" if part else "")
        return _checked(self.http.patch(where, content=json.dumps(change), headers=MERGE))

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Ask for the object's end; one that is not there has ended."""
        answer = self.http.delete(path(kind, name, namespace))
        if answer.status_code != httpx.codes.NOT_FOUND:
            _checked(answer)

    def until(
        self, kind: str, name: str, namespace: str, condition: Callable[[Any], Any], what: str, seconds: float = 60
    ) -> Any:
        """The object, once the condition holds; an object that is not there is None."""
        seen: list[Any] = []

        def holds() -> bool:
            seen[:] = [self.get(kind, name, namespace)]
            return bool(condition(seen[0]))

        try:
            until(holds, f"{kind} {namespace}/{name}: {what}", seconds, every=0.1)
        except LabError as error:
            status = seen[0] and {"spec": seen[0].get("spec"), "status": seen[0].get("status")}
            raise LabError(f"{error}\n{json.dumps(status, indent=1)}") from None
        return seen[0]

    def until_none(self, kind: str, namespace: str, selector: str, name: str, seconds: float = 180) -> None:
        """Return once a namespace has no object of a kind whose name begins so."""

        def gone() -> bool:
            found = self.list(kind, namespace, selector)
            return not [one for one in found if one["metadata"]["name"].startswith((name, f"keda-hpa-{name}"))]

        until(gone, f"{namespace}: no {kind} of {name}", seconds, every=0.2)


def path(kind: str, name: str, namespace: str) -> str:
    """Where the API server serves an object, or all of a kind."""
    group, plural = PATHS[kind]
    parts = [group, *(("namespaces", namespace) if namespace else ()), plural, *([name] if name else [])]
    return "/".join(parts)


def condition(seen: Any, kind: str) -> dict[str, Any]:
    """A condition of an object by its type; empty where there is none."""
    conditions: list[dict[str, Any]] = ((seen or {}).get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def is_true(seen: Any, *kinds: str) -> bool:
    """Whether all of these conditions are."""
    return all(condition(seen, kind).get("status") == "True" for kind in kinds)


def _checked(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise LabError(f"{answer.request.method} {answer.request.url.path}: {answer.text.strip()[:2000]}")
    return answer.json()
