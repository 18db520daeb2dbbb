"""Where things are in this API."""

from urllib.parse import quote


def job_path(job_id: str) -> str:
    """The path of a job, whatever its id holds."""
    name = quote(job_id, safe="", errors="surrogateescape")  # of an argument that is not UTF-8: its bytes
    # A segment of dots is a step up or none at all, and clients take it; most of them leave encoded ones alone.
    return f"/jobs/{name if name.strip('.') else name.replace('.', '%2E')}"
