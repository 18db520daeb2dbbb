"""The examples are right, and what is rendered of them is fresh."""

import re
from pathlib import Path

import pytest

from function import yaml_reader
from tools import render_examples
from tools.render_examples import EXAMPLES, ROOT, examples


def test_every_golden_is_what_its_example_becomes() -> None:
    wanted = {str(path): text for path, text in render_examples.files().items()}
    there = {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in (ROOT / render_examples.RENDERED).rglob("*")
        if path.is_file()
    }
    assert there == wanted, "run `make render`"


def test_the_claim_is_the_seeds_byte_for_byte() -> None:
    assert (ROOT / EXAMPLES / "claim.yaml").read_bytes() == (
        b"apiVersion: platform.bizmatters.io/v1alpha1\n"
        b"kind: AgentExecutor\n"
        b"metadata:\n"
        b"  name: agent-executor\n"
        b"  namespace: intelligence-deepagents\n"
        b"spec:\n"
        b"  image: ghcr.io/arun4infra/agent-executor:v1.0.0\n"
        b"  size: medium\n"
        b"  natsUrl: nats://nats.nats.svc:4222\n"
        b"  postgresConnectionSecret: agent-executor-postgres\n"
        b"  dragonflyConnectionSecret: agent-executor-dragonfly\n"
        b"  llmKeysSecret: agent-executor-llm-keys\n"
    )


def test_both_composites_become_what_the_claim_becomes() -> None:
    files = render_examples.files()
    claim, *composites = (
        files[render_examples.RENDERED / name].partition("\n")[2]
        for name in ("claim.yaml", "xr/cluster-scoped.yaml", "xr/namespaced.yaml")
    )
    assert composites == [claim, claim]


@pytest.mark.parametrize("folder", ["platforms", "observed"])
def test_every_platform_and_state_belongs_to_an_example(folder: str) -> None:
    used = {path for example in examples() for path in (example.platform, *example.observed)}
    there = {path.relative_to(ROOT) for path in (ROOT / EXAMPLES / folder).rglob("*.yaml")}
    assert there <= used


def test_crossplane_is_permitted_every_kind_that_it_is_not_by_default_and_no_other() -> None:
    (role,) = yaml_reader.parse((ROOT / EXAMPLES / "rbac.yaml").read_text("utf-8"))
    permitted = {
        (group, kind) for rule in role.value["rules"] for group in rule["apiGroups"] for kind in rule["resources"]
    }
    goldens = (ROOT / render_examples.RENDERED).rglob("*.yaml")
    bodies = [parsed.value for golden in goldens for parsed in yaml_reader.parse(golden.read_text("utf-8"))]
    plurals = {
        (body["apiVersion"].rpartition("/")[0], f"{body['kind'].lower()}s".replace("ys", "ies")) for body in bodies
    }
    assert permitted == plurals - {("apps", "deployments"), ("", "services"), ("", "serviceaccounts")}
    assert role.value["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}


def test_the_readme_names_every_claim_and_nothing_that_is_not_there() -> None:
    text = (ROOT / EXAMPLES / "README.md").read_text("utf-8")
    linked = {Path(name) for name in re.findall(r"\]\(([^)]+)\)", text)}
    assert all((ROOT / EXAMPLES / name).exists() for name in linked)
    claims = {path.relative_to(ROOT / EXAMPLES) for path in (ROOT / EXAMPLES).glob("claims/*.yaml")}
    assert claims <= linked
