"""What the file tools of deepagents are asked to do, looked at before they do it.

They work on the event loop, with whatever a model or a definition asks for.
"""

from collections.abc import Mapping
from typing import Any

from deepagents.backends.utils import validate_path

from agent_executor.core.weight import LINE


def growth(name: str, args: Mapping[str, Any], files: Mapping[str, Any]) -> int:
    """Bytes by which a call is going to make the state grow, where that can be told from outside; about."""
    if name == "write_file" and isinstance(content := args.get("content"), str):
        return _size(content, content.isascii())
    if name == "edit_file":
        return _edited(args, files)
    return 0


def _edited(args: Mapping[str, Any], files: Mapping[str, Any]) -> int:
    path, old, new = (args.get(key) for key in ("file_path", "old_string", "new_string"))
    if not (isinstance(path, str) and isinstance(old, str) and isinstance(new, str) and old):
        return 0
    try:
        content = (files.get(validate_path(path)) or {}).get("content")
    except ValueError:
        return 0  # as the tool is going to say
    if not isinstance(content, str) or not (count := content.count(old)):
        return 0
    if count > 1 and not args.get("replace_all"):
        return 0  # the tool only says how often it is there
    plain = content.isascii() and new.isascii()
    growth = count * (_size(new, plain) - _size(old, plain))
    return max(growth + _size(content, plain) - _size(content, content.isascii()), 0)


def _size(text: str, plain: bool) -> int:  # noqa: FBT001
    # One wide character makes four bytes of every other.
    return len(text) * (1 if plain else 4) + LINE * text.count("\n")
