"""Each finding of `doctor`, provoked, with what to do about it."""

import json

import nats
import psycopg
import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from agent_executor import doctor, settings
from agent_executor.doctor import Finding
from agent_executor.services import sandbox, streams
from agent_executor.terminal import findings
from tests.support.servers import Database

NEVER = "127.0.0.1"


async def examined(env: dict[str, str], **changes: str) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in await doctor.examine(settings.load({**env, **changes})):
        found.setdefault(finding.what, []).append(finding)
    return found


async def test_a_service_that_is_as_it_should_be_has_nothing_bad(
    env: dict[str, str], nats_client: nats.NATS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "report", list)
    given = settings.load(env)
    await streams.ensure(nats_client.jetstream(), given)
    found = await examined(env, OPENAI_API_KEY="k", AGENT_EXECUTOR_API_TOKEN="t", ALLOW_SCRIPTED_MODEL="")
    assert {each.verdict for one in found.values() for each in one} == {"ok"}
    assert not any(each.bad for one in found.values() for each in one)


async def test_what_is_away_is_missing_and_says_which_variable_to_check(env: dict[str, str]) -> None:
    found = await examined(env, POSTGRES_PORT="9", DRAGONFLY_PORT="9")
    for what, variable in (("postgresql", "POSTGRES_HOST"), ("dragonfly", "DRAGONFLY_HOST")):
        (only,) = found[what]
        assert (only.verdict, only.bad) == ("missing", True)
        assert variable in only.advice
    assert env["POSTGRES_PASSWORD"] not in str(found)


@pytest.mark.slow
async def test_a_broker_that_is_away_is_missing(env: dict[str, str]) -> None:
    (only,) = (await examined(env, NATS_URL=f"nats://user:secret@{NEVER}:9"))["nats"]
    assert (only.verdict, only.advice) == ("missing", "check NATS_URL and the NetworkPolicy")
    assert "secret" not in str(only)


async def test_a_schema_without_tables_or_with_a_changed_migration_differs(
    env: dict[str, str], migrated: Database
) -> None:
    found = await examined(env, POSTGRES_SCHEMA="nowhere")
    assert all(each.bad and "agent-executor migrate" in each.advice for each in found["schema nowhere"])
    with psycopg.connect(migrated.dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'agent_executor' "
            "AND column_name IN ('sha256', 'hash', 'checksum', 'digest')"
        ).fetchall()
        (table, column) = tables[0]
        kind = connection.execute(
            "SELECT data_type FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
            (table, column),
        ).fetchone()
        changed = r"'\x00'" if kind == ("bytea",) else "'changed'"
        connection.execute(f'UPDATE agent_executor."{table}" SET "{column}" = {changed}')
    changed = [each for each in (await examined(env))["schema agent_executor"] if each.bad]
    assert changed
    assert not [each for each in changed if "agent-executor migrate" in each.advice], "which refuses it, too"
    (only,) = (await examined(env, POSTGRES_DB="nowhere"))["postgresql"]
    assert "POSTGRES_DB" in only.advice


async def test_streams_and_a_consumer_that_are_missing_or_different_are_told(
    env: dict[str, str], nats_client: nats.NATS
) -> None:
    given, js = settings.load(env), nats_client.jetstream()
    found = await examined(env)
    missing = [each for one in found.values() for each in one if "is missing" in each.text]
    assert missing
    assert all(each.advice == "start the service, or run the Job that makes it" for each in missing)
    subjects = [given.subject("execute", "*")]
    await js.add_stream(StreamConfig(name=given.nats_stream, subjects=subjects, max_msgs=7, max_age=60))
    await js.add_consumer(given.nats_stream, ConsumerConfig(durable_name=given.nats_consumer, max_deliver=3))
    told = json.dumps([(each.what, each.text) for one in (await examined(env)).values() for each in one if each.bad])
    assert given.nats_stream in told
    assert "max_deliver" in told


async def test_settings_that_are_weaker_or_do_not_fit_are_told(env: dict[str, str]) -> None:
    found = await examined(env, JOB_LEASE_SECONDS="10", NATS_ACK_WAIT_SECONDS="9", TOOL_NETWORK="true")
    assert (found["TOOL_NETWORK"][0].verdict, "TOOL_NETWORK" in await examined(env)) == ("weaker", False)
    assert (found["JOB_LEASE_SECONDS"][0].verdict, "JOB_LEASE_SECONDS" in await examined(env)) == ("differs", False)
    assert found["models"][0].verdict == "weaker"
    assert found["ALLOW_SCRIPTED_MODEL"][0].verdict == "weaker"
    assert found["AGENT_EXECUTOR_API_TOKEN"][0].verdict == "weaker"


async def test_what_the_kernel_does_not_give_is_weaker(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "report", lambda: ["no Landlock"])
    (only,) = (await examined(env))["sandbox"]
    assert (only.verdict, only.text, only.bad) == ("weaker", "no Landlock", False)


def test_findings_are_lines_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    findings([Finding("a", "ok", "fine"), Finding("b", "differs", "is 1", "make it 2")])
    assert capsys.readouterr().out == "ok: a: fine\ndiffers: b: is 1 - make it 2\n"
