"""Kubernetes quantities, as exact numbers.

The grammar is that of k8s.io/apimachinery/pkg/api/resource.Quantity, without signs: what a container asks for is never
negative.
"""

import re
from fractions import Fraction

SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 10**3), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}  # fmt: skip
PATTERN = r"^([0-9]{1,18}(\.[0-9]{0,9})?|\.[0-9]{1,9})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$"
_GRAMMAR = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?")


def parse(text: str) -> Fraction:
    """Parse a quantity such as 250m, 2, 1.5Gi or 1e3.

    Raises:
        ValueError: not a quantity, or one with more digits than a container's resources ever need.
    """
    if (found := _GRAMMAR.fullmatch(text)) is None:
        msg = f"{text[:80]!r} is not a Kubernetes quantity such as 250m, 2 or 1.5Gi"
        raise ValueError(msg)
    digits, suffix = found[1], found[2] or ""
    scale = SUFFIXES.get(suffix)
    return Fraction(digits) * (scale if scale is not None else Fraction(10) ** int(suffix[1:]))
