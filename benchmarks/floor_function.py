"""The floor: the least that a function on the Crossplane SDK can do, which is to hand out an answer made beforehand."""

import sys
from pathlib import Path
from typing import Any

import click
from crossplane.function import cli
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1


class Floor(grpcv1.FunctionRunnerServiceServicer):
    """Answers every request with the response in a file."""

    def __init__(self, answer: Path) -> None:
        self._answer = fnv1.RunFunctionResponse.FromString(answer.read_bytes())

    async def RunFunction(self, _: fnv1.RunFunctionRequest, __: Any) -> fnv1.RunFunctionResponse:  # noqa: N802
        return self._answer


@click.command()
@click.argument("answer", type=click.Path(path_type=Path, exists=True))
@cli.standard_options
def main(answer: Path, **options: Any) -> None:
    """Serve ANSWER."""
    cli.run(Floor(answer), **options)


if __name__ == "__main__":
    sys.exit(main())
