import pytest

from agent_executor.errors import JobError, PermanentError, TemporaryError, shown

SHOWN = {
    "a short value is quoted": ("pool", "'pool'"),
    "a long one is cut at 80 characters": ("x" * 1000, "'" + "x" * 78 + "…"),
    "a line break stays on the line": ("a\nb", r"'a\nb'"),
    "a number is itself": (7, "7"),
}


@pytest.mark.parametrize(("value", "text"), SHOWN.values(), ids=SHOWN)
def test_shown(value, text):
    assert shown(value) == text


def test_an_error_is_its_wire_type_and_a_message_for_people():
    error = PermanentError("invalid_event", "data.job_id: is blank")
    assert isinstance(error, JobError)
    assert (error.type, error.message, error.retryable) == ("invalid_event", "data.job_id: is blank", False)


def test_a_temporary_error_says_when_to_try_again():
    error = TemporaryError("rate_limited", "the model asked to wait", delay=2, retry_after=30)
    assert (error.delay, error.retry_after, error.retryable) == (2, 30, True)
