"""What libraries log is theirs to say; what they quote of a job's is not."""

import io
import logging

import pytest
from pydantic import BaseModel

from agent_executor.core import globs, loggable
from agent_executor.telemetry import logs
from tests.support import graphs
from tests.support.graphs import Bench
from tests.support.logged import lines

CANARY = "canary-77"


def refuse() -> None:
    raise ValueError(CANARY)


@pytest.mark.parametrize("content", [False, True])
async def test_an_argument_that_a_library_quotes_is_logged_only_where_it_is_asked_for(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, content: bool
) -> None:
    # Which the tool would refuse before the library sees it.
    monkeypatch.setattr(globs, "refusal", lambda *_: None)
    logs.configure("warning", content=content, stream=written)
    glob = graphs.call("glob", pattern=f"{CANARY}{{1..3000}}{{1..3000}}", path="/")
    await Bench().result(graphs.agent(graphs.plan(graphs.calls(glob), {"text": "Done."})))
    (line,) = lines(written)
    assert (line["level"], line["logger"]) == ("warning", "deepagents.backends.utils")
    assert (CANARY in str(line)) is content
    if not content:
        assert line["event"].startswith("backends/utils.py:"), "the place in the library's code is told"


NAMES = ("langchain_core.callbacks.manager", "langgraph.pregel", "openai._base_client", "httpx2", "mcp.client.sse")


@pytest.mark.parametrize("name", [*logs.QUOTING, *NAMES])
def test_a_library_that_holds_what_is_the_jobs_says_where_and_not_what(written: io.StringIO, name: str) -> None:
    logs.configure("info", stream=written)
    with loggable.about("j", None):
        try:
            refuse()
        except ValueError:
            logging.getLogger(name).exception("said %s", CANARY)
            logging.getLogger(name).warning(f"said {CANARY}")  # noqa: G004  # as libraries do
    first, second = lines(written)
    place = "service/test_library_logs.py:"
    assert (first["logger"], first["level"], first["job_id"]) == (name, "error", "j")
    assert first["event"].startswith(place)
    assert second["event"].startswith(place)
    assert first["exception"][0]["type"] == "builtins.ValueError"
    assert CANARY not in written.getvalue()


class Answer(BaseModel):
    """What a model may answer."""

    number: int


@pytest.mark.parametrize("content", [False, True])
def test_what_a_warning_quotes_is_logged_only_where_it_is_asked_for(
    written: io.StringIO, capsys: pytest.CaptureFixture[str], *, content: bool
) -> None:
    logs.configure("info", content=content, stream=written)
    with loggable.about("j", None):
        Answer.model_construct(number=CANARY).model_dump_json()
    (line,) = lines(written)
    assert line.pop("place").startswith("pydantic/main.py:")
    assert (line["event"], line["category"], line["level"], line["logger"], line["job_id"]) == (
        "python: warning",
        "UserWarning",
        "warning",
        "py.warnings",
        "j",
    )
    assert (CANARY in str(line)) is content
    assert capsys.readouterr().err == ""


def test_the_servers_of_the_service_keep_their_words(written: io.StringIO) -> None:
    logs.configure("info", stream=written)
    for name in ("uvicorn.error", "psycopg.pool", "nats.aio.client", "opentelemetry.exporter"):
        logging.getLogger(name).warning("away for %s s", 3)
    assert [line["event"] for line in lines(written)] == ["away for 3 s"] * 4
