"""The most that a definition may have of each thing; nothing that is meant comes near.

Invariant: a list or object is counted before anything in it is looked at. Pydantic's own `max_length` comes after a
fault for each entry: seconds of the event loop, and hundreds of megabytes, for one body of the size that HTTP takes.
"""

from collections.abc import Mapping

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from agent_executor.errors import SHOWN

# A node costs 20 ms to build and a tool a worker process, so a definition cannot keep a pod busy for minutes.
NODES, TOOLS, EDGES = 50, 200, 1000
NODE_TOOLS = 300  # names in `tools` and `interrupt_on`: every tool there can be, and the built-in ones
FIELDS = 100  # of the state, over all nodes: each costs every node 1 ms to build, and 1.4 kB for as long as it is kept
TURNS, CALLS = 1000, 100  # of a scripted model, and of one turn of it
DEPENDENCIES = 100  # of one tool
NAME = 200  # characters of what names the agent, a node or a model: every live event repeats some
URL = 2000
# Of all lists and objects together, a tool call's arguments among them: a megabyte has room for 400,000.
ENTRIES = 20_000
LONGEST_PATH = 200


def at_most(most: int) -> BeforeValidator:
    """For a list or object of at most so many entries."""

    def counted(given: object) -> object:
        if isinstance(given, list | tuple | Mapping) and len(given) > most:
            raise PydanticCustomError(
                "too_many",
                "has {count} entries, and at most {most} would be right",
                {"count": len(given), "most": most},
            )
        return given

    return BeforeValidator(counted)


def overflow(raw: object) -> str | None:
    """What is wrong if a definition has too many entries in all, and where; far more take it no longer."""
    count, found = 0, [("", raw)]
    while found:
        path, one = found.pop()
        if not isinstance(one, list | tuple | Mapping):
            continue
        count += len(one)
        if count > ENTRIES:
            where = path.removeprefix(".") or "agent_definition"
            return (
                f"{where}: with its {len(one)} entries there are more than {ENTRIES} in all, and fewer would be right"
            )
        if isinstance(one, Mapping):
            found += [(f"{path}.{str(key)[:SHOWN]}"[:LONGEST_PATH], value) for key, value in one.items()]
        else:
            found += [(f"{path}[{i}]"[:LONGEST_PATH], value) for i, value in enumerate(one)]
    return None
