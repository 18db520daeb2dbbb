"""The server: the SDK's options and services, and what the SDK's own server leaves out.

That is a health service, a port that no second process can share, JSON lines at every log level, a stop that lets calls
in hand finish, and a start that either works or says in one line why not, with an exit status that is not 0.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import grpc
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from function import logs
from function.logs import log

if TYPE_CHECKING:
    from function.fn import FunctionRunner

STOP_SECONDS = 10  # how long calls in hand may take; a call takes less than a millisecond
FAILED = 3
MEGABYTE = 1024 * 1024
MAX_PORT = 65535  # gRPC would take a larger one modulo 65536
LAST_CALLS_SECONDS = 1  # gRPC would cancel calls that have arrived and are not being worked on yet
# v1beta1 is an older name of the same service: its messages are the same on the wire.
FUNCTION_SERVICES = tuple(f"apiextensions.fn.proto.{v}.FunctionRunnerService" for v in ("v1", "v1beta1"))
SERVICES = (*FUNCTION_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)


class StartError(Exception):
    """The server cannot start, and the message says why."""


def run(
    runner: FunctionRunner,
    *,
    address: str,
    tls_certs_dir: str | None = None,
    insecure: bool = False,
    debug: bool = False,
    max_recv_message_size: int = 4,
    max_send_message_size: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Options are those of `crossplane.function.cli`; sizes are in MB.

    Raises:
        SystemExit: the server could not start; one line on stderr says why.
    """
    logs.configure(debug=debug)
    sizes = {"receive": max_recv_message_size, "send": max_send_message_size or max_recv_message_size}
    options = [(f"grpc.max_{way}_message_length", size * MEGABYTE) for way, size in sizes.items()]
    try:
        credentials = None if insecure else load_credentials(tls_certs_dir)
        asyncio.run(_serve(runner, address, credentials, [*options, ("grpc.so_reuseport", 0)]))
    except StartError as error:
        _fail(str(error))


def load_credentials(directory: str | None) -> grpc.ServerCredentials:
    """Credentials for mTLS out of tls.crt, tls.key and ca.crt, as Crossplane mounts them.

    Raises:
        StartError: there are none, or gRPC would refuse every call with them.
    """
    if not directory:
        msg = "no credentials: give --tls-certs-dir, or --insecure to serve without TLS"
        raise StartError(msg)
    certificate, key, authority = (Path(directory, name) for name in ("tls.crt", "tls.key", "ca.crt"))
    try:
        pair, trusted = (key.read_bytes(), certificate.read_bytes()), authority.read_bytes()
    except OSError as error:
        msg = f"--tls-certs-dir: cannot read {error.filename}: {error.strerror}"
        raise StartError(msg) from error
    # gRPC takes anything here, and then fails every handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=b"")
    except (ssl.SSLError, ValueError) as error:
        msg = f"--tls-certs-dir: {certificate} and {key} are not a PEM certificate and its own, unencrypted key"
        raise StartError(msg) from error
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        msg = f"--tls-certs-dir: {authority} is not a PEM certificate"
        raise StartError(msg) from error
    return grpc.ssl_server_credentials([pair], root_certificates=trusted, require_client_auth=True)


async def _serve(
    runner: FunctionRunner, address: str, credentials: grpc.ServerCredentials | None, options: list[tuple[str, int]]
) -> None:
    server = grpc.aio.server(options=options)
    for service in FUNCTION_SERVICES:
        server.add_registered_method_handlers(service, {"RunFunction": _handler(runner)})
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection(SERVICES, server)
    for service in SERVICES:
        await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = _listen(server, address, credentials)
    await server.start()
    log.info("serving", extra=logs.fields(address=address, port=port, tls=credentials is not None))
    await stop.wait()
    await checks.enter_graceful_shutdown()
    await asyncio.sleep(LAST_CALLS_SECONDS)
    await server.stop(STOP_SECONDS)
    log.info("stopped")


def _handler(runner: FunctionRunner) -> grpc.RpcMethodHandler:
    """The runner's one method; bytes that are no request get a fatal result, where the SDK's code fails the call."""
    undecodable = fnv1.RunFunctionResponse()
    told = "the request cannot be decoded: it is malformed, or nested too deeply"
    undecodable.results.add(severity=fnv1.SEVERITY_FATAL, reason="Undecodable", message=told)

    def decode(received: bytes) -> fnv1.RunFunctionRequest | None:
        try:
            return fnv1.RunFunctionRequest.FromString(received)
        except DecodeError:
            return None

    async def answer(
        request: fnv1.RunFunctionRequest | None, context: grpc.aio.ServicerContext
    ) -> fnv1.RunFunctionResponse:
        if request is None:
            log.warning("undecodable")
            return undecodable
        return await runner.RunFunction(request, context)

    return grpc.unary_unary_rpc_method_handler(answer, decode, fnv1.RunFunctionResponse.SerializeToString)


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    """Bind, and return the port, which is another than the address's where that is 0."""
    _check_free(address)
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        msg = f"--address: cannot listen on {address}"
        raise StartError(msg) from error
    return int(port)


def _check_free(address: str) -> None:
    """Bind once without gRPC, which writes its own account of a failure to stderr and does not say why.

    Raises:
        StartError: why nothing can listen there.
    """
    if address.startswith(("unix:", "unix-abstract:")):
        return
    host, _, port = address.removeprefix("dns:///").rpartition(":")
    if not (host and port.isdecimal() and int(port) <= MAX_PORT):
        msg = f"--address: {address!r} is not HOST:PORT, such as 0.0.0.0:9443"
        raise StartError(msg)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        msg = f"--address: cannot listen on {address}: {error.strerror}"
        raise StartError(msg) from error


def _fail(why: str) -> NoReturn:
    with suppress(OSError):  # a stderr that is gone must not turn this into a traceback
        sys.stderr.write(f"cannot serve: {why}\n")
    raise SystemExit(FAILED)
