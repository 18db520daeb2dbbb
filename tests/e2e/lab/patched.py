"""A function in the place of patch-and-transform: nearly the same objects, under other names in the Composition.

Crossplane does with a composed resource what its name and its fields say, whoever said them: so what happens to running
objects when their Composition's function is replaced can be seen with this one, which needs no templates.
"""

import sys
from typing import Any

import grpc
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import serve
from function.fn import FunctionRunner
from function.resources import REGISTRY

OLD = {name: f"template-{name}" for name in REGISTRY}
"""The names of the composed resources here, by the function's."""


class Patched(FunctionRunner):
    """The function's objects, without the readiness probe that a template may well lack."""

    async def RunFunction(  # noqa: N802 - gRPC's name for it
        self, request: fnv1.RunFunctionRequest, context: grpc.aio.ServicerContext[Any, Any] | None
    ) -> fnv1.RunFunctionResponse:
        """Answer one call of Crossplane's."""
        asked = fnv1.RunFunctionRequest()
        asked.CopyFrom(request)
        _rename(asked.observed.resources, {old: name for name, old in OLD.items()})
        answer = await super().RunFunction(asked, context)
        if "deployment" in answer.desired.resources:  # which a refusal has not
            pod = answer.desired.resources["deployment"].resource["spec"]["template"]["spec"]
            del pod["containers"][0]["readinessProbe"]
        _rename(answer.desired.resources, OLD)
        return answer


def _rename(resources: Any, names: dict[str, str]) -> None:
    for old, new in names.items():
        if old in resources:
            resources[new].CopyFrom(resources[old])
            del resources[old]


if __name__ == "__main__":
    serve.run(Patched(), address=sys.argv[1], tls_certs_dir=sys.argv[2])
