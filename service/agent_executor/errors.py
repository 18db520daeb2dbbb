"""How a job can fail: two words are the whole policy.

* JobError
  - PermanentError   trying again cannot help: report the failure once, never retry
  - TemporaryError   something around the job failed: give it back, try later
* LeaseLost          the job is another worker's now, so nothing that happens here is a failure of it

`type` is the word on the wire (`agent.status.failed`, contract section 6); `message` is for people, and holds neither
secrets nor the payload.
"""

SHOWN = 80  # characters of somebody else's value in a message


class JobError(Exception):
    """A job did not finish."""

    retryable = False

    def __init__(self, type: str, message: str) -> None:  # noqa: A002  # the wire's own name for it
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message


class PermanentError(JobError):
    """The job itself is wrong; trying again cannot help."""


class TemporaryError(JobError):
    """Something around the job failed; another try may do.

    `delay` is the seconds to wait before the first new try, doubled for later ones (None: the settings'); `retry_after`
    the seconds that the other side asked for, which is a floor and never doubled.
    """

    retryable = True

    def __init__(
        self,
        type: str,  # noqa: A002
        message: str,
        *,
        delay: float | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(type, message)
        self.delay = delay
        self.retry_after = retry_after


class LeaseLost(Exception):  # noqa: N818  # what happened
    """Another worker has the job now: stop, publish nothing, ack nothing."""


def shown(value: object) -> str:
    """A value as a message may show it: quoted, one line, at most 80 characters."""
    text = repr(value[: SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
