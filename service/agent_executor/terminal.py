"""What a person sees of a job and of an examination: progress on a terminal, plain lines elsewhere.

Everything here goes to standard error but findings: standard output is for results that a program may read.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

if TYPE_CHECKING:
    from agent_executor.doctor import Finding

WIDTH = 100  # characters of an argument or an answer on one line
COLOURS = {"ok": "green", "differs": "red", "missing": "red", "weaker": "yellow"}


class Narrator:
    """Tells a job's events, one line each; model output is joined into the lines that the model wrote."""

    def __init__(self, job_id: str) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._job_id = job_id
        self._speaker: str | None = None
        self._said = ""

    def __enter__(self) -> Self:
        """Show that something runs, where somebody can see it."""
        if self._console.is_terminal:
            self._status = self._console.status(f"job {escape(self._job_id)}")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say what was left unsaid."""
        self._finish_sentence()
        if self._status:
            self._status.stop()

    def tell(self, message: dict[str, Any]) -> None:
        """One live event."""
        data = message["data"]
        match message["event_type"]:
            case "on_llm_stream":
                self._listen(data.get("agent") or "agent", data.get("content") or "")
            case "on_tool_start":
                self._line("cyan", f"{data.get('agent') or 'agent'} → {data.get('name')}", str(data.get("input", "")))
            case "on_tool_end":
                colour = "red" if data.get("status") == "error" else "cyan"
                self._line(colour, f"{data.get('name')} →", str(data.get("output", "")))
            case "end":
                self._line(
                    "green" if data.get("status") == "completed" else "red", str(data.get("status") or "end"), ""
                )

    def _listen(self, speaker: str, words: str) -> None:
        if speaker != self._speaker:
            self._finish_sentence()
            self._speaker = speaker
        self._said += words
        while "\n" in self._said:
            line, self._said = self._said.split("\n", 1)
            self._say(line)

    def _finish_sentence(self) -> None:
        if self._said:
            self._say(self._said)
        self._said = ""

    def _say(self, line: str) -> None:
        self._console.print(f"[bold]{escape(self._speaker or '')}:[/bold] {escape(line)}")

    def _line(self, colour: str, what: str, rest: str) -> None:
        self._finish_sentence()
        short = rest if len(rest) <= WIDTH else f"{rest[: WIDTH - 1]}…"
        self._console.print(f"[{colour}]{escape(what)}[/{colour}] {escape(' '.join(short.split()))}".rstrip())


@contextlib.contextmanager
def waiting(what: str, *, line: bool = True) -> Iterator[None]:
    """Show what the block waits for: moving while it does on a terminal, as a line elsewhere if that helps anybody."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        with console.status(escape(what)):
            yield
        return
    if line:
        console.print(escape(what))
    yield


def findings(found: "Iterable[Finding]") -> None:
    """An examination, as a table on a terminal and as lines elsewhere."""
    console = Console()
    if not console.is_terminal:
        for each in found:
            advice = f" - {each.advice}" if each.advice else ""
            sys.stdout.write(f"{each.verdict}: {each.what}: {each.text}{advice}\n")
        return
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for each in found:
        colour = COLOURS[each.verdict]
        table.add_row(f"[{colour}]{each.verdict}[/{colour}]", escape(each.what), escape(each.text), escape(each.advice))
    console.print(table)
