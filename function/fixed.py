"""Parts of manifests that are made once for the same arguments, so that each is also encoded once.

Most of a manifest is the same for every claim: probes, security contexts, references to the default Secrets. Invariant:
nobody changes such a part; to everything but `wire` it is the plain dict that it looks like.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 64  # of each part: enough for what claims have in common, and for no claim's own values to pile up


class Fixed(dict[str, Any]):
    """A dict with room for its own encoding."""

    __slots__ = ("encoded",)
    encoded: bytes


def fixed(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the dicts that `make` returns; its arguments are hashable, and it depends on nothing else."""

    def part(*args: Any) -> Fixed:
        return Fixed(cast("Callable[..., dict[str, Any]]", make)(*args))

    return cast("Callable[P, T]", lru_cache(maxsize=KEPT)(part))
