"""Is the process alive, can it work, what does it count: for kubelet and Prometheus.

Invariants: `/health` asks nobody and never fails for a dependency; `/ready` names each one that is missing.
"""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from agent_executor.api import parts, problems
from agent_executor.api.parts import Parts
from agent_executor.api.probes import NotReady, Probe
from agent_executor.telemetry import metrics

PROBE_SECONDS = 2.0
router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Every dependency answers."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


@router.get("/health")
async def health() -> Health:
    """Live: the event loop answers."""
    return Health()


@router.get("/ready", responses=problems.documented(503))
async def ready(service: Annotated[Parts, Depends(parts.of)]) -> Readiness:
    """Ready: PostgreSQL, Dragonfly and NATS answer, and the service is not stopping."""
    if service.stopping.is_set():
        raise problems.Refused(503, "stopping: no new jobs are taken", more={"checks": {}})
    said = dict(zip(service.probes, await asyncio.gather(*map(_asked, service.probes.values())), strict=True))
    if missing := [f"{name}: {state}" for name, state in said.items() if state != "ok"]:
        raise problems.Refused(503, "; ".join(missing), more={"checks": said})
    return Readiness(checks=said)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
async def read_metrics(service: Annotated[Parts, Depends(parts.of)]) -> Response:
    """The metrics, as Prometheus reads them."""
    return Response(service.metrics.page(), media_type=metrics.CONTENT_TYPE)


async def _asked(probe: Probe) -> str:
    """`ok`, or why a dependency is not."""
    # A probe that takes longer is left to deadlines of its own: a cancellation may take longer still.
    asked = asyncio.ensure_future(probe())
    _asking.add(asked)
    asked.add_done_callback(_over)
    done, _ = await asyncio.wait({asked}, timeout=PROBE_SECONDS)
    if not done:
        return f"no answer within {PROBE_SECONDS:g} s"
    try:
        asked.result()
    except NotReady as missing:
        return str(missing)
    return "ok"


def _over(asked: "asyncio.Future[None]") -> None:
    _asking.discard(asked)
    if not asked.cancelled():
        asked.exception()  # or asyncio complains that nobody wanted to know


_asking: set["asyncio.Future[None]"] = set()
"""Kept, as the event loop does not: https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task."""
