"""Database migrations: files `NNN_what.up.sql` and `.down.sql`, applied in order, each exactly once.

One run is one transaction under an advisory lock, so ten pods that start together on an empty database end with one
schema, and a failing file leaves nothing behind. What was applied is recorded with its hash: a file is never edited
afterwards, the next change is the next file. Imports nothing heavy: an init container runs it.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

FILE_NAME = re.compile(r"(\d{3})_([a-z0-9_]+)\.up\.sql")
PACKAGED = Path(__file__).parents[1] / "migrations"  # in a wheel
SOURCE = Path(__file__).parents[3] / "migrations"  # in a checkout
CONNECT_SECONDS = 10
MISSING = "not applied"  # in a line of `drift`


def _silent(_line: str) -> None:
    pass


class MigrationError(Exception):
    """The database cannot be brought to the wanted schema; the message names the file."""


@dataclass(frozen=True)
class Migration:
    """One numbered step."""

    version: int
    name: str  # file name without `.up.sql`
    up: str
    down: str

    @property
    def sha256(self) -> str:
        """The hash of the step up, which is what a database remembers."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def main(env: Mapping[str, str], say: Callable[[str], None] = _silent, down_to: int | None = None) -> int:
    """Migrate the database that POSTGRES_* names, up or down to a version; the exit code.

    Reads the variables itself, because an init container has no others and `settings` wants them all.
    """
    names = {"host": "HOST", "dbname": "DB", "user": "USER", "password": "PASSWORD"}
    missing = [f"POSTGRES_{name}" for name in names.values() if not env.get(f"POSTGRES_{name}")]
    if missing:
        say(f"{missing[0]}: is not set, and the migrations need it")
        return 2
    dsn = psycopg.conninfo.make_conninfo(
        **{key: env[f"POSTGRES_{name}"] for key, name in names.items()},
        port=env.get("POSTGRES_PORT") or "5432",
        connect_timeout=CONNECT_SECONDS,
        application_name="agent-executor-migrations",
    )
    schema = env.get("POSTGRES_SCHEMA") or "agent_executor"
    try:
        if down_to is None:
            apply(dsn, schema=schema, say=say)
        else:
            revert(dsn, schema=schema, to=down_to, say=say)
    except (MigrationError, psycopg.Error) as error:
        say(f"migrations failed: {str(error).strip()}")
        return 1
    return 0


def load(directory: Path | None = None) -> list[Migration]:
    """The migrations of a directory, in order; the shipped ones by default.

    Raises:
        MigrationError: a gap or a double in the numbers, a file without its `.down.sql`, or no files at all.
    """
    directory = directory or (PACKAGED if PACKAGED.is_dir() else SOURCE)
    migrations = []
    for path in sorted(directory.glob("*.up.sql")):
        if not (match := FILE_NAME.fullmatch(path.name)):
            raise MigrationError(f"{path.name}: not a migration's name, NNN_what_it_does.up.sql would be")
        down = path.with_name(path.name.replace(".up.", ".down."))
        if not down.is_file():
            raise MigrationError(f"{path.name}: has no {down.name}")
        name = path.name.removesuffix(".up.sql")
        migrations.append(Migration(int(match[1]), name, path.read_text(), down.read_text()))
    for number, migration in enumerate(migrations, start=1):
        if migration.version != number:
            raise MigrationError(f"{migration.name}.up.sql: numbered {migration.version:03}, {number:03} comes next")
    if not migrations:
        raise MigrationError(f"{directory}: no migrations there")
    return migrations


def apply(dsn: str, *, schema: str, directory: Path | None = None, say: Callable[[str], None] = _silent) -> list[str]:
    """Bring the schema up to date; returns the names of what was applied now.

    Raises:
        MigrationError: a file fails or was changed after it was applied; nothing has been done.
        psycopg.OperationalError: the database cannot be reached.
    """
    migrations = load(directory)
    with psycopg.connect(dsn) as connection:
        _enter(connection, schema)
        applied = _applied(connection)
        _check(migrations, applied)
        pending = [migration for migration in migrations if migration.version not in applied]
        for migration in pending:
            say(f"applying {migration.name}.up.sql")
            _execute(connection, f"{migration.name}.up.sql", migration.up)
            connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
    say(f"schema {schema}: {len(pending)} applied, {len(migrations)} in all")
    return [migration.name for migration in pending]


def revert(
    dsn: str, *, schema: str, to: int = 0, directory: Path | None = None, say: Callable[[str], None] = _silent
) -> list[str]:
    """Take migrations above version `to` back, newest first; returns their names. Their data is gone.

    Raises:
        MigrationError: a file fails, none is applied, or one that this release does not have; nothing has been done.
        psycopg.OperationalError: the database cannot be reached.
    """
    migrations = load(directory)
    with psycopg.connect(dsn) as connection:
        _enter(connection, schema)
        applied = _applied(connection)
        _check(migrations, applied)
        if not applied:
            raise MigrationError(f"schema {schema}: no migration is applied there")
        if unknown := [name for version, (name, _) in applied.items() if version > migrations[-1].version]:
            raise MigrationError(f"{max(unknown)}: only the release that applied it can take it back")
        undone = [step for step in reversed(migrations) if to < step.version and step.version in applied]
        for migration in undone:
            say(f"reverting {migration.name}.down.sql")
            _execute(connection, f"{migration.name}.down.sql", migration.down)
            connection.execute("DELETE FROM schema_migrations WHERE version = %s", (migration.version,))
    say(f"schema {schema}: {len(undone)} taken back, {len(applied) - len(undone)} left")
    return [migration.name for migration in undone]


def drift(dsn: str, *, schema: str, directory: Path | None = None) -> list[str]:
    """How the database differs from the migrations, one line each; empty when it does not. Changes nothing."""
    migrations = load(directory)
    with psycopg.connect(dsn) as connection:
        connection.read_only = True
        _search(connection, schema)
        known = connection.execute("SELECT to_regclass(%s)", (f"{_quoted(schema)}.schema_migrations",)).fetchone()
        applied = _applied(connection) if known and known[0] else {}
    lines = [f"{migration.name}.up.sql: {MISSING}" for migration in migrations if migration.version not in applied]
    try:
        _check(migrations, applied)
    except MigrationError as error:
        lines.append(str(error))
    return lines


def _enter(connection: psycopg.Connection, schema: str) -> None:
    """Be alone with the schema, and in it, until the transaction ends."""
    key = f"agent-executor migrations {schema}"
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (key,))
    # Asked first: IF NOT EXISTS wants the right to create schemas even where there is nothing to create.
    if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    _search(connection, schema)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "sha256 TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
    )


def _search(connection: psycopg.Connection, schema: str) -> None:
    connection.execute("SELECT set_config('search_path', %s, true)", (_quoted(schema),))


def _quoted(schema: str) -> str:
    return sql.Identifier(schema).as_string()


def _applied(connection: psycopg.Connection) -> dict[int, tuple[str, str]]:
    rows = connection.execute("SELECT version, name, sha256 FROM schema_migrations").fetchall()
    return {version: (name, sha256) for version, name, sha256 in rows}


def _check(migrations: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> None:
    """Refuse files that changed after they were applied. Newer versions than ours are fine: a rollout goes back."""
    for migration in migrations:
        recorded = applied.get(migration.version)
        if recorded and recorded[1] != migration.sha256:
            raise MigrationError(
                f"{migration.name}.up.sql: differs from what this database applied as {recorded[0]}; "
                "restore the file, and put the change into a new migration"
            )


def _execute(connection: psycopg.Connection, name: str, statements: str) -> None:
    try:
        # Without parameters psycopg sends the file as it is, several statements at once.
        connection.execute(statements.encode())
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = f", line {statements[: int(position)].count(chr(10)) + 1}" if position else ""
        raise MigrationError(f"{name}{line}: {error.diag.message_primary or error}") from error


if __name__ == "__main__":
    sys.exit(main(os.environ, say=lambda line: print(line, file=sys.stderr, flush=True)))  # noqa: T201  # a program
