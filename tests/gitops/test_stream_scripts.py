"""The scripts of the Jobs that make the streams, as they are, with the program that they call, on real servers."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from agent_executor.embedded import binaries
from agent_executor.embedded.process import HOST, Server, free_port, owned
from agent_executor.services import streams
from agent_executor.settings import Settings
from tests.e2e.lab.nats_box import NATS
from tests.gitops.test_streams import FILES, JOBS, files, wanted
from tests.gitops.test_tree import Document, of
from tools import gobinaries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STARTS = 10  # of a Job's pod, its `backoffLimit`
ELECTION_SECONDS = 60


@contextlib.contextmanager
def servers(directory: Path, count: int) -> Iterator[list[Server]]:
    """So many NATS servers, as one cluster if they are several."""
    routes = {f"n{number}": free_port() for number in range(count)}

    def command(name: str, port: int) -> list[str]:
        own = [
            binaries.nats(),
            "--addr",
            HOST,
            "--port",
            str(port),
            "--jetstream",
            "--store_dir",
            str(directory / name),
        ]
        if count == 1:
            return own
        others = ",".join(f"nats://{HOST}:{route}" for other, route in routes.items() if other != name)
        cluster = ["--cluster_name", "lab", "--cluster", f"nats://{HOST}:{routes[name]}", "--routes", others]
        return [*own, "--server_name", name, *cluster]

    with owned(directory) as lock:
        started = [
            Server(name, directory / name, lambda port, name=name: command(name, port), lambda _: True, lock)
            for name in routes
        ]
        try:
            for server in started:
                server.start()
            yield started
        finally:
            for server in started:
                server.stop()


def script(job: Document, directory: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run what the Job's container does, with the ConfigMap's files in a directory of the test's."""
    (container,) = job.body["spec"]["template"]["spec"]["containers"]
    *shell, text = container["command"]
    (config,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "config")
    made, programs = directory / "config", directory / "programs"
    if not made.exists():
        made.mkdir()
        programs.mkdir()
        (programs / "nats").symlink_to(gobinaries.build(*NATS))
        name = job.body["metadata"]["name"]
        (held,) = (d.body["data"] for d in of("ConfigMap", job.file) if d.body["metadata"]["name"] == name)
        for file, content in held.items():
            (made / file).write_text(content)
    assert f"{config}/" in text
    environment = {"PATH": f"{programs}:{os.defpath}", "HOME": str(directory), "NATS_URL": url}
    return subprocess.run(
        [*shell, text.replace(f"{config}/", f"{made}/")],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("job", JOBS, ids=str)
async def test_the_script_makes_what_is_missing_mends_what_is_there_and_leaves_the_messages(
    job: Document, tmp_path: Path
) -> None:
    given, own = files(job), wanted(job)
    replicas = given["execution"]["num_replicas"]
    with servers(tmp_path, replicas) as started:
        urls = [f"nats://{HOST}:{server.port}" for server in started]
        # Servers that have just met elect a leader first; meanwhile the Job fails, and Kubernetes starts it again.
        for _ in range(STARTS):
            done = script(job, tmp_path, ",".join(urls))
            if done.returncode == 0:
                break
            await asyncio.sleep(1)
        assert done.returncode == 0, done.stdout + done.stderr
        client = await nats.connect(urls)
        try:
            context = client.jetstream()
            assert await streams.drift(context, own) == []
            assert await published(urls, own, "first") == 1
            made = await held(context, given)
            assert [limits(config) for config in made] == [{-1}] * len(FILES)
            for config in made:
                await context.update_stream(replace(config, max_age=3600, max_msgs=10, max_bytes=10_000))
            consumer = (await context.consumer_info(own.nats_stream, own.nats_consumer)).config
            await context.add_consumer(own.nats_stream, replace(consumer, ack_wait=1))
            assert len(await streams.drift(context, own)) == len(FILES) + 1
            again = script(job, tmp_path, urls[0])
            assert again.returncode == 0, again.stdout + again.stderr
            assert await streams.drift(context, own) == []
            assert await held(context, given) == made
        finally:
            await client.close()
        *others, one = started
        if others:  # then one of the servers may go
            one.stop()
        assert await published(urls[: len(others) or 1], own, "second") == 2


async def held(context: JetStreamContext, given: dict[str, Any]) -> list[StreamConfig]:
    """The streams as the server has them."""
    return [(await context.stream_info(given[file]["name"])).config for file in FILES]


def limits(config: StreamConfig) -> set[object]:
    """What is most, of anything but the age."""
    return {value for key, value in config.as_dict().items() if key.startswith("max_") and key != "max_age"}


async def published(urls: list[str], own: Settings, message_id: str) -> int:
    """The sequence of a message, sent until the stream has it: its copies may have to elect a leader first."""
    client = await nats.connect(urls)
    try:
        async with asyncio.timeout(ELECTION_SECONDS):
            while True:
                with contextlib.suppress(nats.errors.Error):
                    sent = await client.jetstream().publish(
                        own.subject("execute", "demo"), b"{}", timeout=2, headers={"Nats-Msg-Id": message_id}
                    )
                    return sent.seq
    finally:
        await client.close()


def test_a_script_that_cannot_reach_the_servers_fails(tmp_path: Path) -> None:
    done = script(JOBS[0], tmp_path, f"nats://{HOST}:{free_port()}")
    assert done.returncode != 0
