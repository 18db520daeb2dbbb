"""Real PostgreSQL, NATS JetStream and Redis for the tests: from the wheels, or from docker-compose.test.yml.

`TEST_SERVERS=compose` takes the ports of tests/integration/docker-compose.test.yml. Each xdist worker has servers of
its own otherwise. Whatever the servers, each test gets a database, streams and subjects of its own, so tests run side
by side and in any order; in Redis the keys carry the job id, which `unique()` keeps apart.
"""

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nats
import nats.js.errors
import psycopg
import pytest

from agent_executor import embedded
from agent_executor.services import migrations


@dataclass(frozen=True)
class Addresses:
    """Where the servers are; `own` is None with compose, where no test may stop a server."""

    postgres: dict[str, str]  # POSTGRES_* as in the contract
    nats_url: str
    redis_url: str
    own: embedded.Servers | None = None

    def environment(self) -> dict[str, str]:
        """The service's variables for these servers."""
        host, port = self.redis_url.removeprefix("redis://").removesuffix("/0").split(":")
        return {**self.postgres, "NATS_URL": self.nats_url, "DRAGONFLY_HOST": host, "DRAGONFLY_PORT": port}


COMPOSE = Addresses(
    postgres={
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": "15433",
        "POSTGRES_DB": "test_db",
        "POSTGRES_USER": "test_user",
        "POSTGRES_PASSWORD": "test_pass",
    },
    nats_url="nats://127.0.0.1:14222",
    redis_url="redis://127.0.0.1:16380/0",
)


@dataclass(frozen=True)
class Database:
    """One test's own database."""

    postgres: dict[str, str]  # POSTGRES_* as in the contract

    @property
    def name(self) -> str:
        """The database's name."""
        return self.postgres["POSTGRES_DB"]

    @property
    def dsn(self) -> str:
        """As libpq takes it."""
        return dsn(self.postgres)


def dsn(postgres: dict[str, str]) -> str:
    """A libpq connection string from the contract's variables."""
    keys = {"host": "HOST", "port": "PORT", "dbname": "DB", "user": "USER", "password": "PASSWORD"}
    return psycopg.conninfo.make_conninfo(**{key: postgres[f"POSTGRES_{name}"] for key, name in keys.items()})


def unique(prefix: str = "t") -> str:
    """A name that no other test has: lower case, letters and digits."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def own_servers() -> Iterator[embedded.Servers]:
    """Servers that a test may stop and kill; about a second to start."""
    with (
        tempfile.TemporaryDirectory(prefix="ae-test-") as directory,
        embedded.start(Path(directory), durable=False) as servers,
    ):
        yield servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """The servers that the tests of this process share; nobody stops them."""
    if os.environ.get("TEST_SERVERS") == "compose":
        yield COMPOSE
        return
    with own_servers() as started:
        environment = started.environment()
        postgres = {key: value for key, value in environment.items() if key.startswith("POSTGRES_")}
        yield Addresses(postgres, started.nats_url, started.redis_url, started)


def _create(servers: Addresses, template: str = "template0") -> Database:
    name = unique("test_")
    with psycopg.connect(dsn(servers.postgres), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return Database({**servers.postgres, "POSTGRES_DB": name})


def _drop(servers: Addresses, database: Database) -> None:
    with psycopg.connect(dsn(servers.postgres), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')


@pytest.fixture
def database(servers: Addresses) -> Iterator[Database]:
    """An empty database of this test's own."""
    created = _create(servers)
    yield created
    _drop(servers, created)


@pytest.fixture(scope="session")
def migrated_template(servers: Addresses) -> Iterator[Database]:
    """A migrated database to copy from; nobody may be connected to it."""
    created = _create(servers)
    migrations.apply(created.dsn, schema="agent_executor")
    yield created
    _drop(servers, created)


@pytest.fixture
def migrated(servers: Addresses, migrated_template: Database) -> Iterator[Database]:
    """A database of this test's own with all migrations applied in the schema `agent_executor`."""
    created = _create(servers, migrated_template.name)
    yield created
    _drop(servers, created)


@dataclass(frozen=True)
class NatsNames:
    """One test's own streams, consumer and subjects."""

    stream: str
    consumer: str
    status_stream: str
    dead_letter_stream: str
    subject_prefix: str

    def environment(self) -> dict[str, str]:
        """The contract's variables."""
        return {
            "NATS_STREAM": self.stream,
            "NATS_CONSUMER": self.consumer,
            "NATS_STATUS_STREAM": self.status_stream,
            "NATS_DEAD_LETTER_STREAM": self.dead_letter_stream,
            "NATS_SUBJECT_PREFIX": self.subject_prefix,
        }


@pytest.fixture
async def nats_client(servers: Addresses) -> AsyncIterator[nats.NATS]:
    """A connected NATS client."""
    client = await nats.connect(servers.nats_url)
    yield client
    await client.close()


@pytest.fixture
async def nats_names(nats_client: nats.NATS) -> AsyncIterator[NatsNames]:
    """Names of this test's own; streams made under them are deleted afterwards."""
    token = unique()
    names = NatsNames(f"EXEC_{token}", f"workers-{token}", f"STATUS_{token}", f"DEAD_{token}", token)
    yield names
    context = nats_client.jetstream()
    for stream in (names.stream, names.status_stream, names.dead_letter_stream):
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await context.delete_stream(stream)


@pytest.fixture
def env(servers: Addresses, migrated: Database, nats_names: NatsNames) -> dict[str, str]:
    """The whole environment of a service process on this test's database and streams (contract, section 3)."""
    http_port = str(embedded.free_port())
    own = replace(servers, postgres=migrated.postgres).environment()
    return {
        **own,
        **nats_names.environment(),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": http_port,
        "ALLOW_SCRIPTED_MODEL": "true",
        "LANGSMITH_TRACING": "false",
    }
