"""What tests/conftest.py asks of every run.

The last lines say what was skipped, and a skip without excuse fails it; no test's name depends on the process.
"""

from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

MODULE = """
import pytest
from tools.gomodules import UnavailableError

def test_that_runs(): pass

@pytest.mark.skip(reason="no Docker engine answers")
def test_of_an_image(): pass

@pytest.mark.parametrize("n", range(3))
def test_without_its_server(n): pytest.skip("no  server\\nhere")

@pytest.mark.skip(reason="OPENAI_API_KEY is not set")
def test_of_a_real_provider(): pass

def test_of_what_is_not_here(): raise UnavailableError("a module: Go is not on this machine")

@pytest.fixture
def engine(): raise UnavailableError("an engine: Go is not on this machine")

def test_with_a_fixture_that_is_not_here(engine): pass
"""

FAILED = "not to be skipped here (REQUIRE=1, or Go is there; E2E_REQUIRE=1; REQUIRE_IMAGES=1): the run has failed"
CASES = {
    "a skip is listed": ("server", "0", 0, ["skipped: 3", "  3 x no server here"]),
    "a skip without excuse fails the run": ("server", "1", 1, ["skipped: 3", "  3 x no server here", FAILED]),
    "a missing key is an excuse": ("provider", "1", 0, ["skipped: 1", "  1 x OPENAI_API_KEY is not set"]),
    "what cannot be had is a skip": (
        "not_here",
        "0",
        0,
        ["skipped: 2", "  1 x a module: Go is not on this machine", "  1 x an engine: Go is not on this machine"],
    ),
    "a run without skips says so": ("runs", "1", 0, ["skipped: none"]),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.delenv("REQUIRE_IMAGES", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading them all takes longer than the test


@pytest.mark.parametrize(("only", "require", "status", "last"), CASES.values(), ids=CASES)
def test_the_last_lines_of_a_run(pytester, monkeypatch, only, require, status, last):
    assert run(pytester, monkeypatch, require, "-k", only) == (status, last)


@pytest.mark.parametrize(("required", "status", "failed"), [("0", 0, []), ("1", 1, [FAILED])])
def test_a_skipped_image_fails_a_run_only_where_it_is_required(pytester, monkeypatch, required, status, failed):
    monkeypatch.setenv("REQUIRE_IMAGES", required)
    ended = run(pytester, monkeypatch, "1", "-k", "of_an_image")
    assert ended == (status, ["skipped: 1", "  1 x no Docker engine answers", *failed])


def test_the_last_lines_of_a_run_on_several_workers(pytester, monkeypatch):
    assert run(pytester, monkeypatch, "1", "-k", "server", "-n", "2") == (
        1,
        ["skipped: 3", "  3 x no server here", FAILED],
    )


def prepare(pytester, module: str) -> None:
    """A directory with this module and the conftest.py that is tested."""
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(module)


def end_to_end(pytester) -> Path:
    """Where that directory has its end-to-end tests."""
    here = pytester.path / "tests" / "e2e"
    here.mkdir(parents=True)
    return here


def run(pytester, monkeypatch, require: str, *options: str) -> tuple[int, list[str]]:
    """The exit status and the last lines of a run of MODULE."""
    monkeypatch.setenv("REQUIRE", require)
    prepare(pytester, MODULE)
    done = pytester.runpytest_subprocess("-p", "xdist", *options)
    first = next(n for n, line in enumerate(done.outlines) if line.startswith("skipped: "))
    return done.ret, done.outlines[first:]


LAB = """
import pytest
from tools.gomodules import UnavailableError

@pytest.fixture
def cluster(): raise UnavailableError("etcd is not on this machine")

def test_in_a_lab(cluster): pass

def test_that_asks_for_more(): raise UnavailableError("a node needs Debian's runc")
"""
MISSING = ["  1 x a node needs Debian's runc", "  1 x etcd is not on this machine"]


@pytest.mark.parametrize(
    ("required", "status", "outcomes", "last"),
    [
        ("0", 0, {"skipped": 2}, ["skipped: 2", *MISSING]),
        ("1", 1, {"failed": 1, "errors": 1}, ["skipped: none"]),
    ],
)
def test_a_part_of_the_lab_that_is_missing_fails_a_run_only_where_it_is_required(
    pytester, monkeypatch, required, status, outcomes, last
):
    monkeypatch.setenv("REQUIRE", "1")  # as where Go is
    monkeypatch.setenv("E2E_REQUIRE", required)
    prepare(pytester, "def test_that_runs(): pass")
    here = end_to_end(pytester)
    (here / "conftest.py").write_text((Path(__file__).parent / "e2e" / "conftest.py").read_text())
    (here / "test_lab.py").write_text(LAB)
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(passed=1, **outcomes)
    assert (done.ret, done.outlines[-len(last) :]) == (status, last)


def test_what_a_test_of_the_lab_skips_by_itself_fails_the_run_where_it_is_required(pytester, monkeypatch):
    monkeypatch.setenv("E2E_REQUIRE", "1")
    prepare(pytester, "")
    here = end_to_end(pytester)
    (here / "test_lab.py").write_text("import pytest\ndef test_in_a_lab(): pytest.skip('only root')")
    done = pytester.runpytest_subprocess()
    assert (done.ret, done.outlines[-3:]) == (1, ["skipped: 1", "  1 x only root", FAILED])


NAMED = """
import pytest

@pytest.mark.parametrize("names", [{one}, {{"a", "b"}}], ids={ids})
def test_of_names(names): pass
"""


@pytest.mark.parametrize(
    ("ids", "status"), [("str", pytest.ExitCode.USAGE_ERROR), ("None", pytest.ExitCode.OK)], ids=["printed", "numbered"]
)
def test_a_name_that_another_process_would_spell_otherwise_is_refused(pytester, ids, status):
    prepare(pytester, NAMED.format(one={"a"}, ids=ids))
    done = pytester.runpytest_subprocess()
    assert done.ret == status
    said = [line for line in done.errlines if line.startswith("ERROR")]
    assert len(said) == (status != pytest.ExitCode.OK)
    assert all(
        "test_of_names[{" in line and "names is a set" in line and "sort it into a list" in line for line in said
    )


SERVED = """
import pytest

@pytest.fixture
def servers(): pass

@pytest.fixture
def database(servers): pass

def test_of_a_database(database): pass

def test_of_nothing(): pass
"""


def test_what_uses_servers_is_slow(pytester):
    prepare(pytester, SERVED)
    pytester.makeini("[pytest]\nmarkers = slow")
    done = pytester.runpytest_subprocess("-m", "not slow")
    done.assert_outcomes(passed=1, deselected=1)
