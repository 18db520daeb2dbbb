"""The client against a service that restarts, refuses, or is something else."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent_executor import client
from agent_executor.client import Client, ClientError

Answer = tuple[int, str]
STREAM, GZIP = ("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip")
GARBAGE = "what no gzip is"


@pytest.fixture
def server() -> Iterator[Callable[..., tuple[str, list[dict[str, str]]]]]:
    """A server that gives these answers one after the other, the last for ever; and the headers it was sent."""
    running: list[ThreadingHTTPServer] = []

    def serve(*answers: Answer) -> tuple[str, list[dict[str, str]]]:
        left, asked = list(answers), list[dict[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                asked.append({name.lower(): value for name, value in self.headers.items()})
                status, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                for header in (STREAM,) if body.startswith("retry") else (GZIP,) if body == GARBAGE else ():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_DELETE = do_GET  # noqa: N815  # the library's names

            def log_message(self, *_: object) -> None:
                """Nothing."""

        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()  # ends within that
        running.append(made)
        return f"http://127.0.0.1:{made.server_port}", asked

    yield serve
    for each in running:
        each.shutdown()
        each.server_close()


def frames(*seqs: int, end: bool = False) -> Answer:
    kinds = ["on_llm_stream"] * len(seqs)
    if end:
        kinds[-1] = "end"
    told = [json.dumps({"seq": seq, "event_type": kind, "data": {}}) for seq, kind in zip(seqs, kinds, strict=True)]
    return 200, "retry: 1000\n\n: still here\n\n" + "".join(f"id: 0\ndata: {each}\n\n" for each in told)


def test_a_stream_that_breaks_goes_on_where_it_broke(
    server: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    url, asked = server(frames(1, 2), (503, "{}"), frames(), frames(3, 4, end=True))  # type: ignore[misc]
    with Client(url) as service:
        assert [message["seq"] for message in service.watch("j")] == [1, 2, 3, 4]
    assert [each.get("last-event-id") for each in asked] == [None, "2", "2", "2"]


def test_a_service_that_stays_away_is_given_up(server: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    url, asked = server((503, "{}"))  # type: ignore[misc]
    with Client(url) as service, pytest.raises(ClientError, match="the service is away"):
        list(service.watch("j"))
    assert len(asked) == client.RECONNECTS + 1


def test_a_refusal_is_the_problems_own_detail_and_anything_else_is_a_wrong_address(
    server: Callable[..., object],
) -> None:
    url, _ = server((404, '{"detail": "no such job"}'), (404, "<html>"))  # type: ignore[misc]
    with Client(url) as service:
        with pytest.raises(ClientError, match=r"^404: no such job$"):
            service.job("j")
        with pytest.raises(ClientError, match="is the address right"):
            list(service.watch("j"))


@pytest.mark.parametrize("said", ["<html>", "[]", "{}", "[" * 100_000, GARBAGE])
@pytest.mark.parametrize("ask", ["submit", "job", "result", "cancel", "watch"])
def test_a_stranger_that_says_200_is_a_wrong_address_too(server: Callable[..., object], said: str, ask: str) -> None:
    """What listens at an address need not be an executor: a job that nobody has must not count as handed in."""
    url, asked = server((200, said))  # type: ignore[misc]
    with Client(url) as service, pytest.raises(ClientError, match=r"^200: not an answer of this service"):
        list(service.submit({}, {})) if ask == "submit" else list(getattr(service, ask)("j"))
    assert len(asked) == 1


@pytest.mark.parametrize("said", ["<html>", "[]", '{"seq": 1}', "[" * 100_000])
def test_a_strangers_events_are_a_wrong_address_too(server: Callable[..., object], said: str) -> None:
    url, _ = server((200, f"retry: 1\n\ndata: {said}\n\n"))  # type: ignore[misc]
    with Client(url) as service, pytest.raises(ClientError, match=r"^200: not an answer of this service"):
        list(service.watch("j"))


def test_a_job_that_is_named_is_handed_in_under_that_name_or_not_at_all(server: Callable[..., object]) -> None:
    url, _ = server((202, '{"job_id": "j"}'), (400, '{"detail": "data.job_id: is blank"}'))  # type: ignore[misc]
    with Client(url) as service:
        assert service.submit({}, {}, job_id="j") == "j"
        with pytest.raises(ClientError, match="is blank"):
            service.submit({}, {}, job_id="")


def test_a_token_goes_out_byte_for_byte_and_no_proxy_sees_it(
    server: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    url, asked = server((200, '{"state": "queued"}'))  # type: ignore[misc]
    with Client(url, "tök") as service:
        service.job("j")
    assert asked[0]["authorization"].encode("latin-1") == "Bearer tök".encode()
    with Client(url, os.fsdecode(b"t\xff")) as service:
        service.job("j")
    assert asked[1]["authorization"].encode("latin-1") == b"Bearer t\xff"
