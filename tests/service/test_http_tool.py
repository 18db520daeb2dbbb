"""`http_request` asks public addresses of allowed hosts, and tells nobody what was meant for another."""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent_executor.services import http_tool, web

Answer = Callable[[str, dict[str, str], bytes], bytes]

PUBLIC = (
    "93.184.215.14", "192.0.1.1", "100.128.0.1", "223.255.255.255", "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "2001:200::1", "2003::1", "3ffe:ffff::1", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14",
)  # fmt: skip
NOT_PUBLIC = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "2002:0a00:0001::1", "64:ff9b::a00:1", "fd00:ec2::254", "2001:db8::1",
    # What one release of Python or another takes for public.
    "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.88.99.1", "203.0.113.1", "239.255.255.250", "240.0.0.1",
    "fec0::1", "64:ff9b:1::7f00:1", "64:ff9b:1:a00::1", "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1",
    "::ffff:0:5db8:d70e", "3fff::1", "3fff:fff:ffff::1", "5f00::1", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1",
    "2001:10::1", "2001:1ff:ffff::1", "2002:5db8:d70e::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "4000::1",
    "fdff::1", "febf::1", "ff0e::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:0:0:1::1",
    # Where clouds keep credentials.
    "168.63.129.16", "fd20:ce::254", "100.100.100.200",
)  # fmt: skip
ALLOWED = {
    "a name": ("https://api.example.com/x", ["api.example.com"], True),
    "its letters in another case, and a last dot": ("https://API.example.com./", ["api.example.COM"], True),
    "another name": ("https://evil.example.com/", ["api.example.com"], False),
    "a name that ends like it": ("https://notexample.com/", ["*.example.com"], False),
    "a name below": ("https://a.b.example.com/", ["*.example.com"], True),
    "the name itself under a star": ("https://example.com/", ["*.example.com"], False),
    "another port": ("https://api.example.com:8443/", ["api.example.com"], False),
    "a port that is named": ("https://api.example.com:8443/", ["api.example.com:8443"], True),
    "the scheme's port beside a named one": ("https://api.example.com/", ["api.example.com:8443"], False),
    "an IPv6 address": ("https://[2606:2800::1]/", ["[2606:2800::1]"], True),
    "an IPv6 address with a port": ("http://[2606:2800::1]:81/", ["[2606:2800::1]:81"], True),
    "a user": ("https://user:secret@api.example.com/", ["api.example.com"], False),
    "a name in the user": ("https://api.example.com@evil.com/", ["api.example.com"], False),
    "a file": ("file:///etc/passwd", ["api.example.com"], False),
    "no host": ("https:///x", ["api.example.com"], False),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address(address: str) -> None:
    assert web.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not web.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("own_tables_say", [True, False])
def test_what_is_public_is_the_same_in_every_release_of_python(
    monkeypatch: pytest.MonkeyPatch, own_tables_say: bool
) -> None:
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", own_tables_say)
        for name in ("is_private", "is_reserved", "is_multicast", "is_loopback", "is_link_local", "is_unspecified"):
            monkeypatch.setattr(kind, name, not own_tables_say)

    assert [each for each in PUBLIC if not web.is_public(ipaddress.ip_address(each))] == []
    assert [each for each in NOT_PUBLIC if web.is_public(ipaddress.ip_address(each))] == []


NO_HOSTS = (
    "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "fd00:ec2::254", "fd00:ec2::23",
    "fd20:ce::254", "168.63.129.16", "100.100.100.200", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254",
    "::ffff:0:a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
)  # fmt: skip


@pytest.mark.parametrize("address", NO_HOSTS)
def test_an_address_that_no_platform_means(address: str) -> None:
    assert not web.is_a_host(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::ffff:10.0.0.1", *PUBLIC])
def test_an_address_that_a_platform_may_mean(address: str) -> None:
    assert web.is_a_host(ipaddress.ip_address(address))


@pytest.mark.parametrize(("url", "hosts", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_the_hosts_of_a_list(url: str, hosts: list[str], allowed: bool) -> None:
    if allowed:
        web.check(httpx.URL(url), hosts)
    else:
        with pytest.raises(web.Refused) as caught:
            web.check(httpx.URL(url), hosts)
        assert "secret" not in str(caught.value)


async def test_the_systems_certificates_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, made = [], ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: read.append(1) or made())
    async with server(lambda line, headers, body: reply(200, b"", {})) as port:
        for _ in range(3):
            assert (await ask(port, "http://a.test:PORT/"))["status"] == 200
    assert len(read) <= 1, "or never, by a request before this one"


def test_without_hosts_there_is_no_tool() -> None:
    assert http_tool.create(()) is None


async def test_a_request_and_its_answer() -> None:
    async with server(lambda line, headers, body: reply(201, b"made " + body, {"etag": '"1"'})) as port:
        done = await ask(port, "http://a.test:PORT/x?y=1", method="POST", headers={"X-A": "b"}, body="é")

    assert done == {
        "status": 201,
        "url": f"http://a.test:{port}/x?y=1",
        "headers": {"content-type": "text/plain", "etag": '"1"'},
        "body": "made é",
        "truncated": False,
    }


async def test_the_server_sees_the_name_and_no_compression_is_asked_for() -> None:
    async with server(lambda line, headers, body: reply(200, json.dumps([line, headers]).encode())) as port:
        line, headers = json.loads((await ask(port, "http://a.test:PORT/"))["body"])

    assert line == "GET / HTTP/1.1"
    assert headers == {"host": f"a.test:{port}", "user-agent": "agent-executor", "accept-encoding": "identity"}


async def test_a_long_answer_is_cut_and_said_to_be() -> None:
    async with server(lambda *_: reply(200, b"x" * (3 << 20))) as port:
        done = await ask(port, "http://a.test:PORT/")

    assert (len(done["body"]), done["truncated"]) == (http_tool.BODY_BYTES, True)


CHARSETS = {
    "utf-8": ("é", "utf-8"),
    "ISO-8859-1": ("é", "latin-1"),
    '"windows-1252"': ("€", "cp1252"),
    "Shift_JIS": ("日本", "shift_jis"),
    "gb18030": ("中文", "gb18030"),
    "koi8-r": ("да", "koi8-r"),
    "utf-16": ("é", "utf-16"),
    "utf-16 without its mark": ("é", "utf-16-le"),
    "utf-32be": ("é", "utf-32-be"),
}
UNKNOWN = ("punycode", "utf-7", "idna", "unicode_escape", "rot13", "hex", "iso-8859-12", "made-up", "")
NO_CHARSETS = (*(f"charset={name}" for name in UNKNOWN), "charset*=punycode''a9a9", "charset")


@pytest.mark.parametrize(("charset", "text", "codec"), [(name, *each) for name, each in CHARSETS.items()])
async def test_an_answer_in(charset: str, text: str, codec: str) -> None:
    sent = {"content-type": f"text/html; Charset={charset.partition(' ')[0]}; x=y"}
    async with server(lambda *_: reply(200, text.encode(codec), sent)) as port:
        assert (await ask(port, "http://a.test:PORT/"))["body"] == text


@pytest.mark.parametrize("parameter", NO_CHARSETS)
async def test_an_answer_in_no_character_set_of_text_is_read_as_utf_8(parameter: str) -> None:
    sent = {"content-type": f"text/html; {parameter}"}
    async with server(lambda *_: reply(200, "a-é-".encode() + b"\xff", sent)) as port:
        assert (await ask(port, "http://a.test:PORT/"))["body"] == "a-é-\ufffd"


@pytest.mark.parametrize("length", [9000, 9001, http_tool.BODY_BYTES + 1])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "gb18030", "euc-jp"])
async def test_a_long_answer_is_read_as_a_short_one_is(codec: str, length: int) -> None:
    body = ("aé中" * length).encode(codec)[:length]
    sent = {"content-type": f"text/html; charset={codec}"}
    async with server(lambda *_: reply(200, body, sent)) as port:
        done = await ask(port, "http://a.test:PORT/")

    assert done["body"] == body[: http_tool.BODY_BYTES].decode(codec, "replace")


async def test_no_answer_holds_up_the_event_loop() -> None:
    body = b"\xff" * http_tool.BODY_BYTES  # no byte is a letter of ISO 8859-7: as slow as an ordinary codec gets
    began = time.perf_counter()
    body.decode("iso-8859-7", "replace")
    whole = time.perf_counter() - began
    lags: list[float] = []

    async def watch() -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - asked)

    sent = {"content-type": "text/html; charset=iso-8859-7"}
    async with server(lambda *_: reply(200, body, sent)) as port:
        watching = asyncio.create_task(watch())
        done = await ask(port, "http://a.test:PORT/")
        await asyncio.sleep(0.01)  # it looks once more
        watching.cancel()

    assert done["body"] == "\ufffd" * len(body)
    assert max(lags) < whole / 2


async def test_a_long_content_type_holds_nothing_up() -> None:
    sent = {"content-type": "text/html" + ";" * 98_000}
    began = time.process_time()
    assert httpx.Response(200, headers=sent).charset_encoding is None  # the library's own way
    library = time.process_time() - began
    async with server(lambda *_: reply(200, b"x", sent)) as port:
        began = time.process_time()
        done = await ask(port, "http://a.test:PORT/")
        own = time.process_time() - began

    assert (done["body"], len(done["headers"]["content-type"])) == ("x", 2000)
    assert own < max(library / 2, 0.2), (own, library)


async def test_a_name_with_one_private_address_is_refused_and_not_connected_to() -> None:
    async with server(lambda *_: pytest.fail("it was asked")) as port:
        said = await ask(port, "http://a.test:PORT/", judge=web.is_public, addresses=("93.184.215.14", "127.0.0.1"))

    assert (
        said == "The request was refused: 'a.test' is at an address that may not be asked (private, local or reserved)"
    )


async def test_an_address_in_the_url_is_judged_too() -> None:
    said = await ask(80, "http://169.254.169.254/latest/meta-data", hosts=["169.254.169.254"], judge=web.is_public)

    assert "may not be asked" in said


async def test_the_name_is_looked_up_once_so_that_it_cannot_change_after_the_check() -> None:
    asked = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with server(lambda *_: reply(200, b"first")) as port:
        done = await ask(port, "http://a.test:PORT/", lookup=lookup)

    assert (done["body"], asked) == ("first", ["a.test"])


async def test_a_redirect_to_a_host_that_is_not_allowed_is_refused() -> None:
    async with server(lambda *_: reply(302, b"", {"location": "http://evil.test/"})) as port:
        said = await ask(port, "http://a.test:PORT/")

    assert said == "The request was refused: 'evil.test:80' is not among the hosts that this platform allows"


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.1" if host == "a.test" else "10.0.0.1"]

    async with server(lambda *_: reply(302, b"", {"location": "http://b.test/"})) as port:
        said = await ask(port, "http://a.test:PORT/", hosts=[f"a.test:{port}", "b.test"], lookup=lookup, judge=loopback)

    assert "'b.test' is at an address that may not be asked" in said


async def test_a_redirect_to_another_origin_takes_no_secrets_along() -> None:
    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        if headers["host"].startswith("a.test"):
            port = headers["host"].partition(":")[2]
            return reply(302, b"", {"location": f"http://b.test:{port}/", "set-cookie": "a=b"})
        return reply(200, json.dumps(headers).encode())

    async with server(answer) as port:
        sent = {"Authorization": "Bearer s", "Cookie": "s", "X-Api-Key": "s", "Accept": "text/plain"}
        done = await ask(port, "http://a.test:PORT/", headers=sent)

    assert json.loads(done["body"]) == {
        "host": f"b.test:{port}",
        "user-agent": "agent-executor",
        "accept": "text/plain",
        "accept-encoding": "identity",
    }


async def test_a_redirect_within_an_origin_keeps_the_headers_and_after_303_drops_the_body() -> None:
    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        if line.startswith("POST"):
            return reply(303, b"", {"location": "/next"})
        return reply(200, json.dumps([line, headers.get("authorization"), body.decode()]).encode())

    async with server(answer) as port:
        done = await ask(port, "http://a.test:PORT/", method="POST", body="x", headers={"Authorization": "s"})

    assert json.loads(done["body"]) == ["GET /next HTTP/1.1", "s", ""]


async def test_a_body_does_not_follow_to_another_origin() -> None:
    async with server(lambda *_: reply(307, b"", {"location": "http://b.test/"})) as port:
        said = await ask(port, "http://a.test:PORT/", method="POST", body="x", hosts=[f"a.test:{port}", "b.test"])

    assert said == "The request was refused: the server redirected a request with a body to another origin"


async def test_redirects_end() -> None:
    async with server(lambda *_: reply(302, b"", {"location": "/"})) as port:
        assert "redirected more than 5 times" in await ask(port, "http://a.test:PORT/")


BAD = {
    "a header of the connection": ({"headers": {"Host": "b.test"}}, "the header 'Host' is set by the connection"),
    "a proxy's header": ({"headers": {"Proxy-Authorization": "x"}}, "is set by the connection"),
    "a header that would be two": ({"headers": {"X": "a\r\nY: b"}}, "failed"),
    "a body that is too large": ({"body": "x" * (2 << 20), "method": "POST"}, "larger than"),
    "a method of its own": ({"method": "TRACE"}, "Input should be 'GET'"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
async def test_a_request_is_refused_for(arguments: dict[str, Any], said: str) -> None:
    async with server(lambda *_: reply(200, b"it was sent")) as port:
        if "method" in arguments and arguments["method"] == "TRACE":
            with pytest.raises(ValueError, match=said):
                await ask(port, "http://a.test:PORT/", **arguments)
        else:
            assert said in await ask(port, "http://a.test:PORT/", **arguments)


WRONG = {
    "cuts its answer": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", "The request failed: RemoteProtocolError"),
    "speaks no HTTP": (b"SSH-2.0-x\r\n", "The request failed: RemoteProtocolError"),
    "says nothing": (b"", "The request failed: RemoteProtocolError"),
    "compresses": (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "compressed its answer"),
}


@pytest.mark.parametrize(("raw", "said"), WRONG.values(), ids=WRONG)
async def test_the_model_is_told_of_a_server_that(raw: bytes, said: str) -> None:
    async with server(lambda *_: raw) as port:
        assert said in await ask(port, "http://a.test:PORT/")


async def test_a_server_that_is_not_there_and_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    monkeypatch.setattr(http_tool, "SECONDS", 0.2)
    late = await ask(port, "http://a.test:PORT/")
    listening.close()
    await listening.wait_closed()

    assert late in ("The request took longer than 0.2 s", "The request failed: ReadTimeout: ")
    assert (await ask(port, "http://a.test:PORT/")).startswith("The request failed: ConnectError")


async def test_tls_is_checked_against_the_name(tmp_path: Path) -> None:
    serving, asking = certificates(tmp_path, "a.test")
    async with server(lambda *_: reply(200, b"safe"), serving) as port:
        hosts = [f"a.test:{port}", f"b.test:{port}"]
        good = await ask(port, "https://a.test:PORT/", hosts=hosts, context=asking)
        wrong_name = await ask(port, "https://b.test:PORT/", hosts=hosts, context=asking)
        unknown = await ask(port, "https://a.test:PORT/", hosts=hosts)

    assert good["body"] == "safe"
    assert "CERTIFICATE_VERIFY_FAILED" in wrong_name
    assert "CERTIFICATE_VERIFY_FAILED" in unknown


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    serving, asking = certificates(tmp_path, "a.test")
    async with server(lambda *_: reply(302, b"", {"location": "http://a.test/"}), serving) as port:
        said = await ask(port, "https://a.test:PORT/", context=asking)

    assert "from https to something weaker" in said


def loopback(address: web.Address) -> bool:
    """Stands for "public" where the server is on this machine."""
    return address.is_loopback


async def ask(
    port: int,
    url: str,
    *,
    hosts: list[str] | None = None,
    addresses: tuple[str, ...] = ("127.0.0.1",),
    judge: Callable[[web.Address], bool] = loopback,
    lookup: web.Lookup | None = None,
    context: ssl.SSLContext | None = None,
    **arguments: Any,
) -> Any:
    """The tool's answer, read as JSON where it is an answer."""

    async def fixed(host: str, port: int) -> tuple[str, ...]:
        return addresses

    hosts = hosts or [f"a.test:{port}", f"b.test:{port}"]
    tool = http_tool.create(hosts, judge=judge, lookup=lookup or fixed, context=context)
    assert tool is not None
    done = await tool.ainvoke({"url": url.replace("PORT", str(port)), **arguments})
    return json.loads(done) if done.startswith("{") else done


def reply(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = {"content-type": "text/plain", "content-length": str(len(body)), **(headers or {})}
    head = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def server(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """An HTTP server on loopback, one answer per connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # whoever asked has gone
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            headers.pop("content-length", None)
            writer.write(answer(head[0], headers, body))
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


def certificates(directory: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for a name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return serving, ssl.create_default_context(cafile=str(directory / "cert.pem"))


async def test_names_that_are_looked_up_for_long_keep_no_thread_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    many = 40  # more than the loop's own executor ever has threads
    hanging = [asyncio.create_task(web.lookup(f"a{i}.test", 80)) for i in range(many)]
    await asyncio.sleep(0)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 5) == "done"
    finally:
        answered.set()
    ends = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(end) for end in ends] == [socket.gaierror] * many
