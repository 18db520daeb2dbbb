"""The stream Jobs of examples/gitops, as pods: what they make, and what they leave alone."""

import contextlib
from collections.abc import Sequence

import nats
import nats.js.errors
import pytest
from nats.js import JetStreamContext

from agent_executor.services import streams
from tests.e2e.conftest import Timed
from tests.e2e.lab import nats_box
from tests.e2e.lab.api import Api
from tests.e2e.lab.cluster import Cluster
from tests.gitops.test_streams import JOBS, wanted
from tests.gitops.test_tree import TREE, Document

pytestmark = [pytest.mark.pods, pytest.mark.timeout(900, func_only=True), pytest.mark.xdist_group("pods")]
# Those of the highly available variant want three servers.
ON_ONE_SERVER = [job for job in JOBS if not job.file.startswith("variants/")]


def sync(api: Api, job: Document) -> None:
    """Make the Job again as Argo CD does with a hook, and return once it is done."""
    where, name = job.body["metadata"]["namespace"], job.body["metadata"]["name"]
    api.kubectl("delete", "job", name, f"--namespace={where}", "--ignore-not-found")
    api.apply(TREE / job.file)
    api.kubectl("wait", "--for=condition=complete", "--timeout=180s", f"job/{name}", f"--namespace={where}")


async def remove(js: JetStreamContext, names: Sequence[str]) -> None:
    """See that there are no such streams."""
    for name in names:
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await js.delete_stream(name)


@pytest.mark.parametrize("job", ON_ONE_SERVER, ids=str)
async def test_a_stream_job_makes_what_the_service_would_and_leaves_messages_alone(
    pods: Cluster, job: Document, timed: Timed
) -> None:
    (container,) = job.body["spec"]["template"]["spec"]["containers"]
    pods.node.load(nats_box.image(container["image"]))
    own = wanted(job)
    names = [own.nats_stream, own.nats_status_stream, own.nats_dead_letter_stream]
    client = await nats.connect(pods.backends.nats_url)
    js = client.jetstream()
    await remove(js, names)
    try:
        with timed("streams that are not there to complete"):
            sync(pods.api, job)
        assert await streams.drift(js, own) == []
        await js.publish(f"{own.nats_subject_prefix}.dead.kept", b"a message")
        with timed("streams that are there to complete"):
            sync(pods.api, job)
        assert await streams.drift(js, own) == []
        assert (await js.stream_info(own.nats_dead_letter_stream)).state.messages == 1
    finally:
        pods.api.kubectl("delete", f"--filename={TREE / job.file}", "--ignore-not-found")
        await remove(js, names)
        await client.close()
