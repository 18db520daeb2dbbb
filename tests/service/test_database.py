import asyncio

import psycopg
import pytest

from agent_executor.services import database, migrations
from agent_executor.services.jobs import Jobs
from tests.service.test_jobs import LEASE, new_job
from tests.service.test_migrations import ODD_NAMES
from tests.support.servers import own_servers


@pytest.mark.parametrize("schema", ODD_NAMES)
async def test_every_connection_is_in_the_schema_whatever_its_name(database_of_odd_schemas, schema):
    async with database.pool(database_of_odd_schemas.dsn, schema=schema, size=2) as pool, pool.connection() as one:
        assert await (await one.execute("SELECT current_schema(), current_schemas(false)")).fetchone() == (
            schema,
            [schema],
        )


@pytest.fixture
def database_of_odd_schemas(database):
    with psycopg.connect(database.dsn) as connection:
        for schema in ODD_NAMES:
            connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(psycopg.sql.Identifier(schema)))
    return database


async def test_the_dsn_survives_any_password():
    dsn = database.dsn(host="h", port=5432, db="d", user="u", password="it's \\ a 'p w'")
    assert psycopg.conninfo.conninfo_to_dict(dsn)["password"] == "it's \\ a 'p w'"


async def test_a_restarted_server_costs_nobody_an_attempt():
    with own_servers() as servers:
        migrations.apply(servers.postgres_dsn, schema="agent_executor")
        async with database.pool(servers.postgres_dsn, schema="agent_executor", size=8) as pool:
            jobs = Jobs(pool)
            known = [new_job() for _ in range(8)]
            await asyncio.gather(*(jobs.claim(job, **LEASE) for job in known))
            for end in (servers.postgres.stop, servers.postgres.kill):
                end()
                servers.postgres.start()
                found = await asyncio.gather(*(jobs.get(job.job_id) for job in known))
                assert [job.state for job in found] == ["running"] * 8
