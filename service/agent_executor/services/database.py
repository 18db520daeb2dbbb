"""Connections to PostgreSQL: one pool per process, every connection in the tenant's schema.

Connections are autocommit: a statement that must be atomic with another is one statement with it.
"""

from psycopg import conninfo
from psycopg_pool import AsyncConnectionPool

CONNECT_SECONDS = 5


def dsn(*, host: str, port: int | str, db: str, user: str, password: str) -> str:
    """A libpq connection string; holds the password, so never log it."""
    return conninfo.make_conninfo(
        host=host, port=port, dbname=db, user=user, password=password, connect_timeout=CONNECT_SECONDS
    )


def pool(dsn: str, *, schema: str, size: int) -> AsyncConnectionPool:
    """Make a pool, which `async with` opens and closes.

    Args:
        dsn: as libpq takes it.
        schema: the only entry of the search path, whatever its name.
        size: connections at most; they are opened as they are needed.
    """
    return AsyncConnectionPool(
        conninfo.make_conninfo(dsn, options=f"-c search_path={_escaped(schema)}", application_name="agent-executor"),
        min_size=1,
        max_size=size,
        open=False,
        timeout=10.0,
        # Prepared at the first use: every statement here is one of a few, used for every job.
        kwargs={"autocommit": True, "prepare_threshold": 0},
        check=None,
        name="agent-executor",
    )


def _escaped(schema: str) -> str:
    quoted = '"' + schema.replace('"', '""') + '"'
    return quoted.replace("\\", "\\\\").replace(" ", "\\ ")  # libpq splits options at spaces
