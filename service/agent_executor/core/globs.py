"""Patterns of the file tools that would keep the process busy, told before they are matched.

deepagents makes a regular expression of a pattern and matches it on the event loop, where nothing can break it off.
Each `**` in it is tried at every slash of a path, for every place of the `**` before it; a `*` is tried once (atomic
groups). So the steps are known before: some 40 ns each (seen). `grep` itself searches for a text, not for an
expression.
"""

from collections.abc import Iterable, Mapping
from typing import Any

STEPS = 20_000_000
LONGEST = 200  # characters
ALTERNATIVES = 64
MATCHES = 10_000


def refusal(name: str, args: Mapping[str, Any], files: Iterable[str]) -> str | None:
    """Why a call is not made, for the model; None if it is."""
    pattern = args.get({"glob": "pattern", "grep": "glob"}.get(name, ""))
    if name == "grep" and isinstance(most := args.get("max_count"), int) and most > MATCHES:
        return f"Error: max_count is {most}, and may be {MATCHES}."
    if not isinstance(pattern, str):
        return None
    if len(pattern) > LONGEST:
        return f"Error: the glob pattern is longer than {LONGEST} characters."
    if "{" in pattern and (".." in pattern or _alternatives(pattern) > ALTERNATIVES):
        return f"Error: the glob pattern has a range, or more than {ALTERNATIVES} alternatives, in its braces."
    if _is_slow(pattern, files):
        return "Error: matching this glob pattern takes too long here. Use fewer ** in it, or an exact path."
    return None


def _is_slow(pattern: str, files: Iterable[str]) -> bool:
    # With braces two stars may come together that are apart in the pattern.
    globstars = pattern.count("*") // 2 if "{" in pattern else pattern.count("**")
    steps, alternatives, once = 0, _alternatives(pattern), 2 * pattern.count("*")
    for path in files:
        steps += len(path) * alternatives * ((path.count("/") + 1) ** globstars + once)
        if steps > STEPS:
            return True
    return False


def _alternatives(pattern: str) -> int:
    """At most so many patterns are behind one with braces."""
    total, commas = 1, [0]
    for one in pattern:
        if one == "{":
            commas.append(0)
        elif one == "," and len(commas) > 1:
            commas[-1] += 1
        elif one == "}" and len(commas) > 1:
            total *= commas.pop() + 1
    for left in commas[1:]:
        total *= left + 1
    return total
