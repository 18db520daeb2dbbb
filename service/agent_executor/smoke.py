"""One small job through a deployed executor, and what the executor says of itself before and after.

Nothing is asked of the job but an answer, so it may run in production: it costs one model call, or none with the
scripted model. A finding never holds a secret or an address.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import nats.errors
import nats.js.errors
from nats.js.api import DeliverPolicy
from prometheus_client.parser import text_string_to_metric_families

from agent_executor.client import STRUCTURED, TYPE, Client, ClientError
from agent_executor.doctor import Finding
from agent_executor.errors import TemporaryError
from agent_executor.services import broker
from agent_executor.settings import Settings

SOURCE = "agent-executor-smoke"
SCRIPTED = ("scripted", "echo")
PROBE_SECONDS = 10.0
LOOK_SECONDS = 0.2
OVER = ("completed", "failed", "cancelled", "interrupted")
# The counters that alerts are written on: contract section 7, as the text format names their families.
METRICS = (
    "agent_executor_jobs",
    "agent_executor_job_duration_seconds",
    "agent_executor_nats_messages_processed",
    "agent_executor_nats_messages_failed",
)


@dataclass(frozen=True)
class Asked:
    """The job: its id and the model that answers it."""

    job_id: str
    provider: str
    model: str

    @property
    def word(self) -> str:
        """What the job says, and the echo answers."""
        return f"smoke {self.job_id}"

    @property
    def event(self) -> dict[str, Any]:
        """The job as a CloudEvent."""
        data = {"trace_id": uuid.uuid4().hex, "job_id": self.job_id, "agent_definition": self.definition}
        data["input_payload"] = {"messages": [{"role": "user", "content": self.word}]}
        return {"specversion": "1.0", "id": self.job_id, "source": SOURCE, "type": TYPE, "data": data}

    @property
    def definition(self) -> dict[str, Any]:
        """The smallest agent."""
        config = {
            "name": "smoke",
            "system_prompt": "Repeat what you are told, and nothing else.",
            "model": {"provider": self.provider, "model": self.model},
            "tools": [],
        }
        return {"name": "smoke", "nodes": [{"id": "smoke", "type": "Orchestrator", "config": config}], "edges": []}


def ask(provider: str, model: str) -> Asked:
    """A job that nobody has asked for before."""
    return Asked(f"smoke-{uuid.uuid4()}", provider, model)


def over_http(asked: Asked, url: str, token: str | None, seconds: float) -> list[Finding]:
    """The job through `POST /`, which answers once JetStream has it; `seconds` is how long it may take."""
    return [_readiness(url), _outcome_of(asked, url, token, seconds), _metrics(url)]


def over_nats(asked: Asked, settings: Settings, seconds: float) -> list[Finding]:
    """The job as a message on the stream, and its result as one; readiness and metrics of the pod that this runs in."""
    url = f"http://127.0.0.1:{settings.http_port}"
    return [_readiness(url), asyncio.run(_published(asked, settings, seconds)), _metrics(url)]


def _outcome_of(asked: Asked, url: str, token: str | None, seconds: float) -> Finding:
    began = time.monotonic()
    try:
        with Client(url, token) as client:
            client.submit(asked.definition, asked.event["data"]["input_payload"], job_id=asked.job_id)
            while (job := client.job(asked.job_id))["state"] not in OVER:
                if time.monotonic() - began > seconds:
                    return _late(str(job["state"]), seconds)
                time.sleep(LOOK_SECONDS)
            if job["state"] == "completed":
                return _answered(asked, client.result(asked.job_id), time.monotonic() - began)
    except ClientError as error:
        return Finding("job", "missing", str(error), "check the address, the token and the pods' log")
    return _refused(str(job["state"]), (job["error"] or {}).get("message", ""))


async def _published(asked: Asked, settings: Settings, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            client = await broker.connect(settings)
    except TimeoutError:
        return Finding("job", "missing", "no connection to NATS", "check NATS_URL and the NetworkPolicy")
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            results = await client.jetstream().subscribe(
                settings.subject("status", "*"),
                stream=settings.nats_status_stream,
                ordered_consumer=True,
                deliver_policy=DeliverPolicy.NEW,
            )
            body, headers = json.dumps(asked.event).encode(), {"Content-Type": STRUCTURED}
            await client.jetstream().publish(
                settings.subject("execute", "smoke"), body, stream=settings.nats_stream, headers=headers
            )
            async for message in results.messages:
                event = json.loads(message.data)
                if event.get("subject") == asked.job_id:
                    break
    except TimeoutError:
        return _late("without a result", seconds)
    except (nats.errors.Error, nats.js.errors.Error, TemporaryError) as error:
        advice = "run `agent-executor doctor`: a stream may be missing"
        return Finding("job", "missing", f"JetStream: {type(error).__name__}", advice)
    finally:
        await client.close()
    outcome, data = event["type"].rpartition(".")[2], event.get("data") or {}
    if outcome == "completed":
        return _answered(asked, data.get("result"), time.monotonic() - began)
    return _refused(outcome, (data.get("error") or {}).get("message", ""))


def _answered(asked: Asked, result: Any, took: float) -> Finding:
    answer = str(result.get("output", "")) if isinstance(result, dict) else ""
    scripted = (asked.provider, asked.model) == SCRIPTED
    if (answer != asked.word) if scripted else not answer.strip():
        advice = "read the job's events: GET /jobs/{id}/events"
        return Finding("job", "differs", f"{asked.job_id} completed without the answer that was asked for", advice)
    return Finding("job", "ok", f"{asked.job_id} completed with its answer, {took:.1f} s after it was handed in")


def _refused(state: str, message: str) -> Finding:
    advice = "read the pods' log for this job"
    if "ALLOW_SCRIPTED_MODEL" in message:
        advice = "name a model of yours, such as --model openai:gpt-4.1-mini"
    return Finding("job", "differs", f"{state}: {message[:200]}" if message else state, advice)


def _late(state: str, seconds: float) -> Finding:
    advice = "look at the pods, at the consumer's lag and at the ScaledObject; --timeout waits longer"
    return Finding("job", "missing", f"{state} after {seconds:g} s", advice)


def _readiness(url: str) -> Finding:
    answer = _get(url, "/ready")
    if isinstance(answer, Finding):
        return answer
    if answer.is_success:
        return Finding("readiness", "ok", "every dependency answers")
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = "not an answer of this service"
    return Finding("readiness", "missing", f"{answer.status_code}: {detail}", "see docs/how-to/troubleshooting.md")


def _metrics(url: str) -> Finding:
    answer = _get(url, "/metrics")
    if isinstance(answer, Finding):
        return answer
    try:
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    except ValueError:
        families = {}
    if missing := [name for name in METRICS if name not in families]:
        return Finding("metrics", "missing", f"no {', '.join(missing)}", "is the address the service's own?")
    counted = ", ".join(f"{count:g} {status}" for status, count in _counts(families["agent_executor_jobs"].samples))
    return Finding("metrics", "ok", f"this pod's jobs: {counted}")


def _counts(samples: list[Any]) -> Iterator[tuple[str, float]]:
    return ((sample.labels["status"], sample.value) for sample in samples if "status" in sample.labels)


def _get(url: str, path: str) -> httpx.Response | Finding:
    try:
        return httpx.get(f"{url.rstrip('/')}{path}", timeout=PROBE_SECONDS, trust_env=False)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        what = {"/ready": "readiness", "/metrics": "metrics"}[path]
        return Finding(what, "missing", f"no connection ({type(error).__name__})", "check the address")
