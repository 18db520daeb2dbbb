"""The charts that come with Go modules, rendered by Helm as Argo CD does."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.lab.processes import LabError
from tools import gobinaries

HELM = ("helm", "helm.sh/helm/v3/cmd/helm")


def render(name: str, chart: Path, namespace: str, values: Mapping[str, Any], *, but: Sequence[str] = ()) -> list[Any]:
    """The manifests of a chart, those of the kinds in `but` left out.

    What runs of it runs as a process of the lab: Deployments and webhooks of the chart are left out by those who ask,
    and its ServiceAccounts and permissions are applied as they are.
    """
    with tempfile.TemporaryDirectory() as directory:
        given = Path(directory, "values.yaml")
        given.write_text(yaml.safe_dump(dict(values)))
        command = [gobinaries.build(*HELM), "template", name, _without_dependencies(chart, Path(directory))]
        command += ["--namespace", namespace, "--include-crds", "--values", given]
        done = subprocess.run(command, capture_output=True, text=True, env={"HOME": directory}, check=False)
    if done.returncode:
        raise LabError(f"helm template {chart.name}: {done.stderr.strip()[-1000:]}")
    return [document for document in yaml.safe_load_all(done.stdout) if document and document["kind"] not in but]


def _without_dependencies(chart: Path, directory: Path) -> Path:
    """A copy without the charts that it may bring along: they are off by default, and not in the module."""
    copy = directory / chart.name
    for source in chart.rglob("*"):
        if source.is_file():
            target = copy / source.relative_to(chart)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    metadata = yaml.safe_load((copy / "Chart.yaml").read_text())
    (copy / "Chart.yaml").write_text(yaml.safe_dump({k: v for k, v in metadata.items() if k != "dependencies"}))
    return copy
