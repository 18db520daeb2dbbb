"""What a person sees of a job."""

from typing import Any

import pytest

from agent_executor.terminal import Narrator


def told(capsys: pytest.CaptureFixture[str], *events: tuple[str, dict[str, Any]]) -> list[str]:
    with Narrator("j") as narrator:
        for kind, data in events:
            narrator.tell({"event_type": kind, "data": data})
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_words_are_joined_into_the_lines_that_a_model_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        ("on_llm_stream", {"agent": "lead", "content": "Hello "}),
        ("on_llm_stream", {"agent": "lead", "content": "you\nand "}),
    )
    other = ("on_llm_stream", {"agent": "helper", "content": "me"})
    assert told(capsys, *words, other) == ["lead: Hello you", "lead: and ", "helper: me"]


def test_tools_and_ends_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    start = ("on_tool_start", {"agent": "lead", "name": "add", "input": {"a": 1}})
    end = ("on_tool_end", {"name": "add", "output": "x" * 500, "status": "error"})
    lines = told(capsys, start, end, ("on_state_update", {}), ("end", {"status": "completed"}))
    assert lines[0] == "lead → add {'a': 1}"
    assert lines[1].startswith("add → xxx")
    assert lines[1].endswith("…")
    assert lines[2:] == ["completed"]


def test_what_a_model_says_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, ("on_llm_stream", {"agent": "[red]", "content": "[bold]x[/nope]"})) == ["[red]: [bold]x[/nope]"]
