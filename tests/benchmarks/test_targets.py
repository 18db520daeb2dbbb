"""What a table says beside a figure that has a target."""

import pytest

from benchmarks.targets import to_reach


@pytest.mark.parametrize(
    ("figure", "least", "said"),
    [
        (1.2, False, "(to reach: 1.25)"),
        (1.25, False, "(to reach: 1.25)"),
        (1.26, False, "(to reach: 1.25, missed)"),
        (1.26, True, "(to reach: 1.25)"),
        (1.25, True, "(to reach: 1.25)"),
        (1.2, True, "(to reach: 1.25, missed)"),
    ],
)
def test_a_target_that_is_missed_is_said_so(figure, least, said):
    assert to_reach(figure, 1.25, least=least) == said
