from fractions import Fraction

import pytest

from function.quantity import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", Fraction(1, 4)),
        ("2", 2),
        ("0", 0),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("2.", 2),
        ("1.5Gi", 1536 * 2**20),
        ("512Mi", 2**29),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1E", 10**18),
        ("1e3", 1000),
        ("1E-3", Fraction(1, 1000)),
        ("5u", Fraction(5, 10**6)),
        ("7n", Fraction(7, 10**9)),
    ],
)
def test_a_quantity_is_an_exact_number(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "m", "1 Gi", "-1", "+1", "1K", "1ki", "1GiB", "1..5", ".", "1e", "1e1000", "٣", "1\n", "1" * 40, "0x10"],
)
def test_what_kubernetes_would_not_take_is_no_quantity(text):
    with pytest.raises(ValueError, match="is not a Kubernetes quantity such as 250m, 2 or"):
        parse(text)
