"""What the service and the rest of it say to each other about tool scripts: plain frozen values, no LangChain."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from agent_executor.settings import Settings

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much one call of a script may use. Bytes and seconds; counts at one time."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 30
    memory_bytes: int = 512 * MEGABYTE
    file_bytes: int = 16 * MEGABYTE
    directory_bytes: int = 64 * MEGABYTE
    directory_entries: int = 10_000
    open_files: int = 64
    threads: int = 64
    output_bytes: int = 4 * MEGABYTE
    input_bytes: int = 64 * MEGABYTE
    calls_per_job: int = 4
    network: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits that the settings ask for."""
        return cls(
            wall_seconds=settings.tool_timeout_seconds,
            cpu_seconds=settings.tool_cpu_seconds,
            memory_bytes=settings.tool_memory_bytes,
            file_bytes=settings.tool_file_bytes,
            directory_bytes=4 * settings.tool_file_bytes,
            open_files=settings.tool_open_files,
            output_bytes=settings.tool_output_bytes,
            network=settings.tool_network,
        )

    def walls(self, directory: str) -> dict[str, Any]:
        """What the kernel is to hold a worker to, as the fields of `sandbox.Walls`."""
        kept = ("memory_bytes", "cpu_seconds", "file_bytes", "open_files", "network")
        return {"directory": directory, **{name: getattr(self, name) for name in kept}}


@dataclass(frozen=True)
class ToolSpec:
    """One script as the graph needs to know it.

    `args_schema` is the JSON schema of what the model fills in, injected arguments left out. `state_fields` are the
    fields of the graph's state that the script reads (`InjectedState("files")`), None for all of it (`InjectedState`,
    `ToolRuntime`), empty for none.
    """

    name: str
    description: str
    args_schema: Mapping[str, Any]
    state_fields: frozenset[str] | None
    return_direct: bool = False


@dataclass(frozen=True)
class Content:
    """What a call says to the model: text or content blocks. `error` is for the model to read; the job goes on."""

    content: str | list[str | dict[str, Any]]
    status: Literal["success", "error"] = "success"


@dataclass(frozen=True)
class Update:
    """What a call changes in the graph's state (`Command(update=...)`), messages as LangChain messages.

    The ToolMessage for the call may be missing; the caller adds it.
    """

    update: Mapping[str, Any]


Outcome = Content | Update

Waiting = Callable[[], AbstractContextManager[None]]
"""Stands around the time in which a call waits for its turn."""
