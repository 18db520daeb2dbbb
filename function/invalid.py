"""Faults: what is wrong with an input, where, and what would be right.

Invariant: a message never carries more than 80 characters of a value, never the content of a list or an object, and
building one never fails, whatever the value is.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from function.model import model_at

ECHO = 80  # characters of a value that a message may show
MOST = 50  # faults that one error lists: a result has to fit into an event


class Invalid(ValueError):  # noqa: N818 - it is raised for what is invalid, and caught by that word
    """An input that cannot be honoured. `faults` has one `path: what, and what would be right` for each thing wrong."""

    def __init__(self, faults: Iterable[str]) -> None:
        """Keep every fault once, in order, up to MOST of them."""
        found = tuple(dict.fromkeys(faults))
        more = (f"and {len(found) - MOST} more",) if len(found) > MOST else ()
        self.faults: tuple[str, ...] = found[:MOST] + more
        super().__init__("; ".join(self.faults))


def show(value: object) -> str:
    """A value as a message may show it: one line, at most 80 characters of it, containers only by their kind."""
    if isinstance(value, str):
        return repr(value) if len(value) <= ECHO else repr(value[: ECHO - 1] + "…")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) else f"a {type(value).__name__}"


def path(*steps: object) -> str:
    """A field's path as a person would write it: `spec.env[0].name`, `spec.podTemplate.labels['a/b']`."""
    out = ""
    for step in steps:
        if isinstance(step, int):
            out += f"[{step}]"
        elif isinstance(step, str) and step.isascii() and step.isidentifier() and len(step) <= ECHO:
            out += f".{step}" if out else step
        else:
            out += f"[{show(step)}]"
    return out


def from_pydantic(error: ValidationError, model: type[BaseModel], *root: str) -> list[str]:
    """The faults of a pydantic error, with paths below `root`; `model` knows what a misspelt field may mean."""
    details = error.errors(include_url=False)
    # A list whose entries are all wrong is too short to pydantic as well, and that is no news.
    holders = {detail["loc"][:-1] for detail in details}
    told = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in holders]
    # What nobody will read is only counted: looking for the field that was meant takes 0.1 ms.
    counted = [path(*root, *detail["loc"]) for detail in told[MOST:]]
    return [_fault(detail, model, root) for detail in told[:MOST]] + counted


def _fault(detail: ErrorDetails, model: type[BaseModel], root: tuple[str, ...]) -> str:
    steps = [step for step in detail["loc"] if step != "[key]"]
    return f"{path(*root, *steps)}: {_says(detail, model)}"


def _says(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    match kind:
        case "value_error":
            return str(context["error"])
        case "missing":
            return "is missing, and is required"
        case "extra_forbidden" | "invalid_key":
            return _unknown(detail["loc"], model)
        case "literal_error":
            return f"{show(value)} is not {context['expected'].replace(' or ', ', ')}"
        case "greater_than_equal":
            return f"{show(value)} is too small, the least is {context['ge']}"
        case "less_than_equal":
            return f"{show(value)} is too large, the most is {context['le']}"
        case "too_long":
            return f"has more than {context['max_length']} entries"
        case "too_short":
            return f"needs at least {context['min_length']} entries"
        case "string_unicode":
            return "is not valid Unicode"
    wanted = _WANTED.get(kind.partition("_")[0])
    # What stands where a variable belongs may be its value.
    shown = "it" if detail["loc"][:1] == ("env",) else show(value)
    return f"{shown} is not {wanted}" if wanted else detail["msg"]


_WANTED = {
    "string": "a string",
    "int": "a whole number",
    "bool": "true or false",
    "model": "an object",
    "dict": "an object",
    "tuple": "a list",
}


def _unknown(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = _fields(model, loc[:-1])
    close = get_close_matches(str(loc[-1])[:ECHO], known, n=1)
    return (
        f"unknown field, did you mean {close[0]!r}?" if close else f"unknown field, the fields are {', '.join(known)}"
    )


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    return [field.alias or name for name, field in model_at(model, loc).model_fields.items()]
