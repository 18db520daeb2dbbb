"""`POST /`: 202 once JetStream has the event, a problem for everything that is not one."""

import asyncio
import json

import httpx
import pytest

from agent_executor.api import intake
from agent_executor.services.jobs import Jobs
from agent_executor.settings import load
from tests.support.api import ECHO, Api, path, plan, serving
from tests.support.runtime import caller, job, until

STRUCTURED = "application/cloudevents+json"
SLOW = plan({"text": "slow", "delay_ms": 1500})
SLOWER = plan({"text": "slower", "delay_ms": 60_000})


def event(data: dict[str, object], **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "e1", "source": "tests", "type": "any.type", "data": data, **more}


def problem(answer: httpx.Response) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == "about:blank"
    assert told["detail"]
    return dict(told)


async def test_every_way_to_hand_in_a_job_is_accepted_with_the_place_of_the_job(env: dict[str, str]) -> None:
    async with serving(env) as api:
        bare, structured, binary = job(ECHO, job_id="a/b ü"), job(ECHO), job(ECHO)
        attributes = {"ce-specversion": "1.0", "ce-id": "e2", "ce-source": "t", "ce-type": "x"}
        for data, answer in (
            (bare, await api.http.post("/", json=bare)),
            (structured, await api.http.post("/", json=event(structured), headers={"Content-Type": STRUCTURED})),
            (binary, await api.http.post("/", json=binary, headers=attributes)),
        ):
            assert answer.status_code == 202, answer.text
            assert answer.json() == {"job_id": data["job_id"]}
            assert answer.headers["location"] == path(data["job_id"])
            assert (await api.http.get(answer.headers["location"])).json()["job_id"] == data["job_id"]
            assert await api.ended(data["job_id"]) == "completed"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=20", "wait=20"),
        ("WAIT = 20", "wait=20"),
        ('respond-async, wait="20"', "wait=20"),
        ("return=minimal; foo=bar, wait=99999", "wait=300"),
    ],
)
async def test_prefer_wait_answers_with_the_result_event(env: dict[str, str], prefer: str, applied: str) -> None:
    async with serving(env) as api:
        given = job(ECHO, "say it")
        answer = await api.http.post("/", json=given, headers={"Prefer": prefer})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == STRUCTURED
        assert answer.headers["preference-applied"] == applied
        told = answer.json()
        assert told["type"] == "dev.my-platform.agent.completed"
        assert told["data"]["result"]["output"] == "say it"


async def test_what_is_no_wait_or_takes_longer_is_accepted_all_the_same(env: dict[str, str]) -> None:
    async with serving(env) as api:
        for prefer in ("wait=0", "wait=-1", "wait=soon", "awaiting=5", "wait"):
            answer = await api.http.post("/", json=job(SLOW), headers={"Prefer": prefer})
            assert (answer.status_code, answer.headers.get("preference-applied")) == (202, None), prefer
        answer = await api.http.post("/", json=job(SLOW), headers={"Prefer": "wait=1"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")


async def test_what_is_too_large_or_no_event_is_refused_with_a_problem(env: dict[str, str]) -> None:
    async with serving(env, HTTP_MAX_BODY_BYTES="2000") as api:

        async def chunks() -> object:
            for _ in range(100):
                yield b"x" * 100

        large = await api.http.post("/", content=b"x" * 2001, headers={"Content-Type": "application/json"})
        chunked = await api.http.post("/", content=chunks(), headers={"Content-Type": "application/json"})
        assert (large.status_code, chunked.status_code) == (413, 413)
        assert "HTTP_MAX_BODY_BYTES" in str(problem(large)["detail"])
        for kind in ("text/plain", "application/xml", "", "multipart/form-data", "garbage"):
            answer = await api.http.post("/", content=b"{}", headers={"Content-Type": kind})
            assert answer.status_code == 415, kind
            assert STRUCTURED in answer.headers["accept-post"]
        for body in (b"", b"{", b"[]", b"null", b'{"job_id": "x"}', b"\xff\xfe", b'{"a": NaN}', b"[" * 1500):
            answer = await api.http.post("/", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, body
            assert problem(answer)["job_id"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: 99999999999999999999999999", (400, 413)),
        ("Content-Length: 9999999999999999", (413,)),
        ("Content-Length: -1", (400,)),
        ("Content-Length: two", (400,)),
        ("Content-Length: 2\r\nContent-Length: 3", (400,)),
        ("Transfer-Encoding: chunked\r\nX: y\r\n\r\nnot a length\r\n", (400,)),
    ],
)
async def test_a_length_that_is_a_lie_is_refused(env: dict[str, str], head: str, status: tuple[int, ...]) -> None:
    async with serving(env, wait=False) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n{{}}".encode())
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert int(line.split()[1]) in status
        assert (await api.http.get("/health")).is_success


@pytest.mark.parametrize(
    ("head", "token", "status"),
    [
        ("Content-Type: application/json\r\nContent-Length: 9999999", None, 413),
        ("Content-Type: text/plain\r\nContent-Length: 9", None, 415),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 9", None, 415),
        ("Content-Type: application/json\r\nContent-Length: 9", "secret", 401),
    ],
)
async def test_after_an_answer_before_the_body_the_connection_ends(
    env: dict[str, str], head: str, token: str | None, status: int
) -> None:
    async with serving(env, wait=False, **({"AGENT_EXECUTOR_API_TOKEN": token} if token else {})) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{head}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)  # to its end
        writer.close()
    assert int(answer.split()[1]) == status
    assert b"connection: close" in answer.lower()


async def test_who_hangs_up_while_waiting_for_a_result_is_not_waited_for(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looks at the job's row end with the connection."""
    looks: list[float] = []
    outcome = Jobs.outcome

    async def counted(self: Jobs, job_id: str) -> object:
        looks.append(asyncio.get_running_loop().time())
        return await outcome(self, job_id)

    monkeypatch.setattr(Jobs, "outcome", counted)
    monkeypatch.setattr(intake, "LONGEST_LOOK", 0.05)
    async with serving(env) as api:
        given = job(SLOWER)
        with pytest.raises(httpx.ReadTimeout):
            await api.http.post("/", json=given, headers={"Prefer": "wait=300"}, timeout=1)
        left = len(looks)
        assert left > 2
        await until(lambda: asyncio.get_running_loop().time() - looks[-1] > 1)
        await api.http.delete(path(given["job_id"]))


async def test_who_hangs_up_in_the_middle_of_a_body_breaks_nothing(
    env: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(env, wait=False) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await api.http.get("/health")).is_success
    assert "unforeseen" not in "".join(capfd.readouterr())


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.2)
    async with serving(env, wait=False) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert int(line.split()[1]) == 408


async def test_what_is_refused_over_http_is_told_and_kept_like_any_malformed_event(env: dict[str, str]) -> None:
    async with caller(env) as outside, serving(env) as api:
        body = json.dumps({"job_id": "broken-1", "trace_id": "t"}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer private", "Cookie": "a=b"}
        answer = await api.http.post("/", content=body, headers=headers)
        assert answer.status_code == 400
        told = await outside.told("broken-1", "failed")
        letter = (await until(outside.dead))[0]
        assert told["data"]["error"]["retryable"] is False
        assert letter.subject == f"{env['NATS_SUBJECT_PREFIX']}.dead.http"
        assert letter.data == body
        assert "private" not in str(letter.headers)
        assert "a=b" not in str(letter.headers)
        assert await api.metric("dead_letters_total") == 1
        assert await api.metric("nats_messages_failed_total") == 1


async def test_nothing_is_accepted_that_jetstream_does_not_have(env: dict[str, str], nats_client: object) -> None:
    async with serving(env) as api:
        given = load(env)
        js = nats_client.jetstream()  # type: ignore[attr-defined]
        before = (await js.stream_info(given.nats_stream)).state.messages
        await api.submit(ECHO)
        assert (await js.stream_info(given.nats_stream)).state.messages == before + 1
        await js.delete_stream(given.nats_stream)  # made again, with the event in it
        await api.submit(ECHO)
        assert (await js.stream_info(given.nats_stream)).state.messages == 1


async def test_without_nats_there_is_no_202_but_a_problem_with_a_time_to_retry(env: dict[str, str]) -> None:
    async with serving(env, wait=False, NATS_URL="nats://127.0.0.1:9") as api:
        for body in (job(ECHO), {"job_id": "x"}):
            answer = await api.http.post("/", json=body)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            problem(answer)
        assert await api.metric("nats_messages_failed_total") == 0  # counted when it is tried again, and kept


async def test_without_postgresql_an_event_is_accepted_soon(env: dict[str, str]) -> None:
    async with caller(env), serving(env, wait=False, POSTGRES_PORT="9") as api:
        await until(lambda: api_connected(api))
        answer = await asyncio.wait_for(api.http.post("/", json=job(ECHO)), 6)
        assert answer.status_code == 202


async def api_connected(api: Api) -> bool:
    return bool((await api.http.get("/ready")).json()["checks"]["nats"] == "ok")
