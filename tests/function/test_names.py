"""Names and labels."""

from function import claim as claims
from function import names, platform, resources
from tests.support.calls import claim


def test_the_selector_is_the_name_and_nothing_else():
    assert names.selector(claims.parse(claim("agents"))) == {"app": "agents"}


def test_labels_say_what_kubernetes_recommends_and_what_selects():
    assert names.labels(claims.parse(claim("agents"))) == {
        "app": "agents",
        "app.kubernetes.io/component": "executor",
        "app.kubernetes.io/instance": "agents",
        "app.kubernetes.io/managed-by": "crossplane",
        "app.kubernetes.io/name": "agent-executor",
        "app.kubernetes.io/part-of": "agent-executor",
    }


def test_no_label_varies_with_the_revision():
    before, after = claim(), claim(image="ghcr.io/org/other:v2", size="large", concurrency=2)
    after["metadata"]["generation"] = 9
    assert names.labels(claims.parse(before)) == names.labels(claims.parse(after))


def test_every_object_has_the_claims_name_but_the_secrets():
    made = resources.render(claims.parse(claim(scaling={"minReplicas": 2})), platform.DEFAULT)
    assert {key: one["metadata"]["name"] for key, one in made.items()} == {
        **dict.fromkeys(resources.REGISTRY, "agent-executor"),
        "postgres-secret": "agent-executor-postgres",
        "dragonfly-secret": "agent-executor-dragonfly",
        "llm-keys-secret": "agent-executor-llm-keys",
    }
    assert {one["metadata"]["namespace"] for one in made.values()} == {"intelligence-deepagents"}
