"""The server as a process: who may call it, how it starts, how it says why not, and how it ends."""

import asyncio
import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1
from crossplane.function.proto.v1beta1 import run_function_pb2 as fnv1beta1
from crossplane.function.proto.v1beta1 import run_function_pb2_grpc as grpcv1beta1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.calls import NINE, RUNNING, SIZES, composite, objects, request

pytestmark = pytest.mark.slow
COMMAND = [str(Path(sys.executable).with_name("function-agent-executor")), "serve"]
HELD = str(Path(__file__).parents[1] / "support" / "held_function.py")
SERVICE = "apiextensions.fn.proto.v1.FunctionRunnerService"
DEADLINE = 30


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def server(*options, environment=None, command=COMMAND):
    """A running server: its address and its process, whose standard output is the log."""
    process = subprocess.Popen(
        [*command, "--address", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        first = process.stdout.readline()
        assert first, process.stderr.read()
        line = json.loads(first)
        assert line["msg"] == "serving"
        yield f"127.0.0.1:{line['port']}", process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def run(channel, sent=None, timeout=DEADLINE):
    sent = sent or request(composite(), RUNNING)
    return grpcv1.FunctionRunnerServiceStub(channel).RunFunction(sent, timeout=timeout, wait_for_ready=True)


@pytest.fixture(scope="module")
def insecure():
    with server("--insecure", "--debug") as (address, process), grpc.insecure_channel(address) as channel:
        run(channel)
        yield address, process, channel


def test_it_answers(insecure):
    sent = request(composite(scaling={"minReplicas": 2}), RUNNING)
    assert sorted(objects(run(insecure[2], sent))) == NINE


def test_it_answers_older_crossplanes(insecure):
    sent = fnv1beta1.RunFunctionRequest.FromString(request(composite(), RUNNING).SerializeToString())
    answer = grpcv1beta1.FunctionRunnerServiceStub(insecure[2]).RunFunction(sent, timeout=DEADLINE)
    assert answer.SerializeToString(deterministic=True) == run(insecure[2]).SerializeToString(deterministic=True)


@pytest.mark.parametrize("service", ["", SERVICE, "apiextensions.fn.proto.v1beta1.FunctionRunnerService"])
def test_it_says_that_it_is_healthy(insecure, service):
    asked = health_pb2.HealthCheckRequest(service=service)
    answer = health_pb2_grpc.HealthStub(insecure[2]).Check(asked, timeout=DEADLINE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_it_lists_its_services(insecure):
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(insecure[2]).ServerReflectionInfo(asked, timeout=DEADLINE)
    assert {SERVICE, "grpc.health.v1.Health"} <= {found.name for found in answer.list_services_response.service}


def test_every_call_is_one_json_line_that_names_the_claim():
    with server("--insecure", "--debug") as (address, process), grpc.insecure_channel(address) as channel:
        run(channel)
        run(channel, request(composite(size="huge")))
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [(line["level"], line["msg"], line["xr"], line["namespace"], line["claim"]) for line in lines] == [
        (level, message, "agent-executor-x7k2p", "intelligence-deepagents", "agent-executor")
        for level, message in (("debug", "answered"), ("warning", "refused"), ("debug", "answered"))
    ]
    assert lines[1]["faults"] == [f"spec.size: 'huge' is not one of {SIZES}"]


async def test_sixty_four_claims_at_once_are_never_mixed(insecure):
    async with grpc.aio.insecure_channel(insecure[0]) as channel:
        stub = grpcv1.FunctionRunnerServiceStub(channel)

        async def one(number):
            sent = request(composite(f"claim-{number}", f"team-{number}", image=f"ghcr.io/org/app:v{number}"), RUNNING)
            for _ in range(5):
                made = objects(await stub.RunFunction(sent, timeout=DEADLINE))
                assert {found["metadata"]["namespace"] for found in made.values()} == {f"team-{number}"}
                assert made["deployment"]["metadata"]["name"] == f"claim-{number}"
                pod = made["deployment"]["spec"]["template"]["spec"]
                assert {c["image"] for c in pod["containers"] + pod["initContainers"]} == {f"ghcr.io/org/app:v{number}"}

        await asyncio.gather(*map(one, range(64)))


def nested(depth):
    sent = request(composite())
    node = sent.observed.composite.resource.fields["spec"].struct_value.fields["env"]
    for _ in range(depth):
        node = node.list_value.values.add()
    return sent.SerializeToString()


@pytest.mark.parametrize("sent", [b"\xff\xff\xff", b"\x12\x7f", nested(200)], ids=["garbage", "cut off", "too deep"])
def test_bytes_that_are_no_request_are_a_fatal_result(insecure, sent):
    call = insecure[2].unary_unary(f"/{SERVICE}/RunFunction", response_deserializer=fnv1.RunFunctionResponse.FromString)
    (result,) = call(sent, timeout=DEADLINE).results
    assert (result.severity, result.reason) == (fnv1.SEVERITY_FATAL, "Undecodable")


def test_a_deep_claim_is_refused_like_any_other(insecure):
    answer = run(insecure[2], fnv1.RunFunctionRequest.FromString(nested(30)))
    assert "spec.env" in answer.results[0].message


def test_a_request_above_the_limit_is_refused_and_a_raised_limit_takes_it():
    large = request(composite(), {"other": {"data": "x" * 5_000_000}})
    with server("--insecure") as (address, _), grpc.insecure_channel(address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            run(channel, large)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with (
        server("--insecure", "--max-recv-message-size", "8") as (address, _),
        grpc.insecure_channel(address) as channel,
    ):
        assert run(channel, large).conditions


def test_a_response_above_the_limit_for_sending_is_refused_and_one_below_is_sent():
    def echoed(size):
        sent = request(composite(), RUNNING)
        sent.desired.resources["other"].resource.update({"data": "x" * size})
        return sent

    with (
        server("--insecure", "--max-send-message-size", "1") as (address, _),
        grpc.insecure_channel(address) as channel,
    ):
        with pytest.raises(grpc.RpcError) as refused:
            run(channel, echoed(2_000_000))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "other" in objects(run(channel, echoed(900_000)))


def is_refused(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_call_that_is_still_worked_on_when_the_server_stops_is_answered():
    with (
        server(command=[sys.executable, HELD]) as (address, process),
        grpc.insecure_channel(address) as channel,
    ):
        stub = grpcv1.FunctionRunnerServiceStub(channel)
        held = stub.RunFunction.future(request(composite(), RUNNING), timeout=DEADLINE, wait_for_ready=True)
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + DEADLINE
        while not is_refused(address):  # from then on the call has the grace of the stop, and nothing else
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        assert held.result().conditions
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["msg"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_finishes_calls_in_hand_and_ends_with_0(number):
    with server("--insecure") as (address, process), grpc.insecure_channel(address) as channel:
        run(channel)
        stub = grpcv1.FunctionRunnerServiceStub(channel)
        calls = [stub.RunFunction.future(request(composite(f"c-{n}"), RUNNING), timeout=DEADLINE) for n in range(50)]
        calls[0].result()
        process.send_signal(number)
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["msg"] == "stopped"


class Authority:
    """A certificate authority that writes directories as Crossplane mounts them."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
        self.certificate = self._sign(
            self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None)
        )

    def _sign(self, subject, public, *extensions):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
            now + datetime.timedelta(hours=1)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name):
        """A directory of tls.crt, tls.key and ca.crt."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        directory = self.directory / name
        directory.mkdir(parents=True)
        pem = serialization.Encoding.PEM
        (directory / "tls.crt").write_bytes(self._sign(subject, key.public_key(), names).public_bytes(pem))
        (directory / "tls.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        (directory / "ca.crt").write_bytes(self.certificate.public_bytes(pem))
        return directory


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def mutual(authority):
    with server("--tls-certs-dir", str(authority.issue("function"))) as (address, _):
        yield address


def credentials(trusted, own=None):
    pair = ((own / "tls.key").read_bytes(), (own / "tls.crt").read_bytes()) if own else (None, None)
    return grpc.ssl_channel_credentials((trusted / "ca.crt").read_bytes(), *pair)


def test_a_caller_with_a_certificate_of_the_same_authority_is_answered(authority, mutual):
    own = authority.issue("crossplane")
    with grpc.secure_channel(mutual, credentials(own, own)) as channel:
        assert run(channel).conditions


def test_certificates_can_be_named_as_crossplane_names_them(authority):
    own = authority.issue("named")
    with (
        server(environment={"TLS_SERVER_CERTS_DIR": str(own)}) as (address, _),
        grpc.secure_channel(address, credentials(own, own)) as channel,
    ):
        assert run(channel).conditions


def refused(channel):
    with channel, pytest.raises(grpc.RpcError) as error:
        grpcv1.FunctionRunnerServiceStub(channel).RunFunction(fnv1.RunFunctionRequest(), timeout=DEADLINE)
    return error.value.code()


def test_a_caller_without_a_certificate_is_refused(authority, mutual):
    trusted = authority.directory / "function"
    assert refused(grpc.secure_channel(mutual, credentials(trusted))) is grpc.StatusCode.UNAVAILABLE


def test_a_caller_of_another_authority_is_refused(authority, mutual, tmp_path):
    stranger = Authority(tmp_path).issue("stranger")
    code = refused(grpc.secure_channel(mutual, credentials(authority.directory / "function", stranger)))
    assert code is grpc.StatusCode.UNAVAILABLE


def test_a_caller_without_tls_is_refused(mutual):
    assert refused(grpc.insecure_channel(mutual)) is grpc.StatusCode.UNAVAILABLE


def garbled(name, content):
    def directory(authority, tmp_path):
        own = Authority(tmp_path).issue("own")
        (own / name).write_bytes(content(authority) if callable(content) else content)
        return ["--tls-certs-dir", str(own)]

    return directory


def missing(authority, tmp_path):
    own = Authority(tmp_path).issue("own")
    (own / "ca.crt").unlink()
    return ["--tls-certs-dir", str(own)]


STARTS = {
    "no credentials": (lambda *_: [], "no credentials: give --tls-certs-dir, or --insecure to serve without TLS"),
    "no such directory": (
        lambda *_: ["--tls-certs-dir", "/no/such"],
        "cannot read /no/such/tls.key: No such file or directory",
    ),
    "no authority": (missing, "ca.crt: No such file or directory"),
    "a garbled certificate": (garbled("tls.crt", b"garbage"), "are not a PEM certificate and its own, unencrypted key"),
    "a garbled key": (garbled("tls.key", b"garbage"), "are not a PEM certificate and its own, unencrypted key"),
    "another's key": (
        garbled("tls.key", lambda authority: (authority.issue("other") / "tls.key").read_bytes()),
        "are not a PEM certificate and its own, unencrypted key",
    ),
    "a garbled authority": (garbled("ca.crt", b"garbage"), "ca.crt is not a PEM certificate"),
    "an empty authority": (garbled("ca.crt", b""), "ca.crt is not a PEM certificate"),
    "no port": (lambda *_: ["--insecure", "--address", "nowhere"], "--address: 'nowhere' is not HOST:PORT"),
    "a port too many": (lambda *_: ["--insecure", "--address", "127.0.0.1:70000"], "is not HOST:PORT"),
    "no such address": (lambda *_: ["--insecure", "--address", "192.0.2.1:9443"], "Cannot assign requested address"),
}


@pytest.mark.parametrize(("options", "says"), STARTS.values(), ids=STARTS)
def test_a_start_that_fails_says_why_in_one_line(authority, tmp_path, options, says):
    address = ["--address", f"127.0.0.1:{free_port()}"]
    ended = subprocess.run(
        [*COMMAND, *address, *options(authority, tmp_path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert says in line


def test_a_port_that_is_taken_is_not_shared(insecure):
    ended = subprocess.run(
        [*COMMAND, "--insecure", "--address", insecure[0]],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr == f"cannot serve: --address: cannot listen on {insecure[0]}: Address already in use\n"


@pytest.mark.slow
def test_ten_thousand_calls_leave_the_memory_as_it_was():
    with server("--insecure") as (address, process), grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/RunFunction")
        sent = request(composite("claim-00000", scaling={"minReplicas": 2}), RUNNING).SerializeToString()
        rss = []
        for number in range(10_000):
            # Every other call is a new claim, so the memos are full, and turn over, from the first quarter on.
            call(sent if number % 2 else sent.replace(b"claim-00000", b"claim-%05d" % number), timeout=DEADLINE)
            if number % 2500 == 2499:
                rss.append(psutil.Process(process.pid).memory_info().rss / 2**20)
    assert rss[-1] - rss[0] < 2, rss


def test_nothing_is_left_running():
    deadline = time.monotonic() + DEADLINE
    with server("--insecure") as (_, process):
        pid = process.pid
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
