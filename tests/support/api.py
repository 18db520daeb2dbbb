"""The whole service behind its HTTP API, in this process, on a real port."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent_executor import settings
from agent_executor.api import main
from agent_executor.api.links import job_path
from tests.support.runtime import HURRY, job, until

TOKEN = "s3cret-tök"
ECHO: dict[str, Any] = {
    "name": "echo",
    "nodes": [
        {
            "id": "lead",
            "type": "Orchestrator",
            "config": {"name": "lead", "system_prompt": "-", "model": {"provider": "scripted", "model": "echo"}},
        }
    ],
}
DONE = ("completed", "failed", "cancelled")


def plan(*turns: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A definition whose only agent plays a script."""
    model = {"provider": "scripted", "model": "plan", "script": list(turns)}
    config = {"name": "lead", "system_prompt": "-", "model": model, "tools": [], **more.pop("config", {})}
    return {"name": "planned", "nodes": [{"id": "lead", "type": "Orchestrator", "config": config}], **more}


def path(job_id: str, rest: str = "") -> str:
    """Where a job is."""
    return job_path(job_id) + rest


@dataclass
class Api:
    """A running service and a client of it."""

    http: httpx.AsyncClient
    serving: asyncio.Task[int]
    stop: asyncio.Event

    async def submit(self, definition: Mapping[str, Any], text: str = "hello", job_id: str | None = None) -> str:
        """A job's id once it is stored."""
        given = job(definition, text, job_id)
        answer = await self.http.post("/", json=given)
        assert answer.status_code == 202, answer.text
        return str(given["job_id"])

    async def state(self, job_id: str) -> str:
        answer = await self.http.get(path(job_id))
        return str(answer.json().get("state")) if answer.is_success else str(answer.status_code)

    async def ended(self, job_id: str) -> str:
        async def done() -> str | None:
            state = await self.state(job_id)
            return state if state in DONE else None

        return str(await until(done))

    async def reaches(self, job_id: str, *states: str) -> str:
        async def there() -> str | None:
            state = await self.state(job_id)
            return state if state in states else None

        return str(await until(there))

    async def events(self, job_id: str, last: str | None = None) -> list[dict[str, Any]]:
        """Every event until the stream closes."""
        return [event async for event in self.follow(job_id, last)]

    async def follow(self, job_id: str, last: str | None = None) -> AsyncIterator[dict[str, Any]]:
        headers = {"Last-Event-ID": last} if last is not None else {}
        async with self.http.stream("GET", path(job_id, "/events"), headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    async def ready(self) -> bool:
        return (await self.http.get("/ready")).is_success

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 when there is none."""
        page = (await self.http.get("/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == f"agent_executor_{name}" and labels.items() <= sample.labels.items()
        )


@contextlib.asynccontextmanager
async def serving(env: Mapping[str, str], *, wait: bool = True, **changes: str) -> AsyncIterator[Api]:
    """A service in a hurry, ready unless `wait` is off, stopped as by SIGTERM at the block's end."""
    given = settings.load({**HURRY, "DRAIN_SECONDS": "2", **env, "HTTP_PORT": "0", **changes})
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(main.serve(given, started=port.set_result, stop=stop))
    await asyncio.wait({port, task}, return_when=asyncio.FIRST_COMPLETED)
    token = given.agent_executor_api_token
    headers = {b"Authorization": b"Bearer " + token.get_secret_value().encode()} if token else {}
    try:
        if task.done():
            await task
        url = f"http://127.0.0.1:{port.result()}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
            api = Api(http, task, stop)
            if wait:
                await until(api.ready)
            yield api
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 30)
