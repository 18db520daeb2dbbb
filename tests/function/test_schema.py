"""The XRDs and the Input's CRD: fresh, structural, and taken by Crossplane and Kubernetes as they are."""

import math
from pathlib import Path

import hypothesis
import pytest

from function import claim, identity, platform, schema, sizes
from tests.support import api_server, bad_values, claims
from tools import generate_reference, generate_timezones, generate_xrds, gobinaries

ROOT = Path(__file__).parents[2]
HEAD = {"apiVersion": identity.API_VERSION, "kind": "AgentExecutor", "metadata": {"name": "agents", "namespace": "ai"}}
XRDS = {"claim": schema.xrd_claim, "namespaced": schema.xrd_namespaced}
DEFINITIONS = {**XRDS, "input": schema.input_crd}


def kubernetes(test):
    """A test that asks Kubernetes' own validation, which is built first where it has not been yet."""
    return pytest.mark.slow(pytest.mark.timeout(gobinaries.BUILD_SECONDS)(test))


def openapi(definition):
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node, path=""):
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for inside in ("items", "additionalProperties"):
        if inside in node:
            yield from nodes(node[inside], f"{path}[]")


@pytest.mark.parametrize("generator", [generate_xrds, generate_reference, generate_timezones])
def test_the_generated_files_are_fresh(generator):
    for path, text in generator.files().items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path} is stale: run `make generate`"


@pytest.mark.parametrize("make", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_definition_is_structural_and_described(make):
    for path, node in nodes(openapi(make())):
        assert not {"$ref", "anyOf", "title", "propertyNames", "patternProperties", "const"} & set(node), path
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        if path and not path.endswith("]") and path not in {".spec", ".status", ".apiVersion", ".kind", ".metadata"}:
            assert node["description"], path


def test_the_seeds_fields_keep_their_types_and_defaults():
    spec = openapi(schema.xrd_claim())["properties"]["spec"]
    assert spec["required"] == ["image"]
    assert {name: (field["type"], field.get("default")) for name, field in list(spec["properties"].items())[:6]} == {
        "image": ("string", None),
        "size": ("string", "medium"),
        "natsUrl": ("string", "nats://nats.nats.svc:4222"),
        "postgresConnectionSecret": ("string", "agent-executor-postgres"),
        "dragonflyConnectionSecret": ("string", "agent-executor-dragonfly"),
        "llmKeysSecret": ("string", "agent-executor-llm-keys"),
    }
    assert spec["properties"]["size"]["enum"] == list(sizes.STANDARD)


def test_the_api_server_decides_nothing_that_the_profile_or_the_platform_decides():
    spec = openapi(schema.xrd_claim())["properties"]["spec"]["properties"]
    for path in (
        ("concurrency",), ("scaling", "maxReplicas"), ("scaling", "lagThreshold"), ("externalSecrets", "store"),
        ("externalSecrets", "parameterPrefix"), ("nats", "monitoringEndpoint"), ("network", "llmEgress"),
        ("network", "ingressFrom"),
    ):  # fmt: skip
        node = {"properties": spec}
        for name in path:
            node = node["properties"][name]
        assert "default" not in node, path


def test_both_models_have_the_same_spec_and_status():
    assert openapi(schema.xrd_claim()) == openapi(schema.xrd_namespaced())


def test_a_platforms_profiles_are_sizes():
    row = {"cpu": {"request": "2", "limit": "8"}, "memory": {"request": "4Gi", "limit": "16Gi"}}
    given = platform.parse(
        {"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": {"profiles": {"xlarge": row}}}
    )
    for make in XRDS.values():
        size = openapi(make(given))["properties"]["spec"]["properties"]["size"]
        assert size["enum"] == [*dict.fromkeys((*sizes.STANDARD, "xlarge"))]
        own = make(platform.DEFAULT, sizes.STANDARD | {"tiny": sizes.STANDARD["small"]})
        assert openapi(own)["properties"]["spec"]["properties"]["size"]["enum"][-1] == "tiny"


@kubernetes
@pytest.mark.parametrize("make", DEFINITIONS.values(), ids=DEFINITIONS)
def test_kubernetes_takes_the_definition_with_the_cost_of_its_rules(make):
    assert api_server.ask(make())["definition"] == []


@kubernetes
def test_a_user_sees_each_column_once():
    for kind, shown in {
        "AgentExecutor": {"CONNECTION-SECRET"},
        "XAgentExecutor": {"COMPOSITION", "COMPOSITIONREVISION"},
    }.items():
        columns = api_server.ask(schema.xrd_claim())["columns"][kind]
        assert len(columns) == len(set(columns))
        assert set(columns) == {"SIZE", "IMAGE", "REPLICAS", "SYNCED", "READY", "AGE"} | shown


def finite(value):
    """Whether JSON can say it."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return value is not None and not (isinstance(value, float) and not math.isfinite(value)) and value != 10**400


@kubernetes
def test_what_the_api_server_already_refuses_of_the_bad_values():
    rows = [(path, value) for path, value, _ in bad_values.ROWS if finite(value)]
    bodies = [{**HEAD, "spec": bad_values.spec(path, value)} for path, value in rows]
    for make in XRDS.values():
        refused = [bool(faults) for faults in api_server.ask(make(), bodies)["objects"]]
        assert len(refused) == len(rows)
        # What is left takes the platform's bounds, the calendar or an address to see.
        assert sum(refused) > 0.6 * len(rows)


@kubernetes
def test_the_api_server_takes_every_claim_of_the_examples():
    from function import documents

    files = [str(ROOT / "examples" / name) for name in ("claim.yaml", "claims")]
    found = [document.body for document in documents.claims(files)]
    assert len(found) > 5
    sizes_too = platform.parse(
        {
            "apiVersion": platform.API_VERSION,
            "kind": platform.KIND,
            "spec": {"profiles": {"xlarge": sizes.STANDARD["large"].model_dump(by_alias=True)}},
        }
    )
    said = api_server.ask(schema.xrd_claim(sizes_too), found)["objects"]
    assert said == [[] for _ in found]


@kubernetes
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"env": [{"name": "NATS_URL", "value": "x"}]}, "is set by the platform, choose another name"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, "Duplicate value"),
        ({"scaling": {"minReplicas": 5, "maxReplicas": 2}}, "minReplicas is above maxReplicas"),
        ({"nats": {"stream": "AGENT_STATUS"}}, "stream and statusStream must be different streams"),
        ({"llmKeysSecret": "agent-executor-postgres"}, "must be different Secrets"),
        ({"podTemplate": {"labels": {"app": "x"}}}, "app and app.kubernetes.io/* are set by the platform"),
        ({"podTemplate": {"annotations": {"platform.bizmatters.io/x": "y"}}}, "platform.bizmatters.io/* are set by"),
        ({"postgresSchema": "pg_x"}, "is PostgreSQL's own"),
        ({"sise": "small"}, "unknown field"),
    ],
)
def test_the_api_server_says_what_openapi_cannot(change, says):
    body = {**HEAD, "spec": {"image": "app", **change}}
    for make in XRDS.values():
        ((fault,),) = api_server.ask(make(), [body])["objects"]
        assert says in fault


@kubernetes
def test_only_the_claims_own_name_is_bounded_not_its_composites():
    long = {"name": "a" * 54 + "-x7d2k"}
    composite = {**HEAD, "kind": "XAgentExecutor", "metadata": long, "spec": {"image": "app"}}
    claimed = {**HEAD, "metadata": long, "spec": {"image": "app"}}
    fine, refused = api_server.ask(schema.xrd_claim(), [composite, claimed])["objects"]
    assert fine == []
    assert "at most 54" in refused[0]
    with pytest.raises(claim.Invalid):
        claim.parse(claimed)


@kubernetes
def test_the_api_server_takes_every_claim_that_the_function_takes():
    found = []

    @hypothesis.settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @hypothesis.given(claims.given())
    def collect(given):
        claim.parse(given.manifest, given.platform)
        if given.manifest["kind"] == "AgentExecutor" and "crossplane" not in given.manifest["spec"]:
            found.append(given.manifest)

    collect()
    wide = schema.xrd_claim(claims.OPEN)
    assert len(found) > 30
    for given, faults in zip(found, api_server.ask(wide, found)["objects"], strict=True):
        assert faults == [], given
