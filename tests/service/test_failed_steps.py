"""A model's step that fails is run again as a whole, also when it had written to the state before it failed."""

import pytest

from tests.service.test_summaries import LONG as FOUND
from tests.service.test_summaries import LS, SUMMARY, summaries, talk
from tests.support import graphs, llm_stub
from tests.support.api import serving
from tests.support.llm_stub import Reply
from tests.support.runtime import job

MODEL = {"provider": "openai", "model": "of-nobody"}
LONG = "word " * 45_000  # deepagents puts so long a message into a file first, inside of the model's step


@pytest.mark.parametrize(
    "first", [Reply(status=500), Reply("a b c d e f g h i j k l m n o p", fault="cut")], ids=["error", "cut"]
)
async def test_a_step_that_wrote_and_failed_is_not_taken_for_done(env: dict[str, str], first: Reply) -> None:
    async with (
        llm_stub.serve(first, Reply("Fine.")) as stub,
        serving(env, OPENAI_API_KEY="k", OPENAI_BASE_URL=stub.openai) as api,
    ):
        asked = job(graphs.agent(MODEL), LONG)
        await api.http.post("/", json=asked)
        assert await api.ended(asked["job_id"]) == "completed"
        assert len(stub.requests) == 2
        answer = (await api.http.get(f"/jobs/{asked['job_id']}/result")).json()
        assert answer["result"]["output"] == "Fine."


SUMMARISED: dict[str, tuple[Reply, ...]] = {
    "the call after it fails": (Reply(SUMMARY), Reply(status=500), Reply(SUMMARY), Reply("Fine.")),
    "it fails itself": (Reply(status=500), Reply(SUMMARY), Reply("Fine.")),
}


@pytest.mark.parametrize("replies", SUMMARISED.values(), ids=SUMMARISED)
async def test_a_summary_leaves_nothing_of_a_step_that_failed(env: dict[str, str], replies: tuple[Reply, ...]) -> None:
    given = {"OPENAI_API_KEY": "k", "HTTP_MAX_BODY_BYTES": "2000000"}
    async with llm_stub.serve(*replies) as stub, serving(env, OPENAI_BASE_URL=stub.openai, **given) as api:
        asked = job(graphs.agent(MODEL)) | {"input_payload": talk(180_000)}
        await api.http.post("/", json=asked)
        assert await api.ended(asked["job_id"]) == "completed"
        result = (await api.http.get(f"/jobs/{asked['job_id']}/result")).json()["result"]
    assert (result["output"], len(stub.requests)) == ("Fine.", len(replies))
    (path,) = result["files"]
    assert path in str(stub.requests[-1].body["messages"])
    assert str(result["files"][path]).count("## Summarized at") == 1


async def test_nor_does_one_of_a_sub_agent(env: dict[str, str]) -> None:
    async with llm_stub.serve() as stub, serving(env, OPENAI_API_KEY="k", OPENAI_BASE_URL=stub.openai) as api:
        stub.models["boss-1"] = [
            Reply(calls=(("task", {"description": "Look.", "subagent_type": "scout"}),)),
            Reply("Done."),
        ]
        failing = [Reply(SUMMARY), Reply(status=500), Reply(SUMMARY), Reply("Found.")]
        stub.models["scout-1"] = [*[Reply(FOUND, calls=(LS,))] * 7, *failing]
        scout = {"id": "scout", "model": {**MODEL, "model": "scout-1"}}
        job_id = await api.submit(graphs.agent({**MODEL, "model": "boss-1"}, scout))
        assert await api.ended(job_id) == "completed"
        result = (await api.http.get(f"/jobs/{job_id}/result")).json()["result"]
    assert (result["output"], len(summaries(stub)), len(stub.requests)) == ("Done.", 2, 13)
    (history,) = result["files"].values()
    assert str(history).count("## Summarized at") == 1
