"""A model server on loopback that speaks as OpenAI, Anthropic and Ollama do, and fails in every way.

`async with serve(Reply("Hello")) as stub:` and point OPENAI_BASE_URL at `stub.openai`, ANTHROPIC_BASE_URL at
`stub.anthropic`, OLLAMA_BASE_URL at `stub.url`. Each request takes the next reply, the last one for ever. What was
asked is in `stub.requests`. A model named in `stub.models` has replies of its own, so that many jobs can be told apart.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Fault = Literal[
    "timeout",  # takes the request, never answers
    "stall",  # begins to answer, then says nothing more
    "cut",  # ends the stream properly in the middle: no stop reason
    "disconnect",  # drops the connection in the middle of the stream
    "malformed",  # a chunk that is not JSON
    "html",  # a proxy's page with status 200
    "empty",  # no choices, no content
]
STATUS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
WORDS = 4  # words in a chunk
LARGE = 65536  # characters in a chunk of a long text
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Reply:
    """One answer: text and tool calls, or an error status, or a fault."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()  # arguments as text go out as they are
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    delay: float = 0.0  # seconds before the answer
    stop: str | None = None  # another stop reason than the usual one

    def pieces(self) -> list[str]:
        """The text as a model streams it."""
        if len(self.text) > LARGE:
            return [self.text[at : at + LARGE] for at in range(0, len(self.text), LARGE)]
        words = self.text.split(" ")
        joined = [" ".join(words[at : at + WORDS]) for at in range(0, len(words), WORDS)]
        return [text if at == 0 else f" {text}" for at, text in enumerate(joined)]


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


class Stub:
    """The running server."""

    def __init__(self, replies: tuple[Reply, ...]) -> None:
        self.replies = list(replies)
        self.models: dict[str, list[Reply]] = {}
        self.requests: list[Request] = []
        self.url = ""

    @property
    def openai(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic(self) -> str:
        return self.url

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read(reader)
                self.requests.append(request)
                replies = self.models.get(str(request.body.get("model")), self.replies)
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                await asyncio.sleep(reply.delay)
                if not await _respond(reader, writer, request, reply):
                    break
        writer.close()


@contextlib.asynccontextmanager
async def serve(*replies: Reply) -> AsyncIterator[Stub]:
    """The server with these replies, on a free port."""
    stub = Stub(replies or (Reply("Hello from the stub."),))
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        task.add_done_callback(running.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await stub.answer(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    stub.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield stub
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@contextlib.contextmanager
def beside() -> Iterator[Stub]:
    """The server on a thread and an event loop of its own, for a whole module of tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="llm-stub")
    thread.start()
    serving = serve()
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head[0].split(" ")[1], headers, json.loads(body or b"{}"))


async def _respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, reply: Reply) -> bool:
    """Send one reply; False when the connection ends with it."""
    if reply.fault == "timeout":
        await reader.read()  # until the client gives up
        return False
    if reply.status != 200:
        error = {"type": "error", "error": {"type": "stub_error", "message": "The stub says no.", "code": reply.status}}
        await _send(writer, reply.status, "application/json", json.dumps(error).encode(), reply.headers)
        return True
    if reply.fault == "html":
        await _send(writer, 200, "text/html", PAGE, {})
        return True
    speak = next(speak for end, speak in DIALECTS.items() if request.path.endswith(end))
    events = speak(reply, str(request.body.get("model")))
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    half = max(2, len(events) // 2)
    if reply.fault in ("cut", "disconnect", "stall", "malformed"):
        events = events[:half] + ([b'data: {"id": "x", "choi\n\n'] if reply.fault == "malformed" else [])
    for event in events:
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
    if reply.fault == "stall":
        await reader.read()
    if reply.fault in ("disconnect", "stall"):
        writer.transport.abort()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _send(writer: asyncio.StreamWriter, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
    all_headers = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {STATUS.get(status, 'Error')}", *(f"{k}: {v}" for k, v in all_headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def _text(arguments: dict[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _openai(reply: Reply, model: str) -> list[bytes]:
    def chunk(delta: dict[str, Any] | None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": more.pop("stop", None)}]
        body = {"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1, "model": model}
        return b"data: " + json.dumps({**body, "choices": choices, **more}).encode() + b"\n\n"

    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    if reply.fault == "empty":
        return [chunk(None), chunk(None, usage=usage), b"data: [DONE]\n\n"]
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in reply.pieces()]
    for i, (name, arguments) in enumerate(reply.calls):
        start = {"index": i, "id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [start]}))
        events.append(chunk({"tool_calls": [{"index": i, "function": {"arguments": _text(arguments)}}]}))
    stop = reply.stop or ("tool_calls" if reply.calls else "stop")
    return [*events, chunk({}, stop=stop), chunk(None, usage=usage), b"data: [DONE]\n\n"]


def _anthropic(reply: Reply, model: str) -> list[bytes]:
    def event(kind: str, **data: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

    message = {"id": "msg_stub", "type": "message", "role": "assistant", "model": model, "content": []}
    begun = {**message, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    events = [event("message_start", message=begun)]
    if reply.fault == "empty":
        return [event("message_stop")]
    index = 0
    if reply.text:
        events.append(event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces()]
        events += [event("content_block_delta", index=0, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=0))
        index = 1
    for name, arguments in reply.calls:
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": _text(arguments)}
        events.append(event("content_block_start", index=index, content_block=block))
        events.append(event("content_block_delta", index=index, delta=delta))
        events.append(event("content_block_stop", index=index))
        index += 1
    stop = reply.stop or ("tool_use" if reply.calls else "end_turn")
    events.append(
        event(
            "message_delta",
            delta={"stop_reason": stop, "stop_sequence": None},
            usage={"input_tokens": 11, "output_tokens": 7},
        )
    )
    return [*events, event("message_stop")]


def _ollama(reply: Reply, model: str) -> list[bytes]:
    def line(message: dict[str, Any], **more: Any) -> bytes:
        body = {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", **message}}
        return json.dumps({**body, "done": False, **more}).encode() + b"\n"

    if reply.fault == "empty":
        return []
    events = [line({"content": piece}) for piece in reply.pieces()]
    made = [{"function": {"name": name, "arguments": arguments}} for name, arguments in reply.calls]
    events += [line({"content": "", "tool_calls": made})] if made else []
    counts = {"prompt_eval_count": 11, "eval_count": 7}
    return [*events, line({"content": ""}, done=True, done_reason=reply.stop or "stop", **counts)]


DIALECTS = {"/chat/completions": _openai, "/messages": _anthropic, "/api/chat": _ollama}
