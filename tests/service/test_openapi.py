"""The OpenAPI document is complete and true, and the page made of it stands alone."""

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.support.api import ECHO, TOKEN, path, serving
from tests.support.runtime import job

PROGRAM = str(Path(sys.executable).parent / "schemathesis")
HOOKS = str(Path(__file__).parents[1] / "support" / "schemathesis_hooks.py")


async def document(env: dict[str, str], token: str = "") -> dict[str, object]:
    async with serving(env, wait=False, **({"AGENT_EXECUTOR_API_TOKEN": token} if token else {})) as api:
        found: dict[str, object] = (await api.http.get("/openapi.json")).json()
        return found


async def test_every_operation_has_a_text_and_says_each_of_its_errors_as_a_problem(env: dict[str, str]) -> None:
    found = await document(env)
    assert set(found["paths"]) == {  # type: ignore[call-overload]
        "/",
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/result",
        "/jobs/{job_id}/events",
        "/health",
        "/ready",
        "/metrics",
    }
    for operations in found["paths"].values():  # type: ignore[attr-defined]
        for operation in operations.values():
            assert operation["description"]
            for status, answer in operation["responses"].items():
                assert answer["description"] != "Successful Response"
                assert (list(answer["content"]) == ["application/problem+json"]) is (int(status) >= 400)
    text = str(found)
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(found["components"]["schemas"])  # type: ignore[index]


async def test_a_token_is_in_the_document_where_it_is_asked_for(env: dict[str, str]) -> None:
    without, found = await document(env), await document(env, TOKEN)
    assert "security" not in str(without)
    assert "'401'" not in str(without)
    secured = {path for path, each in found["paths"].items() if all("security" in one for one in each.values())}  # type: ignore[attr-defined]
    assert secured == set(found["paths"]) - {"/health", "/ready", "/metrics"}  # type: ignore[call-overload]
    assert found["components"]["securitySchemes"]["token"]["scheme"] == "bearer"  # type: ignore[index]


async def test_the_shapes_of_the_document_are_those_of_jobs(env: dict[str, str]) -> None:
    schemas = (await document(env))["components"]["schemas"]  # type: ignore[index]
    event = {**schemas["CloudEvent"], "components": {"schemas": schemas}}
    given = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": job(ECHO)}
    Draft202012Validator(event).validate(given)
    assert not Draft202012Validator(event).is_valid({**given, "data": {"job_id": " "}})


async def test_the_page_names_every_operation_and_loads_nothing(env: dict[str, str]) -> None:
    async with serving(env, wait=False) as api:
        page = (await api.http.get("/docs")).text
        found = (await api.http.get("/openapi.json")).json()
    for place, operations in found["paths"].items():
        for method in operations:
            assert f"<b>{method.upper()}</b> <code>{place}</code>" in page
    assert not re.search(r"<script|src=|https?://", page)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("token", ["", "t0ken"])
async def test_schemathesis_finds_nothing(env: dict[str, str], token: str) -> None:
    given = {"AGENT_EXECUTOR_API_TOKEN": token} if token else {}
    async with serving(env, MAX_CONCURRENT_JOBS="5", **given) as api:
        done = await api.submit(ECHO)
        assert await api.ended(done) == "completed"
        assert (await api.http.get(path(done, "/result"))).is_success
        arguments = ["--checks", "all", "--max-examples", "25", "--request-timeout", "30", "--no-color"]
        arguments += ["--seed", "1", "--workers", "1", "--generation-database", "none"]
        # A DELETE cancels: who asked for it can still look at the job.
        arguments += ["--exclude-checks", "use_after_free"]
        # What a schema cannot say of a free object: no NUL in any of its strings.
        arguments += ["--generation-allow-x00", "false", "--generation-codec", "utf-8"]
        arguments += ["-H", f"Authorization: Bearer {token}"] if token else []
        with tempfile.TemporaryDirectory() as directory:
            process = await asyncio.create_subprocess_exec(
                PROGRAM,
                "run",
                f"{api.http.base_url}/openapi.json",
                *arguments,
                cwd=directory,
                env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said[-8000:]
        assert await api.metric("jobs_total") > 1
