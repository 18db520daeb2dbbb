"""What a person types, as values: files, messages, and the two ways in which a command can fail."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

NEAREST = "the one of `local`, else port 8080 of this machine"


def at(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that say which service is meant; `default` is which one that is when they do not."""
    where = f"Address of the service; {default} when not given."
    url = click.option("--url", envvar="AGENT_EXECUTOR_URL", show_envvar=True, help=where)
    token = click.option(
        "--token", envvar="AGENT_EXECUTOR_API_TOKEN", show_envvar=True, help="Bearer token of the API."
    )
    return lambda function: url(token(function))


class Failed(click.ClickException):
    """One line on standard error: the job or the service failed."""


class Misused(click.ClickException):
    """One line on standard error: an argument or a setting is wrong."""

    exit_code = 2


def read_definition(file: Path) -> dict[str, Any]:
    """The agent definition in a file (`-` is standard input): bare, or as a job has it. Raises `Misused`."""
    found = _json(_text(file), str(file))
    if not isinstance(found, dict):
        raise Misused(f"{file}: is not an agent definition, which is a JSON object with `nodes`")
    inner = found.get("agent_definition")
    return inner if isinstance(inner, dict) else found


def read_payload(given: str) -> dict[str, Any]:
    """What `--input` means: a JSON object is the payload, any other text one message; `@FILE` has either."""
    text = _text(Path(given[1:])) if given.startswith("@") else given
    if text.lstrip().startswith("{"):
        found = _json(text, "--input")
        return dict(found)
    return {"messages": [{"role": "user", "content": text}]}


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeError) as error:
        raise Misused(f"{file}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}") from None


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Misused(f"{place}: is not JSON: {error}") from None
    except RecursionError:
        raise Misused(f"{place}: is nested too deeply") from None
