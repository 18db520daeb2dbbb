"""What this machine cannot run is skipped, and every run ends with what was skipped, and why.

A test that needs what cannot be had here (UnavailableError: a Go module, a program built from one) is skipped. The last
lines of a run are `skipped: N` and one line for each reason, or `skipped: none`, also with pytest-xdist. Where Go is on
the machine nothing may be skipped: then a skip fails the run, unless its reason starts with one of ALLOWED.

The names of tests are the same in every process, or nothing is run. What uses real servers is marked slow, so that
the quick part stays quick as more of it is added.
"""

import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterator

import pytest

from tools.gomodules import UnavailableError

ALLOWED = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",  # tests of the real providers: nobody but the user has the keys
    "only root",  # nobody becomes root for a test
    "no Docker engine",
    "no base image",  # an engine that reaches no registry, and has none either
    "no node image",  # the same
)
SERVERS = "servers"  # the fixture that starts PostgreSQL, NATS and Valkey, or finds them (`support.servers`)


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test, or a whole module, was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())


def skips(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Each reason, and how many tests it kept from running."""
    return Counter(reason(report) for report in reporter.stats.get("skipped", ()))


def refused(reasons: Counter[str]) -> bool:
    """Whether a skip is one that this machine has no excuse for."""
    strict = os.environ.get("REQUIRE", "1" if shutil.which("go") else "0") == "1"
    return strict and not all(text.startswith(ALLOWED) for text in reasons)


def summary(reasons: Counter[str]) -> Iterator[str]:
    """The last lines of a run."""
    if not reasons:
        yield "skipped: none"
        return
    yield f"skipped: {reasons.total()}"
    yield from (f"  {count} x {text}" for text, count in sorted(reasons.items()))
    if refused(reasons):
        yield "Go is on this machine (or REQUIRE=1 is set), so nothing may be skipped: the run has failed"


def skip_if_unavailable() -> Generator[None, object, object]:
    """Around a phase of a test: what cannot be had is no failure of the code under test."""
    try:
        return (yield)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def sets_named(item: pytest.Item) -> Iterator[str]:
    """The parameters of a test whose name prints a set, in an order that is another in the next process."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    for name, value in parameters.items():
        if isinstance(value, set | frozenset) and len(value) > 1 and str(value) in item.name:
            yield name


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and refuse such names: xdist's workers would not always agree on what there is to run."""
    for item in items:
        if SERVERS in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        for name in sets_named(item):
            raise pytest.UsageError(
                f"{item.nodeid}: {name} is a set, and the test's name prints it: sort it into a list"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Fixtures may need what is not here."""
    return (yield from skip_if_unavailable())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """So may tests."""
    return (yield from skip_if_unavailable())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a skip without excuse into a failure of the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and session.exitstatus == pytest.ExitCode.OK and refused(skips(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it after everything else, pytest's own last line included."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not config.option.collectonly:
        for line in summary(skips(reporter)):
            reporter.write_line(line)
