"""What a person sees of a job, of an examination and of a wait: on a terminal, and elsewhere."""

import re
from typing import Any

import pytest

from agent_executor import cli, doctor
from agent_executor.doctor import Finding
from agent_executor.terminal import Narrator, findings, waiting

FOUND = [Finding("postgresql", "missing", "no [connection]", "check it"), Finding("sandbox", "ok", "every wall")]


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


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


def test_a_wait_is_a_line_where_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("starting [a] service"):
        assert capsys.readouterr() == ("", "starting [a] service\n")
    with waiting("starting", line=False):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("on_a_terminal")
def test_a_wait_moves_on_a_terminal_and_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("starting [a] service", line=False):
        pass
    captured = capsys.readouterr()
    cursor_hidden, cursor_shown, line_erased = (f"\x1b[{code}" for code in ("?25l", "?25h", "2K"))
    assert captured.out == ""
    assert captured.err.startswith(cursor_hidden)
    _, _, after = captured.err.partition("starting [a] service")
    assert after
    assert line_erased in after
    assert cursor_shown in after


@pytest.mark.usefixtures("on_a_terminal")
def test_a_job_that_runs_is_shown_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Narrator("job-1") as narrator:
        narrator.tell({"event_type": "end", "data": {"status": "completed"}})
    shown = capsys.readouterr().err
    assert "job job-1" in shown
    assert "completed" in shown


@pytest.mark.usefixtures("on_a_terminal")
def test_an_examination_is_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    findings(FOUND)
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert [re.split(r" {2,}", line.strip()) for line in shown.splitlines()] == [
        ["what", "found", "what to do"],
        ["missing", "postgresql", "no [connection]", "check it"],
        ["ok", "sandbox", "every wall"],
    ]


def test_an_examination_is_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    findings(FOUND)
    assert capsys.readouterr().out.splitlines() == [
        "missing: postgresql: no [connection] - check it",
        "ok: sandbox: every wall",
    ]


@pytest.mark.usefixtures("on_a_terminal")
def test_a_doctor_who_looks_is_seen_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(_: object) -> list[Finding]:
        return FOUND

    monkeypatch.setattr(doctor, "examine", examine)
    monkeypatch.setattr(cli, "read_settings", lambda: None)
    monkeypatch.setattr(cli, "log_to_terminal", lambda _: None)
    with pytest.raises(SystemExit, match="1"):
        cli.main(["doctor"], standalone_mode=False)
    captured = capsys.readouterr()
    assert "looking at PostgreSQL, NATS and Dragonfly" in captured.err
    assert "postgresql" in captured.out
