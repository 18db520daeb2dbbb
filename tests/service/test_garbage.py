"""What is imported is kept from the collector, and the collector is back afterwards, whatever happened."""

import gc

import pytest

from agent_executor import garbage


def test_what_a_block_makes_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with garbage.spared():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() - before > len(made)


def test_an_import_that_fails_does_not_end_the_collector() -> None:
    with pytest.raises(ImportError), garbage.spared():
        raise ImportError("a module that is not there")
    assert gc.isenabled()
