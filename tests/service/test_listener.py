"""What comes while the service starts: it waits for its answer, and is not sent away."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest

from agent_executor import embedded, settings
from agent_executor.api.listener import StartError, listen
from agent_executor.local import ANYWHERE
from tests.support.api import serving
from tests.support.proxies import proxied
from tests.support.runtime import until

# Knocks in the moment that FastAPI is about to be imported.
KNOCKS = """
import os, socket, sys
from agent_executor import start

class Watch:
    def find_spec(self, name, *_):
        if name == "fastapi":
            socket.create_connection(("127.0.0.1", int(os.environ["HTTP_PORT"])), timeout=10).close()
            print("somebody listens", flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
sys.argv[1:] = ["serve"]
start.main()
"""


def test_the_port_is_taken_before_the_service_is_imported() -> None:
    env = {**ANYWHERE, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(embedded.free_port())}
    done = subprocess.run(
        [sys.executable, "-c", KNOCKS], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("somebody listens\n", 0), done.stderr


def test_a_port_that_is_taken_is_told_with_its_settings() -> None:
    given = settings.load({**ANYWHERE, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0"})
    with listen(given) as first:
        taken = given.model_copy(update={"http_port": first.getsockname()[1]})
        with pytest.raises(StartError, match=r"^HTTP_HOST, HTTP_PORT: cannot listen at 127\.0\.0\.1:\d+: Address"):
            listen(taken)


async def test_the_first_question_whether_it_is_ready_waits_until_it_is(env: Mapping[str, str]) -> None:
    with proxied(urlsplit(env["NATS_URL"]).port or 0) as nats:
        nats.freeze()
        async with serving(env, wait=False, NATS_URL=f"nats://127.0.0.1:{nats.port}") as api:
            asked = asyncio.create_task(api.http.get("/ready"))
            await until(lambda: nats.connections)
            assert not asked.done()
            nats.thaw()
            answer = await asked
            assert (answer.status_code, answer.json().get("status")) == (200, "ready")


async def test_later_questions_wait_for_nothing(env: Mapping[str, str]) -> None:
    async with serving(env, wait=False, NATS_URL="nats://127.0.0.1:9") as api:
        assert (await api.http.get("/ready")).json()["checks"]["nats"] == "not connected"
        begun = time.monotonic()
        assert (await api.http.get("/ready")).status_code == 503
        assert time.monotonic() - begun < 1
