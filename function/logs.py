"""The server's log: one JSON object a line on standard output, whatever the level.

On the standard library, because structlog, which the SDK logs with, loads a quarter of a server's start. Invariant: a
failure to log never becomes a failure of a call.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger("function")


def configure(*, debug: bool) -> None:
    """Log from INFO on, or every call as well."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLine())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = False  # a reader that is gone


def fields(**values: Any) -> dict[str, Any]:
    """Further fields of a line: `log.info("serving", extra=fields(port=9443))`."""
    return {"fields": values}


class JsonLine(logging.Formatter):
    """A record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The level, the time in UTC, the message, then the record's own fields, and a traceback if there is one."""
        line = {
            "level": record.levelname.lower(),
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
