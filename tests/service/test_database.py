import asyncio

import psycopg
import pytest

from agent_executor.services import database, migrations
from agent_executor.services.checkpoints import Saver
from agent_executor.services.fence import Fence
from agent_executor.services.jobs import Jobs
from tests.service.test_checkpoints import chain, thread
from tests.service.test_jobs import LEASE, event, new_job
from tests.service.test_migrations import ODD_NAMES
from tests.support.graphs import configured
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
    dsn = database.dsn(configured(POSTGRES_PASSWORD="it's \\ a 'p w'"))
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


async def test_no_statement_of_a_job_reads_a_whole_table_however_small_it_was(migrated):
    """Nothing is analyzed yet: for an empty table, or one of a few rows, PostgreSQL prefers to read all of it."""
    before = scans(migrated.dsn)
    async with database.pool(migrated.dsn, schema="agent_executor", size=1) as pool:
        jobs, graph = Jobs(pool), chain(Saver(pool), a=None, b=None)
        for _ in range(10):
            job = new_job()
            await jobs.claim(job, **LEASE)
            await graph.ainvoke({"done": [], "value": 1}, thread(job.job_id, Fence(1, empty=True)), durability="sync")
            await jobs.renew(job.job_id, 1, lease_seconds=30)
            await jobs.finish(job.job_id, 1, "completed", event(job.job_id))
            await jobs.outcome(job.job_id)
    async with asyncio.timeout(20):
        while scans(migrated.dsn)["jobs"]["by key"] < 50:  # a session tells of itself when it ends
            await asyncio.sleep(0.05)
    after = scans(migrated.dsn)
    assert {table: of["whole"] for table, of in after.items()} == {table: of["whole"] for table, of in before.items()}


async def test_a_statement_is_planned_once(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=1) as pool:
        jobs, graph, job = Jobs(pool), chain(Saver(pool), **dict.fromkeys("abcdefghijkl")), new_job()
        await jobs.claim(job, **LEASE)
        await graph.ainvoke({"done": [], "value": 1}, thread(job.job_id, Fence(1, empty=True)), durability="sync")
        async with pool.connection() as connection:
            plans = await connection.execute("SELECT max(generic_plans), sum(custom_plans) FROM pg_prepared_statements")
            generic, custom = await plans.fetchone()
            assert generic >= 10
            assert custom == 0


def scans(dsn):
    """How often each table was read whole, and how often it was asked by key."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT relname, seq_scan, coalesce(idx_scan, 0) FROM pg_stat_user_tables")
        return {table: {"whole": whole, "by key": by_key} for table, whole, by_key in rows}
