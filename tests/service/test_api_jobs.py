"""The job table over HTTP: pages, one job, its result, its cancellation."""

import pytest

from tests.support.api import ECHO, path, plan, serving
from tests.support.runtime import caller

LATE = plan({"text": "late", "delay_ms": 20000})


async def test_a_job_is_shown_from_its_acceptance_to_its_result(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit(ECHO, "shown")
        assert (await api.http.get(path(job_id))).status_code == 200
        assert await api.ended(job_id) == "completed"
        shown = (await api.http.get(path(job_id))).json()
        assert {name: shown[name] for name in ("job_id", "trace_id", "state", "attempts", "error")} == {
            "job_id": job_id,
            "trace_id": "trace-1",
            "state": "completed",
            "attempts": 0,
            "error": None,
        }
        assert shown["created_at"] <= shown["started_at"] <= shown["finished_at"]
        result = (await api.http.get(path(job_id, "/result"))).json()
        assert (result["job_id"], result["result"]["output"]) == (job_id, "shown")


async def test_a_failed_job_says_why_and_has_no_result(env: dict[str, str]) -> None:
    async with serving(env) as api:
        job_id = await api.submit({"nodes": []})
        assert await api.ended(job_id) == "failed"
        shown = (await api.http.get(path(job_id))).json()
        assert shown["error"]["type"] == "invalid_definition"
        assert shown["attempts"] == shown["error"]["attempts"] == 1
        answer = await api.http.get(path(job_id, "/result"))
        assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")
        assert (await api.http.delete(path(job_id))).status_code == 409


async def test_what_is_no_job_is_not_found(env: dict[str, str]) -> None:
    async with serving(env, wait=False) as api:
        for name in ("nobody", "%00", "%FF", "x" * 513, "%0A", "%EF%BF%BF", "a%2Fevents"):
            for method, rest in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")):
                answer = await api.http.request(method, f"/jobs/{name}{rest}")
                assert answer.status_code == 404, (name, method, rest)
                assert answer.headers["content-type"] == "application/problem+json"


async def test_a_cancellation_is_asked_for_and_then_found_done(env: dict[str, str]) -> None:
    async with caller(env) as outside, serving(env) as api:
        job_id = await api.submit(LATE)
        await api.reaches(job_id, "running")
        answer = await api.http.delete(path(job_id))
        assert answer.status_code in (200, 202)
        assert await api.ended(job_id) == "cancelled"
        again = await api.http.delete(path(job_id))
        assert (again.status_code, again.json()["state"]) == (200, "cancelled")
        await outside.told(job_id, "cancelled")


async def test_a_job_that_waits_for_a_slot_is_cancelled_at_once(env: dict[str, str]) -> None:
    async with serving(env, MAX_CONCURRENT_JOBS="1") as api:
        first, second = await api.submit(LATE), await api.submit(LATE)
        await api.reaches(first, "running")
        assert await api.state(second) == "queued"
        answer = await api.http.delete(path(second))
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        await api.http.delete(path(first))
        assert await api.ended(first) == "cancelled"


async def test_pages_show_every_job_once_while_others_are_added(env: dict[str, str]) -> None:
    async with serving(env, MAX_CONCURRENT_JOBS="10") as api:
        known = [await api.submit(ECHO) for _ in range(7)]
        seen: list[str] = []
        cursor: str | None = None
        while True:
            query: dict[str, str] = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await api.http.get("/jobs", params=query)).json()
            seen += [job["job_id"] for job in page["jobs"]]
            await api.submit(ECHO)
            if not (cursor := page["next"]):
                break
        assert seen == known[::-1]
        states = (await api.http.get("/jobs", params={"state": "failed"})).json()
        assert states == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "state=done",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=" + "1" * 18 + "~x",
        "cursor=1~",
        "cursor=~x",
        "cursor=1~a%20b c",
        "cursor=1~" + "a" * 7000,
    ],
)
async def test_a_wrong_query_is_refused_with_its_name(env: dict[str, str], query: str) -> None:
    async with serving(env, wait=False) as api:
        answer = await api.http.get(f"/jobs?{query}")
        assert answer.status_code == 400, answer.text
        assert query.partition("=")[0] in answer.json()["detail"]
        assert len(answer.text) < 500


async def test_a_database_that_is_away_is_a_503_with_a_time_to_retry(env: dict[str, str]) -> None:
    async with serving(env, wait=False, POSTGRES_PORT="9") as api:
        for method, place in (("GET", "/jobs"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x"), ("GET", "/jobs/x/events")):
            answer = await api.http.request(method, place)
            assert answer.status_code == 503, (method, place, answer.text)
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_schema_without_tables_is_a_503_too(env: dict[str, str]) -> None:
    async with serving(env, wait=False, POSTGRES_SCHEMA="empty") as api:
        assert (await api.http.get("/jobs")).status_code == 503
        ready = await api.http.get("/ready")
        assert "agent-executor migrate" in ready.json()["checks"]["postgresql"]


@pytest.mark.parametrize("cursor", ["0~x", "99999999999999999~x", "1~%00", "1~%FF", "1~%", "1~%zz"])
async def test_a_cursor_is_a_place_and_needs_no_job_there(env: dict[str, str], cursor: str) -> None:
    async with serving(env) as api:
        await api.submit(ECHO)
        answer = await api.http.get("/jobs", params={"cursor": cursor})
        assert len(answer.json()["jobs"]) == (1 if cursor.startswith("9") else 0), answer.text
