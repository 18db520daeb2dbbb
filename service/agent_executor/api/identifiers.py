"""The job id in a path: percent-encoded as it was sent (see `guard`), decoded here, once."""

from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Path
from pydantic import TypeAdapter, ValidationError

from agent_executor.api.problems import Refused
from agent_executor.models.events import Name

NAME: TypeAdapter[str] = TypeAdapter(Name)
UNKNOWN = "there is no such job here: it was never taken, or it is older than JOB_RETENTION_DAYS"


def job_id(
    encoded: Annotated[str, Path(alias="job_id", description="The job's id, percent-encoded.", min_length=1)],
) -> str:
    """The id that the path means; what can be no job's id is no job here."""
    try:
        return NAME.validate_python(unquote_to_bytes(encoded).decode())
    except (UnicodeError, ValidationError):
        raise Refused(404, UNKNOWN) from None


JobId = Annotated[str, Depends(job_id)]
