"""checkov and kube-score: what each finds in a set of manifest files. Both judge offline."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools import gobinaries, pyprograms

KUBERNETES = "v1.34"


class Finding(NamedTuple):
    """A rule that a kind of object breaks."""

    tool: str
    id: str
    kind: str


def checkov(files: Sequence[Path]) -> set[Finding]:
    """What checkov finds; raises UnavailableError where it cannot be installed."""
    command = [
        pyprograms.program("checkov", "checkov"),
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--compact",
        "--quiet",
        "--skip-download",
    ]
    reports = run([*command, *(part for file in files for part in ("--file", str(file)))])
    checks = [
        r
        for report in (reports if isinstance(reports, list) else [reports])
        for r in report["results"]["failed_checks"]
    ]
    return {Finding("checkov", check["check_id"], check["resource"].split(".")[0]) for check in checks}


def kube_score(file: Path) -> set[Finding]:
    """What kube-score finds in one file; raises UnavailableError without Go."""
    binary = gobinaries.build("kube-score", "github.com/zegl/kube-score/cmd/kube-score")
    objects = run([binary, "score", "--output-format", "json", "--kubernetes-version", KUBERNETES, file])
    return {Finding("kube-score", check, scored["type_meta"]["kind"]) for scored in objects for check in broken(scored)}


def broken(scored: dict[str, Any]) -> Iterator[str]:
    """The checks of one object that are neither passed nor beside the point."""
    passed = 10
    return (c["check"]["id"] for c in scored["checks"] if not c["skipped"] and c["grade"] < passed)


def run(command: Sequence[str | Path]) -> Any:
    """A scanner's JSON; it exits 1 where it has findings, and has nobody to talk to."""
    offline = os.environ | dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"
    )
    done = subprocess.run(command, env=offline, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in {0, 1} or not done.stdout:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout)
