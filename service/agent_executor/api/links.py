"""Where things are in this API."""

from urllib.parse import quote


def job_path(job_id: str) -> str:
    """The path of a job, whatever its id holds."""
    return f"/jobs/{quote(job_id, safe='')}"
