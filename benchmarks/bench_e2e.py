"""`make bench-e2e`: a real Crossplane and our function, measured from outside.

On a cluster with pods: a claim applied to READY, and an edit to its rollout begun. On a control plane without pods: a
hundred claims at once until all are Synced, what the function and Crossplane used meanwhile, how often the function was
called for each claim, how often anybody wrote to the API server for it, and what it costs while they idle; beside them,
how long the same objects take that are applied without claims, which is what the machine and the API server can do. The
hundred once more in the namespaced model, where Crossplane keeps no claim and composite in step. The same goes to
build/bench-e2e.json. A target that is missed is said so in the table; the exit status stays 0, because a phase of the
machine is no failure.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.targets import to_reach
from function import claim as function_claim
from function import platform, resources
from tests.e2e import executors
from tests.e2e.lab import cluster
from tests.e2e.lab.api import is_true, path
from tests.e2e.lab.cluster import Cluster, Lab
from tests.e2e.lab.processes import Process, until
from tools.gomodules import UnavailableError
from tools.render_examples import ROOT

CLAIMS, AT_ONCE = 100, 10
IDLE_SECONDS = 180  # three of Crossplane's polls, a minute apart
REPEATS = 8
KUBELET_SECONDS = 1.0  # between its looks at what containers do, and between two questions of a readiness probe
POLL_SECONDS = 1.0  # at half of it the asking was 4 % of the API server's CPU
MEGABYTE = 1e6
ALONE = "alone"  # the namespace of what is applied beside the claims
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}  # of which JSON is a part
WRITES = ("APPLY", "PATCH", "POST", "PUT")
TARGETS = {"ready_s": 5.0, "synced_100_s": 30.0, "synced_100_namespaced_s": 30.0, "function_idle_percent": 10.0}


def with_pods(running: Cluster) -> dict[str, float]:
    """Seconds from a claim to READY, and from an edit to another generation of its Deployment; medians.

    What came before ended with one of kubelet's looks, which are a second apart; READY waits for several of them.
    A user's claim comes at any moment of that second, so these come at moments that are spread over it.
    """
    ready, rollout = [], []
    for repeat in range(REPEATS):
        with executors.namespace(running.api) as where:
            time.sleep(KUBELET_SECONDS * repeat / REPEATS)
            start = time.monotonic()
            with executors.running(running, where) as executor:
                ready.append(time.monotonic() - start)
                before = executor.deployment()["metadata"]["generation"]
                start = time.monotonic()
                executor.edit(image=f"{cluster.EXECUTOR}:v1.1.0")
                executor.until_deployed(generation_after(before), "another generation", 60)
                rollout.append(time.monotonic() - start)
    return {"ready_s": statistics.median(ready), "rollout_begun_s": statistics.median(rollout)}


def generation_after(before: int) -> Callable[[Any], bool]:
    """Whether a Deployment's template is another one by now."""
    return lambda seen: bool(seen["metadata"]["generation"] > before)


def without_pods(lab: Lab) -> dict[str, float]:
    """A hundred claims on a control plane alone."""
    assert lab.function is not None
    function, core = (psutil.Process(process_id(one)) for one in (lab.function, lab.crossplane.core))
    first(lab)
    calls, before = lab.crossplane.calls()[0], [cpu(function), cpu(core)]
    synced, written = at_once(lab)
    used = [after - one for after, one in zip([cpu(function), cpu(core)], before, strict=True)]
    per_claim = (lab.crossplane.calls()[0] - calls) / CLAIMS
    settle(lab)
    print(f"nothing to do for {IDLE_SECONDS} s", file=sys.stderr)
    calls, before, start = lab.crossplane.calls()[0], [cpu(function), cpu(core)], time.monotonic()
    time.sleep(IDLE_SECONDS)  # what is measured is how much is done in a given time, with nothing to do
    idle = [after - one for after, one in zip([cpu(function), cpu(core)], before, strict=True)]
    seconds = time.monotonic() - start
    objects = alone(lab)
    return {
        "synced_100_s": synced,
        "objects_alone_100_s": objects,
        "synced_to_objects_alone": synced / objects,
        "function_cpu_s": used[0],
        "crossplane_cpu_s": used[1],
        "function_rss_mb": function.memory_info().rss / MEGABYTE,
        "crossplane_rss_mb": core.memory_info().rss / MEGABYTE,
        "calls_per_claim": per_claim,
        "writes_per_claim": written,
        "function_idle_percent": 100 * idle[0] / seconds,
        "crossplane_idle_percent": 100 * idle[1] / seconds,
        "idle_calls_per_claim_and_minute": (lab.crossplane.calls()[0] - calls) / (CLAIMS + 1) / (seconds / 60),
    }


def namespaced(lab: Lab) -> dict[str, float]:
    """The same hundred in the namespaced model, until all are Synced."""
    first(lab)
    synced, written = at_once(lab)
    return {"synced_100_namespaced_s": synced, "writes_per_claim_namespaced": written}


def first(lab: Lab) -> None:
    """Compose one claim: the first of a cluster waits for permissions that Crossplane gives itself."""
    lab.api.apply(claim(CLAIMS))
    until(lambda: composed(lab, 1), "the first claim Synced", 120, every=POLL_SECONDS)


def at_once(lab: Lab) -> tuple[float, float]:
    """Seconds for a hundred claims to be Synced, and the writes to the API server until then for each of them."""
    print(f"{CLAIMS} claims at once", file=sys.stderr)
    before, start = writes(lab), time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda n: create(lab, claim(n)), range(CLAIMS)))
    until(lambda: composed(lab, CLAIMS + 1), f"{CLAIMS} claims Synced", 600, every=POLL_SECONDS)
    return time.monotonic() - start, (writes(lab) - before) / CLAIMS


def writes(lab: Lab) -> float:
    """How many requests to write anything the API server has answered, of whoever asked and also with a conflict."""
    families = text_string_to_metric_families(lab.api.http.get("/metrics").raise_for_status().text)
    requests = next(family for family in families if family.name == "apiserver_request")
    return sum(sample.value for sample in requests.samples if sample.labels["verb"] in WRITES)


def alone(lab: Lab) -> float:
    """Seconds for the API server to take the objects of a hundred claims that nobody composes: the floor."""
    lab.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ALONE}})
    name = f"claim-{CLAIMS}"
    bound = lab.api.get("AgentExecutor", name, cluster.NAMESPACE)["spec"]["resourceRef"]["name"]
    xr = json.dumps(lab.api.get("XAgentExecutor", bound)).replace(cluster.NAMESPACE, ALONE)
    xrs = [json.loads(xr.replace(name, f"alone-{n}")) for n in range(CLAIMS)]
    manifests = [one for xr in xrs for one in resources.render(function_claim.parse(xr), platform.DEFAULT).values()]
    start = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda manifest: put(lab, manifest), manifests))
    return time.monotonic() - start


def put(lab: Lab, manifest: dict[str, Any]) -> None:
    """Apply one object server-side, as Crossplane does."""
    where = path(manifest["kind"], manifest["metadata"]["name"], ALONE)
    how = {"fieldManager": "alone", "force": "true"}
    lab.api.http.patch(where, params=how, json=manifest, headers=APPLY).raise_for_status()


def claim(n: int) -> dict[str, Any]:
    """One of many in a namespace, with Secrets of its own."""
    names = {f"{which}Secret": f"claim-{n}-{which.lower()}" for which in ("postgresConnection", "dragonflyConnection")}
    return cluster.claim(f"claim-{n}", **names, llmKeysSecret=f"claim-{n}-llm")


def create(lab: Lab, manifest: dict[str, Any]) -> None:
    """Create one claim."""
    where = f"/apis/platform.bizmatters.io/v1alpha1/namespaces/{cluster.NAMESPACE}/agentexecutors"
    lab.api.http.post(where, json=manifest).raise_for_status()


def composed(lab: Lab, wanted: int) -> bool:
    """Whether so many claims and their composites are Synced: only a composite says that its objects are applied.

    Asked for as `kubectl get` asks, as lines of a table: reading lists of whole objects was 3 % of the machine's CPU.
    """
    kinds = ("AgentExecutor", "XAgentExecutor") if lab.model == "claim" else ("AgentExecutor",)
    return all(sum(row["SYNCED"] == "True" for row in table(lab, kind)) >= wanted for kind in kinds)


def table(lab: Lab, kind: str) -> list[dict[str, Any]]:
    """What `kubectl get` shows of the objects of a kind, by their column's name."""
    namespace = cluster.NAMESPACE if kind == "AgentExecutor" else ""
    answer = lab.api.http.get(path(kind, "", namespace), params={"includeObject": "None"}, headers=TABLE)
    shown = answer.raise_for_status().json()
    columns = [column["name"] for column in shown["columnDefinitions"]]
    return [dict(zip(columns, row["cells"], strict=True)) for row in shown["rows"]]


def settle(lab: Lab) -> None:
    """Return once every Secret is synced, after which nothing is left to happen."""
    until(
        lambda: all(is_true(one, "SecretsReady") for one in lab.api.list("AgentExecutor", cluster.NAMESPACE)),
        "all Secrets synced",
        600,
        every=1,
    )


def process_id(process: Process) -> int:
    """Of the program itself: what went before it has become it."""
    assert process.running is not None
    return process.running.pid


def cpu(process: psutil.Process) -> float:
    """Seconds of one core that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def report(figures: dict[str, float]) -> None:
    """A line for each figure."""
    for name, value in figures.items():
        target = f"   {to_reach(value, TARGETS[name])}" if name in TARGETS else ""
        print(f"{name:34}{value:10.2f}{target}")


def main() -> int:
    """Measure, print, and write it down."""
    try:
        print("a control plane without pods", file=sys.stderr)
        with cluster.platform("claim") as lab:
            figures = without_pods(lab)
        print("the same in the namespaced model", file=sys.stderr)
        with cluster.platform("namespaced") as lab:
            figures |= namespaced(lab)
        print("a cluster with pods", file=sys.stderr)
        with cluster.full("claim") as running:
            figures |= with_pods(running)
    except UnavailableError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    report(figures)
    into = ROOT / "build" / "bench-e2e.json"
    into.parent.mkdir(exist_ok=True)
    into.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
