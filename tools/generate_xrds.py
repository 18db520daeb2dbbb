"""The XRDs of both Crossplane models, one of them in the platform tree too, and the CRD of the function's Input."""

from pathlib import Path

from function import schema, yaml_writer

HEADER = "# Generated from function/spec.py and function/platform.py by `make generate`: change those.\n"


def files() -> dict[Path, str]:
    """What there is, by its path from the repository's root."""
    manifests = {
        "apis/claim/definition.yaml": schema.xrd_claim(),
        "examples/gitops/platform/04-apis/definitions/xagentexecutors.yaml": schema.xrd_claim(),
        "apis/namespaced/definition.yaml": schema.xrd_namespaced(),
        "package/input/agentexecutor.fn.bizmatters.io_agentexecutorplatforms.yaml": schema.input_crd(),
    }
    return {Path(path): HEADER + yaml_writer.stream([manifest]) for path, manifest in manifests.items()}
