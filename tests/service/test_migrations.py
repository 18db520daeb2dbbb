import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import MIGRATIONS
from psycopg.rows import dict_row

from agent_executor.services import migrations
from agent_executor.services.migrations import MigrationError
from tests.support.servers import unique

ROOT = Path(__file__).parents[2]
SHIPPED = [migration.name for migration in migrations.load()]
NEXT = f"{len(SHIPPED) + 1:03}"
ODD_NAMES = ("agent_executor", "Team-A", 'quote"d', "sp ace", "back\\slash", "ünïcode", "select", "a.b", "%s")


def described(dsn, schema):
    """Columns, constraints and indexes of every table in a schema, as PostgreSQL itself would write them."""
    with psycopg.connect(dsn) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = %s ORDER BY table_name, column_name",
            (schema,),
        ).fetchall()
        connection.execute("SELECT set_config('search_path', %s, false)", (migrations._quoted(schema),))
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = %s::regnamespace ORDER BY 1, 2",
            (migrations._quoted(schema),),
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexname, replace(indexdef, %s, '') FROM pg_indexes WHERE schemaname = %s ORDER BY 1",
            (f"{schema}.", schema),
        ).fetchall()
    return columns, constraints, indexes


def copied(tmp_path):
    """The shipped migrations in a directory that a test may change."""
    for path in migrations.SOURCE.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


async def set_up_by_the_library(dsn, schema):
    async with await psycopg.AsyncConnection.connect(
        dsn, options=f"-c search_path={schema}", autocommit=True, row_factory=dict_row
    ) as connection:
        await AsyncPostgresSaver(connection).setup()


def test_an_empty_database_gets_everything_once(database):
    said = []
    assert migrations.apply(database.dsn, schema="agent_executor", say=said.append) == SHIPPED
    assert said == [
        *(f"applying {name}.up.sql" for name in SHIPPED),
        f"schema agent_executor: {len(SHIPPED)} applied, {len(SHIPPED)} in all",
    ]
    assert migrations.apply(database.dsn, schema="agent_executor") == []
    assert migrations.drift(database.dsn, schema="agent_executor") == []


def test_ten_at_once_on_an_empty_database(database):
    with ThreadPoolExecutor(10) as pool:
        applied = list(pool.map(lambda _: migrations.apply(database.dsn, schema="agent_executor"), range(10)))
    assert sorted(map(len, applied)) == [0] * 9 + [len(SHIPPED)]


@pytest.mark.parametrize("schema", ODD_NAMES)
def test_a_schema_may_have_any_name(database, schema):
    assert migrations.apply(database.dsn, schema=schema) == SHIPPED
    with psycopg.connect(database.dsn) as connection:
        rows = connection.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'jobs'").fetchall()
    assert rows == [(schema,)]


def test_a_role_that_may_only_use_its_own_schema_is_enough(database):
    role, password = unique("role_"), "a-passw0rd"
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        connection.execute(f"CREATE SCHEMA tenant AUTHORIZATION {role}")
        dsn = psycopg.conninfo.make_conninfo(database.dsn, user=role, password=password)
        try:
            assert migrations.apply(dsn, schema="tenant") == SHIPPED
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for database"):
                migrations.apply(dsn, schema="another")
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_two_tenants_share_a_database(database):
    assert migrations.apply(database.dsn, schema="tenant_a") == SHIPPED
    assert migrations.apply(database.dsn, schema="tenant_b") == SHIPPED
    assert described(database.dsn, "tenant_a") == described(database.dsn, "tenant_b")


async def test_the_librarys_own_setup_finds_nothing_to_do(database):
    migrations.apply(database.dsn, schema="agent_executor")
    before = described(database.dsn, "agent_executor")
    await set_up_by_the_library(database.dsn, "agent_executor")
    assert described(database.dsn, "agent_executor") == before


async def test_the_checkpoint_tables_are_what_the_library_makes(database, tmp_path):
    only_ours = ("jobs", "outbox", "schema_migrations")
    migrations.apply(database.dsn, schema="ours")
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE SCHEMA theirs")
        for table in only_ours:
            connection.execute(f"DROP TABLE ours.{table}")
    await set_up_by_the_library(database.dsn, "theirs")
    assert described(database.dsn, "ours") == described(database.dsn, "theirs")
    with psycopg.connect(database.dsn) as connection:
        ours, theirs = (
            connection.execute(f"SELECT v FROM {schema}.checkpoint_migrations ORDER BY v").fetchall()
            for schema in ("ours", "theirs")
        )
    assert ours == theirs


async def test_a_schema_that_the_library_has_set_up_is_taken_over(database):
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE SCHEMA agent_executor")
    await set_up_by_the_library(database.dsn, "agent_executor")
    assert migrations.apply(database.dsn, schema="agent_executor") == SHIPPED


def test_the_library_has_no_migration_that_ours_lack():
    assert len(MIGRATIONS) == 10, "the library has a new migration: copy what it does into migrations/NNN_*.up.sql"


def test_down_takes_everything_back_and_up_makes_it_again(database):
    migrations.apply(database.dsn, schema="agent_executor")
    before = described(database.dsn, "agent_executor")
    assert migrations.revert(database.dsn, schema="agent_executor") == SHIPPED[::-1]
    with psycopg.connect(database.dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'agent_executor'").fetchall()
    assert tables == [("schema_migrations",)]
    assert migrations.apply(database.dsn, schema="agent_executor") == SHIPPED
    assert described(database.dsn, "agent_executor") == before


def test_down_stops_at_the_version_that_is_asked_for(database):
    migrations.apply(database.dsn, schema="agent_executor")
    assert migrations.revert(database.dsn, schema="agent_executor", to=1) == SHIPPED[:0:-1]
    assert migrations.apply(database.dsn, schema="agent_executor") == SHIPPED[1:]


def test_the_command_goes_down_as_the_database_is_told(database):
    migrations.apply(database.dsn, schema="Team-A")
    done = run("--down-to=2", database.postgres, POSTGRES_SCHEMA="Team-A")
    undone = SHIPPED[:1:-1]
    assert done.stdout.splitlines() == [
        *[f"reverting {name}.down.sql" for name in undone],
        f"schema Team-A: {len(undone)} taken back, 2 left",
    ]
    assert [line.split(":")[0] for line in migrations.drift(database.dsn, schema="Team-A")] == [
        f"{name}.up.sql" for name in SHIPPED[2:]
    ]


def test_what_another_release_applied_is_its_to_take_back(database, tmp_path):
    (copied(tmp_path) / f"{NEXT}_next.up.sql").write_text("SELECT 1;")
    (tmp_path / f"{NEXT}_next.down.sql").write_text("SELECT 1;")
    migrations.apply(database.dsn, schema="agent_executor", directory=tmp_path)
    before = described(database.dsn, "agent_executor")
    with pytest.raises(MigrationError, match=rf"^{NEXT}_next: only the release that applied it can take it back$"):
        migrations.revert(database.dsn, schema="agent_executor", to=1)
    assert described(database.dsn, "agent_executor") == before


def test_there_is_nothing_to_take_back_in_a_schema_without_migrations(database):
    with pytest.raises(MigrationError, match=r"^schema mistyped: no migration is applied there$"):
        migrations.revert(database.dsn, schema="mistyped")
    with psycopg.connect(database.dsn) as connection:
        assert not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'mistyped'").fetchall()


def test_a_broken_file_is_named_and_nothing_is_left_behind(database, tmp_path):
    (copied(tmp_path) / f"{NEXT}_broken.up.sql").write_text(
        "CREATE TABLE fine (a int);\nCREATE TABEL broken (a int);\n"
    )
    (tmp_path / f"{NEXT}_broken.down.sql").write_text("DROP TABLE fine;")
    with pytest.raises(MigrationError, match=rf'^{NEXT}_broken\.up\.sql, line 2: syntax error at or near "TABEL"$'):
        migrations.apply(database.dsn, schema="agent_executor", directory=tmp_path)
    with psycopg.connect(database.dsn) as connection:
        assert not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'agent_executor'").fetchall()


def test_a_file_changed_after_it_was_applied_is_refused_by_name(database, tmp_path):
    migrations.apply(database.dsn, schema="agent_executor", directory=copied(tmp_path))
    with (tmp_path / "002_create_jobs.up.sql").open("a") as file:
        file.write("-- a harmless comment\n")
    with pytest.raises(MigrationError, match=r"^002_create_jobs\.up\.sql: differs"):
        migrations.apply(database.dsn, schema="agent_executor", directory=tmp_path)
    assert [
        line.split(":")[0] for line in migrations.drift(database.dsn, schema="agent_executor", directory=tmp_path)
    ] == ["002_create_jobs.up.sql"]


def test_an_older_release_runs_on_a_newer_schema(database, tmp_path):
    (copied(tmp_path) / f"{NEXT}_next.up.sql").write_text("SELECT 1;")
    (tmp_path / f"{NEXT}_next.down.sql").write_text("SELECT 1;")
    migrations.apply(database.dsn, schema="agent_executor", directory=tmp_path)
    assert migrations.apply(database.dsn, schema="agent_executor") == []


def test_drift_names_what_is_missing_and_changes_nothing(database):
    assert migrations.drift(database.dsn, schema="agent_executor") == [
        f"{name}.up.sql: not applied" for name in SHIPPED
    ]
    with psycopg.connect(database.dsn) as connection:
        assert not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'agent_executor'").fetchall()


BAD_DIRECTORIES = {
    "no files": ((), r": no migrations there$"),
    "a gap": (("001_a", "003_c"), r"^003_c\.up\.sql: numbered 003, 002 comes next$"),
    "a double": (("001_a", "001_b"), r"^001_b\.up\.sql: numbered 001, 002 comes next$"),
    "a name of another form": (("1_a",), r"^1_a\.up\.sql: not a migration's name"),
}


@pytest.mark.parametrize(("names", "message"), BAD_DIRECTORIES.values(), ids=BAD_DIRECTORIES)
def test_a_bad_directory_is_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / f"{name}.up.sql").write_text("SELECT 1;")
        (tmp_path / f"{name}.down.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=message):
        migrations.load(tmp_path)


def test_a_migration_without_its_way_back_is_refused(tmp_path):
    (tmp_path / "001_a.up.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"^001_a\.up\.sql: has no 001_a\.down\.sql$"):
        migrations.load(tmp_path)


def run(argument, postgres, **changes):
    """`agent-executor migrate` as an operator runs it."""
    program = Path(sys.executable).with_name("agent-executor")
    return subprocess.run(
        [program, "migrate", argument], env={**postgres, **changes}, capture_output=True, text=True, check=True
    )


def script(postgres, **changes):
    """The init container's command with nothing but POSTGRES_* (and the image's PATH) in its environment."""
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", **postgres, **changes}
    return [str(ROOT / "scripts/ci/run-migrations.sh")], {key: value for key, value in environment.items() if value}


async def test_the_script_runs_in_ten_containers_at_once(database):
    command, environment = script(database.postgres, POSTGRES_SCHEMA="Team-A")
    processes = [
        await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE) for _ in range(10)
    ]
    lines = [(await process.communicate())[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, lines
    assert sorted(line.splitlines()[-1] for line in lines) == [
        *[f"schema Team-A: 0 applied, {len(SHIPPED)} in all"] * 9,
        f"schema Team-A: {len(SHIPPED)} applied, {len(SHIPPED)} in all",
    ]


REFUSALS = {
    "a missing variable": ({"POSTGRES_DB": ""}, 2, "POSTGRES_DB: is not set"),
    "a wrong password": ({"POSTGRES_PASSWORD": "wrong-s3cret"}, 1, "migrations failed: "),
    "no server there": ({"POSTGRES_PORT": "1"}, 1, "migrations failed: "),
}


@pytest.mark.parametrize(("changes", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_the_script_fails_loudly(database, changes, code, message):
    command, environment = script(database.postgres, **changes)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
