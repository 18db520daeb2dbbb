"""What this machine cannot run is skipped, and every run ends with what was skipped, and why.

A test that needs what cannot be had here (UnavailableError: a Go module, a program built from one) is skipped. The last
lines of a run are `skipped: N` and one line for each reason, or `skipped: none`, also with pytest-xdist. Where Go is on
the machine nothing may be skipped: then a skip fails the run, unless its reason starts with one of ALLOWED. The
end-to-end tests need more than Go, and run on what a machine has: of theirs a skip fails a run only with E2E_REQUIRE=1.

The names of tests are the same in every process, or nothing is run. What uses real servers is marked slow, so that
the quick part stays quick as more of it is added.
"""

import gc
import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterator, Sequence

import pytest

from tools.gomodules import UnavailableError

ALLOWED = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",  # tests of the real providers: nobody but the user has the keys
    "only root",  # nobody becomes root for a test
    "no node image",  # an engine that reaches no registry, and has none either
)
OF_IMAGES = ("no Docker engine", "no base image")  # allowed, unless REQUIRE_IMAGES=1 is set
END_TO_END = "tests/e2e/"
SERVERS = "servers"  # the fixture that starts PostgreSQL, NATS and Valkey, or finds them (`support.servers`)
Reports = Sequence[pytest.TestReport | pytest.CollectReport]


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test, or a whole module, was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())


def skips(reporter: pytest.TerminalReporter) -> Reports:
    """What kept tests, or whole modules, from running."""
    return reporter.stats.get("skipped", ())


def refused(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """Whether a skip is one that this machine has no excuse for."""
    if report.nodeid.startswith(END_TO_END):
        return os.environ.get("E2E_REQUIRE") == "1"
    if reason(report).startswith(OF_IMAGES):
        return os.environ.get("REQUIRE_IMAGES") == "1"
    strict = os.environ.get("REQUIRE", "1" if shutil.which("go") else "0") == "1"
    return strict and not reason(report).startswith(ALLOWED)


def summary(reports: Reports) -> Iterator[str]:
    """The last lines of a run."""
    if not reports:
        yield "skipped: none"
        return
    yield f"skipped: {len(reports)}"
    yield from (f"  {count} x {text}" for text, count in sorted(Counter(map(reason, reports)).items()))
    if any(map(refused, reports)):
        yield "not to be skipped here (REQUIRE=1, or Go is there; E2E_REQUIRE=1; REQUIRE_IMAGES=1): the run has failed"


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


def pytest_collection_finish() -> None:
    """Keep the collector from all that was imported: half a second in the middle of a test that counts its CPU time."""
    gc.collect()
    gc.freeze()


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
    if reporter and session.exitstatus == pytest.ExitCode.OK and any(map(refused, skips(reporter))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it after everything else, pytest's own last line included."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not config.option.collectonly:
        for line in summary(skips(reporter)):
            reporter.write_line(line)
