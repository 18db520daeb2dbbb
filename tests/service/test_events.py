import pytest
from pydantic import ValidationError

from agent_executor.models.events import JobExecutionEvent, JobResumeEvent, allowed

EVENT = {"trace_id": "t", "job_id": "j", "agent_definition": {}, "input_payload": {}}

GOOD = {
    "a uuid": "0d9c6f6e-4a4b-4c0e-9d4e-0a6b8f3a2c11",
    "dots, wildcards and spaces": "a.b.* > c",
    "any script, and emoji": "задание 七 🚀",
    "512 characters": "x" * 512,
    "512 characters beyond the basic plane": "🚀" * 512,
}
BAD = {
    "nothing": "",
    "blanks": " \u2003 ",
    "a control character": "a\nb",
    "NUL": "a\0b",
    "a C1 control character": "a\x85b",
    "a surrogate": "a\ud800b",
    "a noncharacter": "a\ufdd0b",
    "a noncharacter of a high plane": "a\U0010ffffb",
    "513 characters": "x" * 513,
    "a number": 7,
    "true": True,
    "null": None,
    "a list": ["j"],
}


@pytest.mark.parametrize("job_id", GOOD.values(), ids=GOOD)
def test_a_job_id_may_be(job_id):
    assert JobExecutionEvent.model_validate(EVENT | {"job_id": job_id}).job_id == job_id


@pytest.mark.parametrize("job_id", BAD.values(), ids=BAD)
def test_a_job_id_may_not_be(job_id):
    with pytest.raises(ValidationError):
        JobExecutionEvent.model_validate(EVENT | {"job_id": job_id})


@pytest.mark.parametrize("field", EVENT)
def test_every_field_of_an_execute_event_is_needed(field):
    with pytest.raises(ValidationError):
        JobExecutionEvent.model_validate({key: value for key, value in EVENT.items() if key != field})


def test_a_publishers_own_fields_are_ignored():
    assert JobExecutionEvent.model_validate(EVENT | {"tenant": 1}) == JobExecutionEvent.model_validate(EVENT)


def test_a_resume_event_carries_any_json():
    assert JobResumeEvent.model_validate({"job_id": "j", "resume": {"ok": [1, None]}}).resume == {"ok": [1, None]}


def test_text_that_cloudevents_forbids_is_known():
    assert allowed("tab is a control character\t") is False
    assert allowed("plain, ünïcode, 🚀") is True
