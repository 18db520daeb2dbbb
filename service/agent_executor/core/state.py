"""The graph's state in its three forms: the client's JSON, the graph's own values, what a tool script sees.

Invariant: to clients and scripts a file's `content` is a list of lines, in the graph it is one string, and every
crossing converts. Whatever leaves is plain JSON: never a repr, never a value that JSON or UTF-8 cannot hold.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent_executor.core import limits
from agent_executor.errors import PermanentError, shown
from agent_executor.services.json import clean

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
OWN = frozenset({limits.CHANNEL, "jump_to", "structured_response"})
"""State that is ours or LangChain's: no client sees it and no script writes it."""
OVERWRITE = "__overwrite__"  # LangGraph's own, in a dict: put this value past the reducer
Seen = dict[Any, Any]
"""What parts of the state looked like: messages by identity, fields by name, under `files` the last ones by path."""
SHOWN_APART = OWN | {"messages", "files", "todos"}


def accept(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A graph's input from a job's `input_payload`; raises `PermanentError("invalid_input")` with the path."""
    from langchain_core.messages import convert_to_messages  # noqa: PLC0415  # slow, and only for a job

    given = payload.get("messages")
    if isinstance(given, Mapping | str):
        given = [given]
    if not isinstance(given, Sequence) or not given:
        raise _refusal("messages", "is missing, and would be right as a list of {role, content}")
    messages = []
    for i, message in enumerate(given):
        try:
            messages += readable(convert_to_messages([message]))
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
            raise _refusal(f"messages[{i}]", "is not a message, and would be right as {role, content}") from None
    files = payload.get("files") or {}
    if not isinstance(files, Mapping):
        raise _refusal("files", f"{shown(files)} is not a map from path to file")
    others = {name: value for name, value in payload.items() if name not in OWN and not name.startswith("_")}
    values = {**others, "messages": messages, "files": stored_files(files, "input_payload.files")}
    refuse_overwriting(values, "input_payload.")
    return values


def snapshot(values: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]:
    """The state as clients see it: `messages`, `files`, `todos` and the definition's own fields.

    `seen` remembers what its parts looked like (by identity), so that what has not changed is not rendered again.
    """
    seen = {} if seen is None else seen
    files = {path: file for path, file in (values.get("files") or {}).items() if file is not None}
    before, seen["files"] = seen.get("files") or {}, {}
    others = [name for name in values if name not in SHOWN_APART and not name.startswith("_")]
    return {
        "messages": [_remembered(id(one), one, message, seen) for one in values.get("messages") or ()],
        "files": {
            clean(path): _remembered(path, file, _shown_file, before, seen["files"]) for path, file in files.items()
        },
        "todos": _remembered("todos", values.get("todos") or [], clean, seen),
        **{name: _remembered(name, values[name], plain, seen) for name in others},
    }


def result(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `agent.status.completed` carries: the last state, and `output`, the text of the last answer."""
    messages = values.get("messages") or ()
    last = next((message.text for message in reversed(messages) if message.type == "ai" and message.text), "")
    return {"output": clean(last), **snapshot(values)}


def for_script(values: Mapping[str, Any], fields: frozenset[str] | None) -> dict[str, Any]:
    """The fields of the state that a tool script reads (None: all); files hold lines, messages stay messages."""
    chosen = {name: value for name, value in values.items() if (fields is None or name in fields) and name not in OWN}
    if "files" in chosen or "files" in (fields or ()):
        chosen["files"] = shown_files(values.get("files") or {})
    return chosen


def message(value: "BaseMessage") -> dict[str, Any]:
    """One message for clients."""
    shape: dict[str, Any] = {
        "role": ROLES.get(value.type, value.type),
        # Providers put text, tool calls and their bookkeeping into blocks; clients know an answer's content as text.
        "content": clean(value.text if value.type == "ai" else value.content),
        "id": value.id,
    }
    if value.type == "ai" and (calls := getattr(value, "tool_calls", None)):
        shape["tool_calls"] = [
            {"id": call["id"], "name": clean(call["name"]), "args": clean(call["args"])} for call in calls
        ]
    if value.type == "tool":
        shape["tool_call_id"] = getattr(value, "tool_call_id", None)
        shape["status"] = getattr(value, "status", "success")
    if value.name:
        shape["name"] = clean(value.name)
    return shape


def readable(messages: list[Any]) -> list[Any]:
    """The messages, if models, libraries and clients can read them; else raises `ValueError`, `TypeError`, `KeyError`.

    LangChain takes what its own classes make of a message as it is: tool calls of a user, a text block without a text.
    """
    for one in messages:
        if one.type != "ai" and getattr(one, "tool_calls", None):
            raise ValueError("only a message of the assistant has tool calls")
        if isinstance(one.content, list):
            "".join(block["text"] for block in one.content_blocks if block["type"] == "text")
    return messages


def shown_files(files: Mapping[str, Any]) -> dict[str, Any]:
    """Files as clients and scripts see them: `{content: lines, created_at, modified_at}`."""
    return {clean(path): _shown_file(file) for path, file in files.items() if file is not None}


def stored_files(files: Mapping[str, Any], path: str = "files") -> dict[str, Any]:
    """Files as the graph keeps them; a bare text or list is a file's content, `null` deletes it."""
    return {name: None if file is None else _stored_file(file, f"{path}.{name}") for name, file in files.items()}


def refuse_overwriting(values: Mapping[str, Any], path: str = "") -> None:
    """Raise `PermanentError("invalid_input")` where a value from outside would go past its field's reducer."""
    for name, value in values.items():
        if isinstance(value, Mapping) and (OVERWRITE in value or value.get("type") == OVERWRITE):
            raise PermanentError("invalid_input", f"{path}{name[:200]}: may be added to, not overwritten ({OVERWRITE})")


def plain(value: Any) -> Any:
    """Any value of the state as JSON; messages, also in lists, become what `message` makes of them."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "content") and hasattr(value, "type"):
        return message(value)
    return clean(value)


def _remembered(key: Any, value: Any, render: Callable[[Any], Any], seen: Seen, kept: Seen | None = None) -> Any:
    # The value itself is kept beside its form, so its identity cannot be taken by another object.
    known = seen.get(key)
    if known is None or known[0] is not value:
        known = (value, render(value))
    (seen if kept is None else kept)[key] = known
    return known[1]


def _shown_file(file: Mapping[str, Any]) -> dict[str, Any]:
    content = file.get("content", "")
    shape = {
        "content": [clean(line) for line in (content.split("\n") if isinstance(content, str) else content)],
        "created_at": file.get("created_at"),
        "modified_at": file.get("modified_at"),
    }
    return shape if file.get("encoding", "utf-8") == "utf-8" else {**shape, "encoding": file["encoding"]}


def _stored_file(file: object, path: str) -> dict[str, Any]:
    given = file if isinstance(file, Mapping) else {"content": file}
    content = given.get("content", "")
    if isinstance(content, Sequence) and not isinstance(content, str) and all(isinstance(x, str) for x in content):
        content = "\n".join(content)
    if not isinstance(content, str):
        raise PermanentError("invalid_input", f"{path[:200]}.content: is not a list of lines")
    now = datetime.now(UTC).isoformat()
    return {
        "content": content,
        "encoding": given.get("encoding") or "utf-8",
        "created_at": given.get("created_at") or now,
        "modified_at": given.get("modified_at") or now,
    }


def _refusal(path: str, complaint: str) -> PermanentError:
    return PermanentError("invalid_input", f"input_payload.{path}: {complaint}")
