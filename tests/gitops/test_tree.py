"""The platform tree is what it says: every file fits its kind, and what two files say of one thing agrees."""

import copy
import functools
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from jsonschema.protocols import Validator
from ruamel.yaml import YAML

from function import claim, platform, resources, sizes
from tests.support import validate
from tools import gobinaries, gomodules
from tools.render_examples import ROOT

TREE = ROOT / "examples" / "gitops"
ARGO, CROSSPLANE = "github.com/argoproj/argo-cd/v3", "github.com/crossplane/crossplane/v2"
KEDA, SECRETS = "github.com/kedacore/keda/v2", "github.com/external-secrets/external-secrets"
# Kind to the Go module that has its CRD, the file in it, and the version that is used.
CRDS = {
    "Application": (ARGO, "manifests/crds/application-crd.yaml", "v1alpha1"),
    "Function": (CROSSPLANE, "cluster/crds/pkg.crossplane.io_functions.yaml", "v1"),
    "Configuration": (CROSSPLANE, "cluster/crds/pkg.crossplane.io_configurations.yaml", "v1"),
    "DeploymentRuntimeConfig": (CROSSPLANE, "cluster/crds/pkg.crossplane.io_deploymentruntimeconfigs.yaml", "v1beta1"),
    "Composition": (CROSSPLANE, "cluster/crds/apiextensions.crossplane.io_compositions.yaml", "v1"),
    "CompositeResourceDefinition": (
        CROSSPLANE,
        "cluster/crds/apiextensions.crossplane.io_compositeresourcedefinitions.yaml",
        "v1",
    ),
    "ClusterSecretStore": (SECRETS, "config/crds/bases/external-secrets.io_clustersecretstores.yaml", "v1"),
    "ExternalSecret": (SECRETS, "config/crds/bases/external-secrets.io_externalsecrets.yaml", "v1"),
}
# The charts that are installed, and the Go modules that tests check them with, or run in their place.
MODULES = {"crossplane": CROSSPLANE, "external-secrets": SECRETS, "keda": KEDA}
# Where a chart's own default values are, for the charts that come with a Go module.
CHARTS = {
    "crossplane": (CROSSPLANE, "cluster/charts/crossplane/values.yaml"),
    "external-secrets": (SECRETS, "deploy/charts/external-secrets/values.yaml"),
}


class Document(NamedTuple):
    """One object of the tree, and its file from the tree's root."""

    file: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file}:{self.body['kind']}/{self.body['metadata']['name']}"


def read(file: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(file.read_text("utf-8")))


DOCUMENTS = [
    Document(str(file.relative_to(TREE)), body) for file in sorted(TREE.rglob("*.yaml")) for body in read(file)
]


def of(kind: str, place: str = "") -> list[Document]:
    return [d for d in DOCUMENTS if d.body["kind"] == kind and d.file.startswith(place)]


def one(kind: str, place: str = "") -> dict[str, Any]:
    (found,) = of(kind, place)
    return found.body


def structural(crd: dict[str, Any], version: str) -> Any:
    return next(v for v in crd["spec"]["versions"] if v["name"] == version)["schema"]["openAPIV3Schema"]


@functools.cache
def structure(kind: str) -> Any:
    """The schema of a custom kind."""
    if kind == "AgentExecutor":
        return structural(read(ROOT / "apis" / "claim" / "definition.yaml")[0], "v1alpha1")
    module, file, version = CRDS[kind]
    # By libyaml: ruamel.yaml takes up to two seconds for one of these.
    return structural(yaml.load((gomodules.directory(module) / file).read_text("utf-8"), yaml.CSafeLoader), version)


@functools.cache
def schema(kind: str) -> Validator:
    """The strict schema of a custom kind."""
    strict = validate.strict(structure(kind))
    strict["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}  # the API server's own
    checked: Validator = validate.STRICT(strict)
    return checked


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_object_fits_the_schema_of_its_kind(document: Document) -> None:
    kind = document.body["kind"]
    if kind not in CRDS and kind != "AgentExecutor":
        assert validate.faults(document.body) == []
        return
    checks = [schema(kind), validate.metadata_of_custom(validate.RELEASES[-1])]
    assert [f"{validate.place(e)}: {e.message}" for check in checks for e in check.iter_errors(document.body)] == []
    assert list(validate.nulls(document.body)) == []


def settings() -> platform.Platform:
    (step,) = one("Composition", "platform/")["spec"]["pipeline"]
    return platform.parse(step["input"])


@pytest.mark.parametrize("document", of("AgentExecutor"), ids=str)
def test_the_function_takes_every_claim_with_the_trees_own_input(document: Document) -> None:
    given = settings()
    claim.parse(document.body, given, given.sizes(sizes.STANDARD))


def test_the_definition_and_the_composition_are_ours_but_for_the_input() -> None:
    assert read(TREE / "platform/04-apis/definitions/xagentexecutors.yaml") == read(ROOT / "apis/claim/definition.yaml")
    (ours,) = read(ROOT / "apis/claim/composition.yaml")
    tree = json.loads(json.dumps(one("Composition", "platform/")))
    assert tree["metadata"].pop("annotations")
    tree["spec"]["pipeline"][0]["input"]["spec"] = {}
    assert tree == ours


def test_the_role_is_the_one_of_the_examples() -> None:
    (ours,) = read(ROOT / "examples" / "rbac.yaml")
    tree = dict(one("ClusterRole"))
    tree["metadata"] = {key: value for key, value in tree["metadata"].items() if key != "annotations"}
    assert tree == ours


def test_the_function_is_called_what_the_composition_calls_and_runs_with_its_configuration() -> None:
    (step,) = one("Composition", "platform/")["spec"]["pipeline"]
    function = one("Function")
    assert function["metadata"]["name"] == step["functionRef"]["name"]
    assert function["spec"]["runtimeConfigRef"]["name"] == one("DeploymentRuntimeConfig")["metadata"]["name"]
    (examples,) = read(ROOT / "examples" / "functions.yaml")
    assert function["spec"]["package"] == examples["spec"]["package"]
    (package,) = read(TREE / "variants" / "configuration-package" / "configuration.yaml")
    assert package["spec"]["package"].rpartition(":")[2] == function["spec"]["package"].rpartition(":")[2]


def test_the_claim_is_the_one_that_everything_began_with() -> None:
    (first,) = read(ROOT / "examples" / "claim.yaml")
    tree = dict(one("AgentExecutor", "platform/"))
    tree["metadata"] = {key: value for key, value in tree["metadata"].items() if key != "annotations"}
    assert tree == first


def test_the_stores_are_those_that_the_input_allows() -> None:
    allowed = [(store.kind, store.name) for store in settings().external_secrets.stores]
    assert [(d.body["kind"], d.body["metadata"]["name"]) for d in of("ClusterSecretStore")] == allowed


def test_a_store_serves_the_namespaces_that_read_through_it_and_no_other() -> None:
    readers: dict[str, set[str]] = {}
    for document in of("AgentExecutor") + of("ExternalSecret"):
        spec = document.body["spec"]
        store = spec.get("secretStoreRef") or spec.get("externalSecrets", {}).get("store")
        name = store["name"] if store else settings().external_secrets.store.name
        readers.setdefault(name, set()).add(document.body["metadata"]["namespace"])
    conditions = {d.body["metadata"]["name"]: d.body["spec"]["conditions"] for d in of("ClusterSecretStore")}
    assert {name: [{"namespaces": sorted(found)}] for name, found in readers.items()} == conditions


def test_a_store_has_credentials_of_its_own() -> None:
    stores = of("ClusterSecretStore")
    assert len({credentials(store.body) for store in stores}) == len(stores)


def credentials(store: dict[str, Any]) -> str:
    """The Secret that a store signs in with."""
    (name,) = {each["name"] for each in store["spec"]["provider"]["aws"]["auth"]["secretRef"].values()}
    return str(name)


@pytest.mark.parametrize("document", of("Namespace", "platform/03") + of("Namespace", "tenants"), ids=str)
def test_executors_live_where_only_restricted_pods_may(document: Document) -> None:
    labels = document.body["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {"layer", "category"} <= labels.keys()


# PostgreSQL's versions have two numbers; after them is the Debian that it is on.
EXACT = re.compile(r"(?!postgres:)[^:@]+:v?\d+\.\d+\.\d+|postgres:\d+\.\d+-[a-z]+")
# Crossplane runs the image of the function's package: its configuration names none.
IMAGES = ("AgentExecutor", "Configuration", "Function", "Job", "StatefulSet")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_images_have_exact_tags(document: Document) -> None:
    images = re.findall(r'"(?:image|package)": "([^"]*)"', json.dumps(document.body))
    assert [image for image in images if not EXACT.fullmatch(image)] == []
    assert bool(images) == (document.body["kind"] in IMAGES)


def test_jobs_are_what_pod_security_restricted_allows() -> None:
    pods = [d.body["spec"]["template"] for d in of("Job")]
    assert validate.forbidden(pods) == [[] for _ in pods]


@pytest.mark.parametrize("document", of("Application"), ids=str)
def test_charts_have_exact_versions_and_layers_are_there(document: Document) -> None:
    spec = document.body["spec"]
    for source in spec.get("sources") or [spec["source"]]:
        if "chart" in source:
            assert re.fullmatch(r"\d+\.\d+\.\d+", source["targetRevision"])
        else:
            assert (TREE / source["path"]).is_dir()


def wave(document: dict[str, Any]) -> int:
    return int(document["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])


def test_waves_go_from_what_is_needed_to_what_needs_it() -> None:
    waves = {
        d.body["metadata"]["name"]: wave(d.body) for d in of("Application") if d.body["metadata"]["name"] != "platform"
    }
    foundation = {waves[name] for name in ("crossplane", "keda", "external-secrets", "nats")}
    assert foundation == {0}
    assert 0 < waves["04-apis"] < waves["03-intelligence"]
    # The databases' passwords come through the store of 03-intelligence, whose claim waits for the databases.
    assert waves["05-databases"] == waves["03-intelligence"]
    # Argo CD waits for every wave but the last, and a claim may be paused, or wait, for as long as it likes.
    paths = {d.body["metadata"]["name"]: d.body["spec"].get("source", {}).get("path") for d in of("Application")}
    claims = {name for name, path in paths.items() if path and of("AgentExecutor", f"{path}/")}
    assert len(claims) == len(("03-intelligence", "tenant-research"))
    assert {waves[name] for name in claims} == {max(waves.values())}
    inside = [
        wave(d.body)
        for d in DOCUMENTS
        if d.file.startswith("platform/03-intelligence/") and d.body["kind"] != "ConfigMap"
    ]
    assert wave(one("AgentExecutor", "platform/")) == max(inside)


def filled_in(given: Any, known: Any, path: str = "", *, atomic: bool = False) -> Iterator[str]:
    """What the API server would add to the items of atomic lists: keys that have a default and are not given."""
    if isinstance(given, list):
        for index, item in enumerate(given):
            kind = known.get("x-kubernetes-list-type", "atomic")
            yield from filled_in(item, known.get("items", {}), f"{path}[{index}]", atomic=atomic or kind == "atomic")
    elif isinstance(given, dict):
        properties = known.get("properties", {})
        if atomic:
            yield from (f"{path}.{key}" for key in properties if "default" in properties[key] and key not in given)
        for key, value in given.items():
            yield from filled_in(value, properties.get(key, {}), f"{path}.{key}".lstrip("."), atomic=atomic)


# Argo CD compares an atomic list as a whole: what is only filled in would be OutOfSync, and synced again and again.
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d.body["kind"] in {*CRDS, "AgentExecutor"}], ids=str)
def test_lists_say_what_the_api_server_would_fill_in(document: Document) -> None:
    assert list(filled_in(document.body, structure(document.body["kind"]))) == []


NATS = {  # the values of its chart, by file
    d.file: d.body["spec"]["source"]["helm"]["valuesObject"]
    for d in of("Application")
    if d.body["metadata"]["name"] == "nats"
}


def test_the_volumes_of_stateful_sets_say_their_kind() -> None:
    templates = [claim for d in of("StatefulSet") for claim in d.body["spec"]["volumeClaimTemplates"]]
    templates += [values["config"]["jetstream"]["fileStore"]["pvc"]["merge"] for values in NATS.values()]
    assert len(templates) == len(("postgres", "dragonfly", "nats", "nats, highly available"))
    assert {(claim["apiVersion"], claim["kind"]) for claim in templates} == {("v1", "PersistentVolumeClaim")}


KEPT = {"Prune=false", "Delete=false"}


def test_no_commit_deletes_a_volume() -> None:
    folders = {d.file.rpartition("/")[0] for d in of("StatefulSet")}
    above = [d for folder in folders for d in of("Namespace", f"{folder}/")]
    above += [d for d in of("Application") if d.body["spec"].get("source", {}).get("path") in folders]
    assert len(above) == len(("the namespace", "the Application")) * len(folders)
    for document in above:
        assert set(document.body["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].split(",")) >= KEPT


def test_what_argo_cd_says_in_its_own_configuration_stays() -> None:
    ours = one("ConfigMap", "bootstrap/")
    assert set(ours["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].split(",")) >= KEPT
    (theirs,) = read(gomodules.directory(ARGO) / "manifests" / "base" / "config" / "argocd-cm.yaml")
    assert not ours["data"].keys() & theirs["data"].keys()


@pytest.mark.parametrize("name", MODULES)
def test_a_chart_moves_together_with_the_module_that_it_is_compared_with(name: str) -> None:
    module = MODULES[name]
    installed = next(d for d in of("Application") if d.body["metadata"]["name"] == name).body["spec"]["source"]
    assert installed["targetRevision"] == gomodules.version(module).removeprefix("v")
    # What Renovate recommends leaves out every path with `examples` or `tests` in it, and both of them are in one.
    assert ":ignoreModulesAndTests" in json.loads((ROOT / "renovate.json").read_text())["ignorePresets"]
    rules = [rule for rule in json.loads((ROOT / "renovate.json").read_text())["packageRules"] if "groupName" in rule]
    named = [rule["matchPackageNames"] for rule in rules if name in rule.get("matchPackageNames", ())]
    assert any(fnmatch(module, pattern) for pattern in chain(*named))


def keys(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Keys of values that a chart does not know; below what is empty in the chart anything goes."""
    if isinstance(given, dict) and isinstance(known, dict) and known:
        for key, value in given.items():
            if key in known:
                yield from keys(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}".lstrip(".")


def test_the_end_to_end_tests_run_the_keda_that_is_installed() -> None:
    assert gomodules.version(KEDA, gobinaries.MANIFESTS / "keda") == gomodules.version(KEDA)


@pytest.mark.parametrize("name", CHARTS)
def test_values_are_the_charts_own(name: str) -> None:
    module, file = CHARTS[name]
    source = next(d for d in of("Application") if d.body["metadata"]["name"] == name).body["spec"]["source"]
    (known,) = read(gomodules.directory(module) / file)
    assert list(keys(source["helm"]["valuesObject"], known)) == []


@pytest.mark.parametrize("values", NATS.values(), ids=NATS)
def test_nats_keeps_messages_in_files_is_watched_and_small(values: dict[str, Any]) -> None:
    config = values["config"]
    assert config["jetstream"]["enabled"]
    assert config["jetstream"]["fileStore"]["enabled"]
    assert config["jetstream"]["fileStore"]["pvc"]["enabled"]
    assert config["monitor"] == {"enabled": True, "port": 8222}  # what KEDA asks
    size = {"cpu": "250m", "memory": "512Mi"}
    assert values["container"]["merge"]["resources"] == {"requests": size, "limits": size}


def test_the_highly_available_variant_has_three_servers_three_copies_and_two_executors() -> None:
    place = "variants/highly-available/"
    values = one("Application", place)["spec"]["source"]["helm"]["valuesObject"]
    assert values["config"]["cluster"] == {"enabled": True, "replicas": 3}
    assert values["podTemplate"]["topologySpreadConstraints"]["kubernetes.io/hostname"]
    files = one("ConfigMap", place)["data"]
    copies = [json.loads(text)["num_replicas"] for name, text in files.items() if name != "consumer.json"]
    assert copies == [3, 3, 3]
    given = settings()
    rendered = resources.render(claim.parse(one("AgentExecutor", place), given, given.sizes(sizes.STANDARD)), given)
    assert rendered["scaled-object"]["spec"]["minReplicaCount"] == 2
    assert "pod-disruption-budget" in rendered
    spread = rendered["deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_nothing_else_of_the_highly_available_variant_is_another_one() -> None:
    place, beside = "variants/highly-available/", "platform/03-intelligence/"
    chart, executor, config = (
        copy.deepcopy(one(kind, place)) for kind in ("Application", "AgentExecutor", "ConfigMap")
    )
    values = chart["spec"]["source"]["helm"]["valuesObject"]
    del values["config"]["cluster"], values["podTemplate"]["topologySpreadConstraints"]
    assert chart == one("Application", "bootstrap/components/01-nats")
    assert executor["spec"].pop("scaling") == {"minReplicas": 2, "maxReplicas": 10}
    assert executor["spec"].pop("env") == [{"name": "NATS_REPLICAS", "value": "3"}]
    assert executor["spec"].pop("podTemplate").keys() == {"topologySpreadConstraints"}
    assert executor == one("AgentExecutor", beside)
    for name, text in config["data"].items():
        config["data"][name] = text.replace('"num_replicas": 3', '"num_replicas": 1')
    assert config == one("ConfigMap", beside)
    assert one("Job", place) == one("Job", beside)


QUANTITIES: dict[str, Any] = {"cpu": {}, "memory": {}}
# What is set of the charts that come with no Go module, as their own values.yaml spell it: github.com/kedacore/charts,
# keda/ (2.20.2), and github.com/nats-io/k8s, helm/charts/nats/ (2.14.2). Below what is empty anything goes.
KNOWN: dict[str, dict[str, Any]] = {
    "keda": {"resources": {"operator": {"requests": QUANTITIES, "limits": QUANTITIES}}},
    "nats": {
        "config": {
            "cluster": {"enabled": {}, "replicas": {}},
            "jetstream": {
                "enabled": {},
                "fileStore": {"enabled": {}, "pvc": {"enabled": {}, "size": {}, "merge": {}}},
                "memoryStore": {"enabled": {}},
            },
            "monitor": {"enabled": {}, "port": {}},
        },
        "container": {"env": {}, "merge": {}},
        "podTemplate": {"topologySpreadConstraints": {}, "merge": {}},
        "natsBox": {"enabled": {}},
    },
}


@pytest.mark.parametrize("document", [d for d in of("Application") if d.body["metadata"]["name"] in KNOWN], ids=str)
def test_values_of_other_charts_are_those_that_are_known_to_be_theirs(document: Document) -> None:
    values = document.body["spec"]["source"]["helm"]["valuesObject"]
    assert list(keys(values, KNOWN[document.body["metadata"]["name"]])) == []


def test_the_values_of_every_chart_are_compared_with_something() -> None:
    specs = [d.body["spec"] for d in of("Application")]
    sources = [source for spec in specs for source in spec.get("sources") or [spec["source"]]]
    assert {source["chart"] for source in sources if "chart" in source} == CHARTS.keys() | KNOWN.keys()
