"""Real clusters for the end-to-end tests, each with the time that every step took.

`E2E_CLUSTER` says what they are made of: `binaries`, or `kind`. What cannot be had on this machine is skipped with its
reason; `E2E_REQUIRE=1` turns every skip into a failure.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.e2e import executors
from tests.e2e.lab import cluster, ways
from tests.e2e.lab.cluster import Cluster, Lab
from tools.gomodules import UnavailableError

LABS = ("claims", "namespaced", "pods")  # the fixtures
Timed = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="session", autouse=True)
def way_to_a_cluster() -> None:
    """Refuse a way that there is not, rather than go another."""
    ways.asked()


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
def where(claims: Lab) -> Iterator[str]:
    """A namespace of the test's own on the claim model's cluster."""
    with executors.namespace(claims.api) as name:
        yield name


@pytest.fixture
def timed(request: pytest.FixtureRequest) -> Timed:
    """`with timed("what"):` has the step and its seconds in the last lines of the run."""

    @contextmanager
    def measure(what: str) -> Iterator[None]:
        start, ended = time.monotonic(), " not done after"
        try:
            yield
            ended = ""
        finally:
            seconds = time.monotonic() - start
            request.node.user_properties.append(("e2e", f"{request.node.name}: {what}:{ended} {seconds:.1f} s"))

    return measure


def fail_if_required() -> Generator[None, object, object]:
    """Around a phase of a test: with E2E_REQUIRE=1 what cannot be had is a failure, and no skip."""
    try:
        return (yield)
    except UnavailableError as missing:
        if os.environ.get("E2E_REQUIRE") == "1":
            pytest.fail(str(missing))
        raise


# Last, so inside of tests/conftest.py's, which makes a skip of what comes out.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Fixtures may need what is not here."""
    return (yield from fail_if_required())


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """So may tests."""
    return (yield from fail_if_required())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the lab's processes said last: their logs go with the lab."""
    report = yield
    if report.failed:
        used = [value for name, value in getattr(item, "funcargs", {}).items() if name in LABS]
        labs = [value.lab if isinstance(value, Cluster) else value for value in used]
        for process in (process for lab in labs for process in lab.plane.processes.all):
            report.sections.append((f"the end of {process.name}'s log", process.tail(1500)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the times, those of failed tests too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    lines = [text for report in reports for key, text in report.user_properties if key == "e2e"]
    if lines:
        terminalreporter.section("times")
        for line in lines:
            terminalreporter.write_line(line)
