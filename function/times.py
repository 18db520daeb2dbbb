"""Durations, cron times and time zones.

The grammars are those of the programs that read them: Go's time.ParseDuration (External Secrets) and robfig/cron's five
fields without descriptors, as KEDA's cron scaler parses them.
"""

import re
from fractions import Fraction

from function.invalid import show

_UNITS = {
    "ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "µs": Fraction(1, 10**6), "ms": Fraction(1, 10**3),
    "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600),
}  # fmt: skip
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
DURATION_PATTERN = r"^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$"
LONGEST_HOURS = 24 * 365

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
CRON_PATTERN = r"^[0-9A-Za-z*?,/-]+( +[0-9A-Za-z*?,/-]+){4}$"
ZONE_PATTERN = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


def seconds(text: str) -> Fraction:
    """A Go duration in seconds, or ValueError."""
    total, at = Fraction(0), 0
    while found := _PART.match(text, at):
        total += Fraction(found[1].rstrip(".")) * _UNITS[found[2]]
        at = found.end()
    if at != len(text) or not text:
        msg = f"{show(text)} is not a duration such as 30s, 15m or 1h30m"
        raise ValueError(msg)
    return total


def check_refresh(text: str) -> None:
    """Raise ValueError for an interval that would flood the secret store, or that never comes."""
    if not 1 <= seconds(text) <= LONGEST_HOURS * 3600:
        msg = f"{show(text)} is not between 1s and {LONGEST_HOURS}h"
        raise ValueError(msg)


_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
_LONGEST = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))  # days of each month


def check_cron(text: str) -> None:
    """Raise ValueError that says which of the five fields is wrong and how, or that the time never comes."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        wanted = "five: minute hour day-of-month month day-of-week, such as 0 8 * * 1-5"
        msg = f"{show(text)} has {len(fields)} fields, not {wanted}"
        raise ValueError(msg)
    _, _, days, months, _ = (_values(field, *row) for field, row in zip(fields, _FIELDS, strict=True))
    # Both day fields given means either of them, so only a lone day of the month can be one that no month has.
    if fields[4] in ("*", "?") and min(days) > max(_LONGEST[month] for month in months):
        msg = f"{show(text)} never comes, none of its months has that day"
        raise ValueError(msg)


def _values(field: str, what: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for item in field.split(","):
        found = _item(item, least, most, names)
        if not found:
            named = f" or {names[0]} to {names[-1]}" if names else ""
            msg = f"{show(item)} is not a {what}: {least} to {most}{named}, a range a-b, a step a-b/n, or *"
            raise ValueError(msg)
        values.update(found)
    return values


def _item(item: str, least: int, most: int, names: tuple[str, ...]) -> range:
    """The values of one item of a field, none when it is not one."""
    span, slash, step = item.partition("/")
    if slash and not re.fullmatch("0*[1-9][0-9]{0,2}", step):
        return range(0)
    first, dash, last = span.partition("-")
    if span in ("*", "?"):
        low, high = least, most
    else:
        low = _number(first, least, most, names)
        # "5/10" means 5-59/10 to robfig/cron.
        high = _number(last, least, most, names) if dash else (most if slash else low)
    return range(low, high + 1, int(step or 1)) if low >= least else range(0)


def _number(text: str, least: int, most: int, names: tuple[str, ...]) -> int:
    """A number or name in its range, -1 for anything else."""
    if text.lower() in names:
        return names.index(text.lower()) + least
    return int(text) if re.fullmatch("[0-9]{1,3}", text) and least <= int(text) <= most else -1


def check_zone(text: str) -> None:
    """Raise ValueError unless this is a time zone of the IANA database."""
    from function.timezones import NAMES  # noqa: PLC0415 - 600 names that most claims do not need

    if text not in NAMES:
        msg = f"{show(text)} is not an IANA time zone such as Europe/Berlin or UTC"
        raise ValueError(msg)
