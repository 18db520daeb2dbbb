from pathlib import Path

import nats.js.errors
import psycopg
import pytest
from ruamel.yaml import YAML

from tests.support.observer import watching
from tests.support.servers import COMPOSE

SERVICES = YAML(typ="safe", pure=True).load(
    (Path(__file__).parents[1] / "integration/docker-compose.test.yml").read_text()
)["services"]


def test_compose_listens_where_the_tests_look_for_it():
    ports = {name: service["ports"][0].split(":")[0] for name, service in SERVICES.items()}
    assert ports == {
        "postgres": COMPOSE.postgres["POSTGRES_PORT"],
        "dragonfly": COMPOSE.environment()["DRAGONFLY_PORT"],
        "nats": COMPOSE.nats_url.rsplit(":", 1)[1],
    }
    assert SERVICES["postgres"]["environment"] == {
        name: COMPOSE.postgres[name] for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    }


def test_compose_pins_every_image_and_knows_when_each_is_ready():
    for name, service in SERVICES.items():
        tag = service["image"].rsplit(":", 1)[1]
        assert tag.strip("v")[0].isdigit(), name
        assert service["healthcheck"]["test"], name


def test_each_test_has_a_database_of_its_own(database, migrated):
    with psycopg.connect(database.dsn) as empty, psycopg.connect(migrated.dsn) as full:
        statement = "SELECT count(*) FROM pg_tables WHERE schemaname = 'agent_executor'"
        assert empty.execute(statement).fetchone() == (0,)
        assert full.execute(statement).fetchone() != (0,)


async def test_the_environment_reaches_three_live_servers(env, nats_client):
    assert nats_client.is_connected
    with psycopg.connect(
        host=env["POSTGRES_HOST"],
        port=env["POSTGRES_PORT"],
        dbname=env["POSTGRES_DB"],
        user=env["POSTGRES_USER"],
        password=env["POSTGRES_PASSWORD"],
    ) as connection:
        assert connection.execute("SELECT count(*) FROM agent_executor.jobs").fetchone() == (0,)


async def test_nothing_to_read_is_no_result_and_no_stream_is_an_error(env, nats_client):
    async with watching(env) as observer:
        with pytest.raises(nats.js.errors.NotFoundError):
            await observer.results()
        for name in observer.said:
            await nats_client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
        assert await observer.results() == await observer.letters() == []
