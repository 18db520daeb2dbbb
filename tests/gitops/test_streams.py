"""The Jobs of the platform tree make the streams and the consumer that the service would make."""

import json
from collections.abc import Mapping
from typing import Any

import nats
import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from agent_executor import settings
from agent_executor.services import streams
from tests.gitops.test_tree import Document, of

ENVIRONMENT = {
    "NATS_URL": "nats://nats.nats.svc:4222",
    "POSTGRES_HOST": "-",
    "POSTGRES_DB": "-",
    "POSTGRES_USER": "-",
    "POSTGRES_PASSWORD": "-",
    "DRAGONFLY_HOST": "-",
}
FILES = ("execution", "status", "dead-letter")
JOBS = of("Job")


def claim_beside(job: Document) -> Mapping[str, Any]:
    (claim,) = of("AgentExecutor", job.file.rpartition("/")[0])
    return claim.body["spec"]


def wanted(job: Document) -> settings.Settings:
    """The service's settings as the claim beside the Job gives them."""
    spec = claim_beside(job)
    given = spec.get("nats", {})
    names = {
        "NATS_STREAM": "stream",
        "NATS_CONSUMER": "consumer",
        "NATS_SUBJECT_PREFIX": "subjectPrefix",
        "NATS_STATUS_STREAM": "statusStream",
        "NATS_DEAD_LETTER_STREAM": "deadLetterStream",
    }
    own = {variable: given[field] for variable, field in names.items() if field in given}
    own |= {each["name"]: each["value"] for each in spec.get("env", ())}
    return settings.load(ENVIRONMENT | own)


def files(job: Document) -> dict[str, Any]:
    """The configurations that the Job hands to `nats`."""
    name = job.body["metadata"]["name"]
    (found,) = (d for d in of("ConfigMap", job.file) if d.body["metadata"]["name"] == name)
    (volume,) = (v for v in job.body["spec"]["template"]["spec"]["volumes"] if "configMap" in v)
    assert volume["configMap"]["name"] == name
    return {file.removesuffix(".json"): json.loads(text) for file, text in found.body["data"].items()}


def services(own: settings.Settings) -> dict[str, dict[str, object]]:
    """What the service would make, by file."""
    made = {file: config.as_dict() for file, config in zip(FILES, streams.wanted(own), strict=True)}
    consumer = streams.consumer(own).as_dict()
    return made | {"consumer": consumer | {"name": consumer["durable_name"]}}


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_configuration_is_the_services_own(job: Document) -> None:
    given, made = files(job), services(wanted(job))
    assert given.keys() == made.keys()
    for file, config in made.items():
        # What the files leave out is off.
        assert {key: value for key, value in config.items() if given[file].get(key, False) != value} == {}
        # What the service leaves out is a limit that there is not: with one, `discard: old` drops jobs that nobody ran.
        assert {key: value for key, value in given[file].items() if key not in config and value != -1} == {}


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_job_is_made_anew_by_every_sync(job: Document) -> None:
    """A Job that is there has run, and may not be changed."""
    annotations = job.body["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/hook"] == "Sync"
    assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_job_names_what_the_configuration_has(job: Document) -> None:
    (container,) = job.body["spec"]["template"]["spec"]["containers"]
    lines = [line.split() for line in container["command"][-1].splitlines() if line.startswith("put ")]
    given, own = files(job), wanted(job)
    made = [["put", "stream", file, given[file]["name"]] for file in FILES]
    assert lines == [*made, ["put", "consumer", "consumer", own.nats_stream, own.nats_consumer]]


async def test_a_server_takes_the_configuration_twice_and_the_service_finds_nothing_to_complain_of(
    nats_client: nats.NATS,
) -> None:
    job = next(job for job in JOBS if job.file.startswith("tenants/"))  # of names that no other test has
    given, own, context = files(job), wanted(job), nats_client.jetstream()
    try:
        for put in (context.add_stream, context.update_stream):
            again = files(job)  # the client changes what it reads
            for file in FILES:
                await put(StreamConfig.from_response(again[file]))
            await context.add_consumer(own.nats_stream, ConsumerConfig.from_response(again["consumer"]))
        assert await streams.drift(context, own) == []
    finally:
        for file in FILES:
            await context.delete_stream(given[file]["name"])


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_program_is_told_who_runs_it_and_where_it_is_at_home(job: Document) -> None:
    """Without either `nats` ends before it has begun: no user of the image has the Job's number (seen in a pod)."""
    (container,) = job.body["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert given["USER"]
    assert given["HOME"] in {mount["mountPath"] for mount in container["volumeMounts"]}
