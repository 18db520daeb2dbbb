"""The built-in tool `http_request`: one HTTP request of an agent, to public addresses of allowed hosts only.

Redirects are followed here, one checked request each: to another origin go neither the caller's headers nor a body,
and never from https back to http. Nothing is kept between calls, so no cookie or connection of one job reaches
another. What goes wrong is text for the model. Imports LangChain, so it is imported late.
"""

import asyncio
import codecs
import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import httpx
from langchain_core.tools import BaseTool, StructuredTool, ToolException

from agent_executor.errors import shown
from agent_executor.services import web

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
SECONDS = 30.0
REDIRECTS = 5
BODY_BYTES = 1024 * 1024  # of a request, and of an answer, which is cut there
HEADERS = 50
# Set by the connection itself, or meant for proxies: a caller who sets them smuggles or lies.
NOT_THE_CALLERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
HARMLESS = frozenset({"accept", "accept-language", "user-agent"})  # may follow a redirect to another origin
SHOWN = ("content-type", "location", "retry-after", "etag", "last-modified", "link", "www-authenticate")
# A server chooses among codecs of ordinary text, by few enough names: Python has others that take seconds for a body
# (punycode: 44 for a megabyte), and remembers for ever each name it was asked for.
CHARSETS = re.compile(
    r"utf-?8|utf-?(16|32)|utf-(16|32)-?[bl]e|(us-)?ascii|latin-?\d|iso-?8859-\d{1,2}|(windows-|cp)125\d|shift-jis|sjis"
    r"|euc-(jp|kr|cn)|gb2312|gbk|gb18030|big5(-hkscs)?|koi8-[ru]"
)
# Not by the library's parser, which takes seconds for a long header of semicolons.
CHARSET = re.compile(r";[ \t]*charset[ \t]*=[ \t]*\"?([A-Za-z0-9_-]+)", re.IGNORECASE)
HEADER_CHARACTERS = 2000
PIECE = 8192  # bytes decoded at one go: 10 ms at worst, where no byte is a character
MARKS = {"utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)}
DESCRIPTION = """Send one HTTP request and read the answer.

The answer is JSON: `status`, `url` (after redirects), `headers` (some), `body` (text), `truncated`.
Allowed hosts: {hosts}."""


def create(
    hosts: Sequence[str],
    *,
    judge: Callable[[web.Address], bool] = web.is_public,
    lookup: web.Lookup = web.lookup,
    context: ssl.SSLContext | None = None,
) -> BaseTool | None:
    """The tool for these hosts; None when there are none. The other arguments are the outside world, for tests."""
    if not hosts:
        return None

    async def http_request(
        url: str, method: Method = "GET", headers: dict[str, str] | None = None, body: str | None = None
    ) -> str:
        transport = web.CheckedTransport(hosts, judge, lookup=lookup, context=context)
        try:
            async with asyncio.timeout(SECONDS), transport:
                return json.dumps(await _ask(transport, _request(method, url, headers or {}, body)))
        except web.Refused as error:
            raise ToolException(f"The request was refused: {error}") from error
        except TimeoutError as error:
            raise ToolException(f"The request took longer than {SECONDS:g} s") from error
        except httpx.HTTPError as error:
            raise ToolException(f"The request failed: {type(error).__name__}: {str(error)[:200]}") from error

    return StructuredTool.from_function(
        coroutine=http_request,
        name="http_request",
        description=DESCRIPTION.format(hosts=", ".join(hosts)),
        handle_tool_error=True,
    )


def _request(method: str, url: str, headers: Mapping[str, str], body: str | None) -> httpx.Request:
    for name in headers:
        if name.lower() in NOT_THE_CALLERS or name.lower().startswith("proxy-"):
            raise web.Refused(f"the header {shown(name)} is set by the connection, and leaving it out would be right")
    content = (body or "").encode(errors="replace")
    if len(content) > BODY_BYTES or len(headers) > HEADERS:
        raise web.Refused(f"the request is larger than {BODY_BYTES} bytes or has more than {HEADERS} headers")
    try:
        sent = {"user-agent": "agent-executor", **headers, "accept-encoding": "identity"}
        return httpx.Request(method, url, headers=sent, content=content or None)
    except (httpx.InvalidURL, ValueError) as error:
        raise web.Refused(f"the URL or a header is malformed: {str(error)[:200]}") from error


async def _ask(transport: web.CheckedTransport, request: httpx.Request) -> dict[str, Any]:
    for _ in range(REDIRECTS + 1):
        request.extensions["timeout"] = httpx.Timeout(SECONDS).as_dict()
        response = await transport.handle_async_request(request)
        try:
            if response.status_code not in {301, 302, 303, 307, 308} or "location" not in response.headers:
                return await _answer(request, response)
            request = _redirected(request, response)
        finally:
            await response.aclose()
    raise web.Refused(f"the server redirected more than {REDIRECTS} times")


def _redirected(request: httpx.Request, response: httpx.Response) -> httpx.Request:
    """The next request after a redirect (RFC 9110, 15.4): no body after 301-303, no secrets to another origin."""
    try:
        url = request.url.join(response.headers["location"])
    except (httpx.InvalidURL, ValueError) as error:
        raise web.Refused("the server redirected to a malformed URL") from error
    if request.url.scheme == "https" and url.scheme != "https":
        raise web.Refused("the server redirected from https to something weaker")
    method, content = request.method, request.content
    if response.status_code in {301, 302, 303} and method not in {"GET", "HEAD"}:
        method, content = "GET", b""
    headers = {name: value for name, value in request.headers.items() if name not in NOT_THE_CALLERS}
    if not content:
        headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
    if _origin(url) != _origin(request.url):
        if content:
            raise web.Refused("the server redirected a request with a body to another origin")
        headers = {name: value for name, value in headers.items() if name in HARMLESS}
    headers["accept-encoding"] = "identity"
    return httpx.Request(method, url, headers=headers, content=content or None)


async def _answer(request: httpx.Request, response: httpx.Response) -> dict[str, Any]:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise web.Refused("the server compressed its answer although it was asked not to")
    read = bytearray()
    async for part in response.aiter_raw():
        read += part
        if len(read) > BODY_BYTES:
            break
    body = bytes(read[:BODY_BYTES])
    codec = _codec(response.headers.get("content-type", ""))
    text = await asyncio.to_thread(_decoded, body, codec) if len(body) > PIECE else _decoded(body, codec)
    return {
        "status": response.status_code,
        "url": str(request.url),
        "headers": {name: response.headers[name][:HEADER_CHARACTERS] for name in SHOWN if name in response.headers},
        "body": text,
        "truncated": len(read) > BODY_BYTES,
    }


def _codec(content_type: str) -> codecs.CodecInfo:
    """The answer's own character set where it is one of text, else UTF-8."""
    found = CHARSET.search(content_type[:HEADER_CHARACTERS])
    name = found[1].lower().replace("_", "-") if found else ""
    try:
        return codecs.lookup(name if CHARSETS.fullmatch(name) else "utf-8")
    except LookupError:  # ISO 8859-12 and the like
        return codecs.lookup("utf-8")


def _decoded(data: bytes, codec: codecs.CodecInfo) -> str:
    """Bytes as text, with U+FFFD for what is none; piece by piece, so that other threads have their turns between."""
    if codec.name in MARKS and not data.startswith(MARKS[codec.name]):
        codec = codecs.lookup(f"{codec.name}-le")
    decoder = codecs.getincrementaldecoder(codec.name)("replace")
    pieces = [decoder.decode(data[at : at + PIECE]) for at in range(0, len(data), PIECE)]
    return "".join(pieces) + decoder.decode(b"", final=True)


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host.lower(), url.port or web.PORTS.get(url.scheme, 0)
