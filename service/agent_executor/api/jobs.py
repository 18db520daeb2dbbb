"""The job table over HTTP: list, look at, fetch the result of, cancel."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from agent_executor.api import parts, problems
from agent_executor.api.identifiers import UNKNOWN, JobId
from agent_executor.api.links import job_path
from agent_executor.api.parts import Parts
from agent_executor.models.jobs import Job, State

router = APIRouter(tags=["jobs"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = r"^[0-9]{1,17}~[A-Za-z0-9_.~%-]+$"  # microseconds of creation, and the id
Service = Annotated[Parts, Depends(parts.of)]


class JobView(BaseModel):
    """One job, without its result."""

    job_id: str
    trace_id: str
    state: State
    attempts: int = Field(description="Failures that were counted so far.")
    cancel_requested: bool
    interrupt: Any = Field(None, description="What an interrupted job asks people.")
    error: dict[str, Any] | None = Field(None, description="Why the last attempt failed: type, message, retryable.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds_spent: float = Field(description="Wall clock of all attempts, without any waiting between them.")


class JobPage(BaseModel):
    """Jobs, newest first, and where the next page starts."""

    jobs: list[JobView]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class JobResult(BaseModel):
    """What a completed job came to."""

    job_id: str
    result: Any


@router.get("/jobs", responses=problems.documented(400, 401, 503))
async def list_jobs(
    service: Service,
    limit: Annotated[int, Query(ge=1, le=200, description="Jobs on a page at most.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=7000, pattern=CURSOR, description="`next` of the page before.")
    ] = None,
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
) -> JobPage:
    """Jobs, newest first."""
    before = _position(cursor) if cursor is not None else None
    found = await service.jobs.page(limit=limit + 1, before=before, state=state)
    page, more = found[:limit], len(found) > limit
    return JobPage(jobs=[_view(job) for job in page], next=_cursor(page[-1]) if more else None)


@router.get("/jobs/{job_id}", responses=problems.documented(401, 404, 503))
async def get_job(service: Service, job_id: JobId) -> JobView:
    """One job."""
    return _view(await _known(service, job_id))


@router.get("/jobs/{job_id}/result", responses=problems.documented(401, 404, 409, 503))
async def get_result(service: Service, job_id: JobId) -> JobResult:
    """The result of a completed job, however large it is."""
    job = await _known(service, job_id)
    if job.state != "completed":
        raise problems.Refused(409, f"the job is {job.state}: only a completed job has a result")
    return JobResult(job_id=job_id, result=await service.jobs.result(job_id))


@router.delete(
    "/jobs/{job_id}",
    status_code=202,
    responses={
        200: {"model": JobView, "description": "It was cancelled before"},
        **problems.documented(401, 404, 409, 503),
    },
)
async def cancel_job(service: Service, job_id: JobId, response: Response) -> JobView:
    """Cancel: 202 when it was asked for, 200 when it has happened, 409 when the job ended otherwise."""
    await _known(service, job_id)
    await service.cancel(job_id)
    job = await _known(service, job_id)
    if job.state in ("completed", "failed"):
        raise problems.Refused(409, f"the job is {job.state} already: there is nothing to cancel")
    if job.state == "cancelled":
        response.status_code = 200
    else:
        response.headers["Location"] = job_path(job_id)
    return _view(job)


async def _known(service: Parts, job_id: str) -> Job:
    job = await service.jobs.get(job_id)
    if job is None:
        raise problems.Refused(404, UNKNOWN)
    return job


def _view(job: Job) -> JobView:
    return JobView(
        job_id=job.job_id,
        trace_id=job.trace_id,
        state=job.state,
        # The failure that a job ends with is counted in its error alone.
        attempts=max(job.failures, (job.error or {}).get("attempts", 0)),
        cancel_requested=job.cancel_requested,
        interrupt=job.interrupt if job.state == "interrupted" else None,  # an old question invites an answer
        error=job.error,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        seconds_spent=job.seconds_spent,
    )


def _cursor(job: Job) -> str:
    micros = (job.created_at - EPOCH) // timedelta(microseconds=1)
    return f"{micros}~{quote(job.job_id, safe='')}"


def _position(cursor: str) -> tuple[datetime, str]:
    """Where a page ends; every text of the form of CURSOR is a place, whether a job is there or not."""
    micros, _, job_id = cursor.partition("~")
    return EPOCH + timedelta(microseconds=int(micros)), unquote(job_id).replace("\0", "")
