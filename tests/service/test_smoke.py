"""One small job says whether a deployed executor works: over HTTP, and over NATS as from inside a pod."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.api import ECHO, TOKEN, serving
from tests.support.runtime import until

PROGRAM = Path(sys.executable).with_name("agent-executor")


async def smoke(*arguments: str, **env: str) -> tuple[int, list[str]]:
    """The exit status, and each finding's verdict and name."""
    given = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "AGENT_EXECUTOR_"))}
    done = await asyncio.to_thread(
        subprocess.run, [PROGRAM, "smoke", *arguments], env=given | env, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines() or done.stderr.splitlines()


def verdicts(lines: list[str]) -> list[str]:
    return [": ".join(line.split(": ")[:2]) for line in lines]


async def test_a_service_that_works_passes_over_http(env: dict[str, str]) -> None:
    async with serving(env) as api:
        await api.submit(ECHO)
        await until(lambda: api.metric("jobs_total", status="completed"))
        status, lines = await smoke("--url", str(api.http.base_url))
    assert (status, verdicts(lines)) == (0, ["ok: readiness", "ok: job", "ok: metrics"])
    assert "completed with its answer" in lines[1]
    counted = r"ok: metrics: this pod's jobs: [12] completed, 0 failed, 0 cancelled, 0 interrupted"
    assert re.fullmatch(counted, lines[2]), "its own may be there before it is counted"


async def test_a_service_that_works_passes_over_nats_as_from_inside_its_pod(env: dict[str, str]) -> None:
    async with serving(env) as api:
        status, lines = await smoke(**env | {"HTTP_PORT": str(api.http.base_url.port)})
    assert (status, verdicts(lines)) == (0, ["ok: readiness", "ok: job", "ok: metrics"])
    assert "completed with its answer" in lines[1]


async def test_the_token_of_the_api_is_sent_and_missed(env: dict[str, str]) -> None:
    async with serving(env, AGENT_EXECUTOR_API_TOKEN=TOKEN) as api:
        url = str(api.http.base_url)
        assert (await smoke("--url", url, AGENT_EXECUTOR_API_TOKEN=TOKEN))[0] == 0
        status, lines = await smoke("--url", url)
    assert (status, verdicts(lines)) == (1, ["ok: readiness", "missing: job", "ok: metrics"])
    assert "401" in lines[1]


@pytest.mark.parametrize("way", ["http", "nats"])
async def test_production_refuses_the_scripted_model_and_the_advice_names_another(
    env: dict[str, str], way: str
) -> None:
    closed = env | {"ALLOW_SCRIPTED_MODEL": "false"}
    async with serving(closed) as api:
        closed["HTTP_PORT"] = str(api.http.base_url.port)
        status, lines = await smoke(*(("--url", str(api.http.base_url)) if way == "http" else ()), **closed)
    assert (status, verdicts(lines)) == (1, ["ok: readiness", "differs: job", "ok: metrics"])
    assert "--model openai:" in lines[1]


async def test_nobody_there_is_three_findings(env: dict[str, str]) -> None:
    status, lines = await smoke("--url", f"http://127.0.0.1:{env['HTTP_PORT']}")
    assert (status, verdicts(lines)) == (1, ["missing: readiness", "missing: job", "missing: metrics"])


async def test_a_job_that_nobody_takes_is_late(env: dict[str, str]) -> None:
    async with serving(env):  # makes the streams
        pass
    status, lines = await smoke("--timeout", "1", **env)
    assert status == 1
    assert lines[1].startswith("missing: job: without a result after 1 s")


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--model", "gpt"], {}, "--model: 'gpt' is not PROVIDER:MODEL"),
        ([], {"NATS_URL": "nats://127.0.0.1:1"}, "POSTGRES_HOST: is not set"),
    ],
)
async def test_a_wrong_argument_or_setting_is_status_2(arguments: list[str], env: dict[str, str], said: str) -> None:
    status, lines = await smoke(*arguments, **env)
    assert status == 2
    assert said in lines[-1]
