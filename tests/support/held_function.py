"""The function's server with a runner that says `held` when it is called, and answers once SIGUSR1 has come."""

import asyncio
import signal
from typing import Any

import click
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import serve
from function.fn import FunctionRunner


class Held(FunctionRunner):
    """Takes as long as the test wants."""

    async def RunFunction(self, request: fnv1.RunFunctionRequest, context: Any) -> fnv1.RunFunctionResponse:  # noqa: N802 - gRPC's name
        """Answer when told to."""
        released = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, released.set)
        print("held", flush=True)
        await released.wait()
        return await super().RunFunction(request, context)


@click.command()
@click.option("--address")
def main(address: str) -> None:
    """Serve without TLS."""
    serve.run(Held(), address=address, insecure=True)


if __name__ == "__main__":
    main()
