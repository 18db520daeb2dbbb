"""A model's step that fails is run again as a whole, also when it had written to the state before it failed."""

import pytest

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
