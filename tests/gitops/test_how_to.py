"""What the how-tos name is there: parameters, files, reasons, commands."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from agent_executor.cli import main
from function import claim, platform, resources, sizes
from function.platform import DEFAULT
from function.resources import external_secrets
from tests.gitops.test_tree import ARGO, KEDA, SECRETS, TREE, credentials, of, one, read, schema
from tools import gobinaries, gomodules
from tools.render_examples import ROOT

DOCS = ROOT / "docs"
HOW_TOS = sorted((DOCS / "how-to").glob("*.md"))
PAGES = [*HOW_TOS, DOCS / "maintainers.md", ROOT / "examples" / "gitops" / "README.md"]


def text(name: str) -> str:
    return (DOCS / "how-to" / f"{name}.md").read_text("utf-8")


def test_the_ten_parameters_are_those_that_the_secrets_are_made_of() -> None:
    prefix = DEFAULT.external_secrets.parameter_prefix
    secrets = (external_secrets.POSTGRES, external_secrets.DRAGONFLY, external_secrets.LLM_KEYS)
    wanted = [prefix + parameter for secret in secrets for parameter in secret.values()]
    put = re.findall(
        r'^aws ssm put-parameter --name (\S+) --value "[^"]+" --type (\w+)$', text("first-deployment"), re.MULTILINE
    )
    assert [name for name, _ in put] == wanted
    secret = {name for name, kind in put if kind == "SecureString"}
    assert secret == {name for name in wanted if name.endswith(("password", "api_key"))}


@pytest.mark.parametrize(("page", "place"), [("first-deployment", "platform/"), ("second-tenant", "tenants/")])
def test_a_store_reads_its_teams_prefix_alone_with_the_secret_that_the_page_makes(page: str, place: str) -> None:
    spec = one("AgentExecutor", place)["spec"]
    prefix = spec.get("externalSecrets", {}).get("parameterPrefix", DEFAULT.external_secrets.parameter_prefix)
    assert re.findall(r"arn:aws:ssm:\*:\*:parameter([^`]+)", text(page)) == [f"{prefix}/*"]
    made = re.findall(r"^ *kubectl create secret generic (\S+) --namespace external-secrets", text(page), re.MULTILINE)
    assert made == [credentials(one("ClusterSecretStore", place))]


def test_versions_that_pages_name_are_those_that_are_tested() -> None:
    argo, maintainers = gomodules.version(ARGO).removeprefix("v"), (DOCS / "maintainers.md").read_text("utf-8")
    assert f"Argo CD {argo};" in text("first-deployment")
    assert f"Argo CD {argo}," in maintainers
    lab = gobinaries.MANIFESTS / "external-secrets"
    for name, version in {"External Secrets": gomodules.version(SECRETS, lab), "KEDA": gomodules.version(KEDA)}.items():
        assert f"{name} {version.removeprefix('v')}" in " ".join(maintainers.split())


def test_a_move_names_our_composition_and_decides_who_makes_the_secrets_before_the_pause_goes() -> None:
    before, unpause, _ = text("move-from-patch-and-transform").partition("crossplane.io/paused-\n")
    name = one("Composition", "platform/")["metadata"]["name"]
    assert unpause
    assert f'"compositionRef": {{"name": "{name}"}}' in before
    assert "externalSecrets: {create: false}" in before


def test_databases_elsewhere_are_where_the_page_opens_the_way_to_them() -> None:
    blocks = re.findall(r"^```yaml\n(.+?)^```", text("first-deployment"), re.MULTILINE | re.DOTALL)
    inputs = [YAML(typ="safe", pure=True).load(block) for block in blocks]
    pods, networks = (
        platform.parse({"apiVersion": platform.API_VERSION, "kind": platform.KIND, **given}) for given in inputs
    )
    assert networks.llm_egress.allowed[:-1] == platform.INTERNET
    for given, to, rules in (
        (pods, {"kubernetes.io/metadata.name": "data"}, [[5432], [6379]]),
        (networks, {"cidr": "10.20.0.0/24"}, [[5432, 6379]]),
    ):
        asked = claim.parse(one("AgentExecutor", "platform/"), given, sizes.STANDARD)
        egress = resources.render(asked, given)["network-policy"]["spec"]["egress"]
        peers = [(rule["to"][0], [port["port"] for port in rule["ports"]]) for rule in egress]
        found = [
            ports
            for peer, ports in peers
            if to in (peer.get("namespaceSelector", {}).get("matchLabels"), peer.get("ipBlock"))
        ]
        assert found == rules


def test_a_tenant_that_is_copied_as_the_page_says_has_names_of_its_own(tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path, dirs_exist_ok=True)
    (commands,) = re.findall(r"^```console\n(\$ cp .+?)^```", text("second-tenant"), re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-euc", re.sub(r"^\$ ", "", commands, flags=re.MULTILINE)], cwd=tmp_path, check=True)
    made = [file for file in tmp_path.rglob("*.yaml") if not (TREE / file.relative_to(tmp_path)).exists()]
    assert len(made) == len([*(TREE / "tenants" / "research").iterdir(), "the Application"])
    assert [file.name for file in made if "research" in (str(file) + file.read_text("utf-8")).lower()] == []
    (layer,) = (body for file in made for body in read(file) if body["kind"] == "Application")
    assert (tmp_path / layer["spec"]["source"]["path"]).is_dir()
    (mine,) = (body for file in made for body in read(file) if body["kind"] == "AgentExecutor")
    settings = {"externalSecrets": {"allowedStores": [mine["spec"]["externalSecrets"]["store"]]}}
    settings["externalSecrets"]["allowedParameterPrefixes"] = [mine["spec"]["externalSecrets"]["parameterPrefix"]]
    given = platform.parse({"apiVersion": platform.API_VERSION, "kind": platform.KIND, "spec": settings})
    assert claim.parse(mine, given, sizes.STANDARD).namespace == "intelligence-sales"


def test_a_sync_that_somebody_asks_for_is_one_of_an_application_with_its_own_options() -> None:
    applications = {d.body["metadata"]["name"]: d.body for d in of("Application", "platform/")}
    page = text("troubleshooting")
    patches = re.findall(r"^kubectl patch application (\S+) .*\\\n +--patch '(.+)'$", page, re.MULTILINE)
    synced = re.findall(r"^argocd app sync (\S+)$", page, re.MULTILINE)
    assert synced == [name for name, _ in patches] != []
    for name, patch in patches:
        asked, body = json.loads(patch), applications[name]
        assert list(schema("Application").iter_errors(body | asked)) == []
        assert asked["operation"]["sync"]["syncOptions"] == body["spec"]["syncPolicy"]["syncOptions"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_reason_of_the_troubleshooting_page_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "conditions.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", text("troubleshooting"), re.MULTILINE)
    assert rows
    assert [name for row in rows for name in row if f"`{name}`" not in reference] == []


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda page: page.name)
def test_the_services_commands_and_their_options_are_there(page: Path) -> None:
    lines = re.findall(r"(?:-- |\$ |`)agent-executor ((?!,)[a-z]+[^`|\n]*)", page.read_text("utf-8"))
    for words in map(str.split, lines):
        done = CliRunner().invoke(main, [words[0], "--help"])
        assert done.exit_code == 0, words
        assert [word for word in words if word.startswith("--") and word not in done.output] == []
