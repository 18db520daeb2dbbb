"""What every request meets first: the token, the path, the method; and what every error looks like."""

import pytest

from agent_executor.api import problems
from tests.support.api import TOKEN, serving

RIGHT = b"Bearer " + TOKEN.encode()


async def test_with_a_token_only_probes_and_metrics_answer_to_strangers(env: dict[str, str]) -> None:
    async with serving(env, wait=False, AGENT_EXECUTOR_API_TOKEN=TOKEN) as api:
        del api.http.headers["authorization"]
        for path in ("/health", "/ready", "/metrics"):
            assert (await api.http.get(path)).status_code != 401, path
        for path in ("/", "/jobs", "/jobs/x", "/docs", "/openapi.json", "/nothing", "/health/", "/%68ealth", "//ready"):
            answer = await api.http.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
            assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (RIGHT, 200),
        (RIGHT.replace(b"Bearer", b"bearer"), 200),
        (RIGHT.replace(b" ", b"   "), 200),
        (RIGHT[:-1], 401),
        (RIGHT + b"x", 401),
        (b"Basic " + TOKEN.encode(), 401),
        (TOKEN.encode(), 401),
        (b"Bearer", 401),
        (b"", 401),
        (b"Bearer \xff\xfe", 401),
        ("Bearer s3cret-tök".encode("latin-1"), 401),
    ],
)
async def test_the_token_is_compared_byte_for_byte(env: dict[str, str], given: bytes, status: int) -> None:
    async with serving(env, wait=False, AGENT_EXECUTOR_API_TOKEN=TOKEN) as api:
        answer = await api.http.get("/jobs", headers={b"Authorization": given})
        assert answer.status_code == status


async def test_a_method_that_a_path_does_not_take_is_told_with_all_that_it_takes(env: dict[str, str]) -> None:
    async with serving(env, wait=False) as api:
        for method, path, allowed in (
            ("PUT", "/jobs/x", "DELETE, GET"),
            ("OPTIONS", "/jobs/a%2Fb", "DELETE, GET"),
            ("GET", "/", "POST"),
            ("HEAD", "/health", "GET"),
            ("POST", "/jobs", "GET"),
            ("TRACE", "/jobs/x/events", "GET"),
            ("DELETE", "/docs", "GET"),
        ):
            answer = await api.http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed), (method, path)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_what_nobody_foresaw_is_a_problem_without_a_word_of_it(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(env, wait=False) as api:

        async def broken(*_: object) -> None:
            raise RuntimeError("the secret inside")

        monkeypatch.setattr("agent_executor.services.jobs.Jobs.get", broken)
        answer = await api.http.get("/jobs/x")
        assert answer.status_code == 500
        assert answer.json()["type"] == "about:blank"
        assert "secret" not in answer.text


def test_a_problem_has_the_members_of_rfc_9457_and_more_where_there_is_more() -> None:
    response = problems.answer(404, "nothing here", {"X-Y": "z"}, {"job_id": "j"})
    assert bytes(response.body) == (
        b'{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing here","job_id":"j"}'
    )
    assert (response.headers["x-y"], response.media_type) == ("z", "application/problem+json")
