"""Real clusters for the end-to-end tests, each with the time that every step took.

`E2E_REQUIRE=1` turns every skip into a failure. What cannot be had on this machine is skipped with its reason.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.e2e.lab import cluster
from tests.e2e.lab.cluster import Cluster, Lab
from tools.gomodules import UnavailableError

Timed = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def claims() -> Iterator[Lab]:
    """A control plane of the claim model, without pods."""
    with cluster.platform("claim") as lab:
        yield lab


@pytest.fixture(scope="session")
def namespaced() -> Iterator[Lab]:
    """A control plane of the namespaced model, without pods."""
    with cluster.platform("namespaced") as lab:
        yield lab


@pytest.fixture(scope="session")
def pods() -> Iterator[Cluster]:
    """A cluster of the claim model that runs pods."""
    with cluster.full("claim") as running:
        yield running


@pytest.fixture
def timed(request: pytest.FixtureRequest) -> Timed:
    """`with timed("what"):` has the step and its seconds in the last lines of the run."""

    @contextmanager
    def measure(what: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        request.node.user_properties.append(("e2e", f"{request.node.name}: {what}: {seconds:.1f} s"))

    return measure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """With E2E_REQUIRE=1 what cannot be had is a failure."""
    try:
        return (yield)
    except UnavailableError as missing:
        if os.environ.get("E2E_REQUIRE") == "1":
            pytest.fail(str(missing))
        raise


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the times, those of failed tests too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    lines = [text for report in reports for key, text in report.user_properties if key == "e2e"]
    if lines:
        terminalreporter.section("times")
        for line in lines:
            terminalreporter.write_line(line)
