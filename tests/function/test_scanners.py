"""checkov and kube-score find nothing in the rendered examples but what is accepted, each with its reason."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import scanners
from tests.support.scanners import Finding

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first run installs and builds them

GOLDENS = sorted((Path(__file__).parents[2] / "examples" / "rendered").glob("**/*.yaml"))
ENTRIES = YAML(typ="safe", pure=True).load(Path(__file__).with_name("accepted_findings.yaml"))


def accepted(tool: str) -> set[Finding]:
    return {Finding(e["tool"], e["id"], e["kind"]) for e in ENTRIES if e["tool"] == tool}


def test_every_accepted_finding_is_argued():
    assert all(set(entry) == {"tool", "id", "kind", "why"} and len(entry["why"].split()) > 3 for entry in ENTRIES)


def test_checkov_finds_what_is_accepted_and_nothing_else():
    found = scanners.checkov(GOLDENS)
    assert found == accepted("checkov")


def test_kube_score_finds_what_is_accepted_and_nothing_else():
    found = {finding for golden in GOLDENS for finding in scanners.kube_score(golden)}
    assert found == accepted("kube-score")


INSECURE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers: [{name: a, image: "example.com/a:1", securityContext: {privileged: true}}]
"""


def test_both_would_find_a_privileged_container(tmp_path):
    manifest = tmp_path / "insecure.yaml"
    manifest.write_text(INSECURE)
    found = scanners.checkov([manifest]) | scanners.kube_score(manifest)
    assert {
        Finding("checkov", "CKV_K8S_16", "Deployment"),
        Finding("kube-score", "container-security-context-privileged", "Deployment"),
    } <= found
