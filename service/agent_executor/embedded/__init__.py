"""The embedded default: a real PostgreSQL, NATS JetStream and Valkey from Python wheels, for `local` and for the tests.

Everything lives in one data directory that one process at a time owns. The servers listen on loopback only, end with
the process that started them (also after `kill -9` of it), and keep their data: a second start finds it again.

    with embedded.start(Path("data")) as servers:
        run(servers.environment())
"""

import contextlib
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from agent_executor.embedded import binaries
from agent_executor.embedded.process import HOST, EmbeddedError, Server, free_port, launch, owned

__all__ = ["EmbeddedError", "Server", "Servers", "free_port", "start"]

TRIES = 3  # a free port can be taken by somebody else before the server has it
USER = "agent_executor"


@dataclass(frozen=True)
class Servers:
    """The three servers and how to reach them."""

    postgres: Server
    nats: Server
    redis: Server
    password: str
    monitoring_port: int

    @property
    def postgres_dsn(self) -> str:
        """A libpq URL, password included."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.postgres.port}/postgres"

    @property
    def nats_url(self) -> str:
        """Where NATS listens for clients."""
        return f"nats://{HOST}:{self.nats.port}"

    @property
    def redis_url(self) -> str:
        """Where Valkey listens."""
        return f"redis://{HOST}:{self.redis.port}/0"

    def environment(self) -> dict[str, str]:
        """The service's own variables for these servers."""
        return {
            "NATS_URL": self.nats_url,
            "POSTGRES_HOST": HOST,
            "POSTGRES_PORT": str(self.postgres.port),
            "POSTGRES_DB": "postgres",
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": self.password,
            "DRAGONFLY_HOST": HOST,
            "DRAGONFLY_PORT": str(self.redis.port),
        }


@contextlib.contextmanager
def start(data_dir: Path, *, durable: bool = True) -> Iterator[Servers]:
    """Run the three servers on free loopback ports until the block ends.

    Args:
        data_dir: made if missing (mode 0700), and kept; relative paths are taken from the working directory.
        durable: False is for tests: data survives a killed server, but not a power cut.

    Raises:
        EmbeddedError: another process owns the directory, a wheel is missing, or a server does not start.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with owned(data_dir) as lock:
        password = make_cluster(data_dir, lock, durable=durable)
        monitoring_port = free_port()
        servers = Servers(
            _postgres(data_dir, lock, password, durable=durable),
            _nats(data_dir, lock, monitoring_port),
            _valkey(data_dir, lock, durable=durable),
            password,
            monitoring_port,
        )
        everyone = (servers.postgres, servers.nats, servers.redis)
        try:
            for server in everyone:
                server.spawn()
            for server in everyone:
                _wait_or_move(server)
            yield servers
        finally:
            for server in everyone:
                server.stop()


def _wait_or_move(server: Server) -> None:
    for _ in range(TRIES - 1):
        try:
            return server.wait()
        except EmbeddedError:
            if "in use" not in server.log.read_text(errors="replace"):
                raise
            server.stop()
            server.port = free_port()
            server.spawn()
    return server.wait()


def make_cluster(data_dir: Path, lock: int, *, durable: bool) -> str:
    """Make the PostgreSQL cluster if there is none yet; returns its password."""
    password_file, new, cluster = data_dir / "password", data_dir / "postgres.new", data_dir / "postgres"
    if not cluster.exists():
        # Made aside and renamed, so that an interrupted first start leaves nothing half made.
        if new.exists():
            new.rename(data_dir / f"postgres.broken-{secrets.token_hex(4)}")
        new.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        log = data_dir / "initdb.log"
        arguments = ["-D", str(new), "-U", USER, "-E", "UTF8", "--locale=C", "-A", "scram-sha-256"]
        if not durable:
            arguments.append("--no-sync")
        process = launch(
            ["--drop-root", binaries.postgres("initdb"), *arguments, f"--pwfile={password_file}"], new, log, lock
        )
        if process.wait():
            end = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise EmbeddedError(f"{cluster}: initdb failed: {' | '.join(end)}")
        new.rename(cluster)
    # Left by a kill. With the servers' lock in hand nobody uses the cluster, whoever has the process id by now.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    return password_file.read_text().strip()


def _postgres(data_dir: Path, lock: int, password: str, *, durable: bool) -> Server:
    settings = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",  # their paths are limited to 107 bytes
        "max_connections": "200",
        "shared_buffers": "64MB",
        **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
    }

    def command(port: int) -> list[str]:
        options = [f"--{name}={value}" for name, value in settings.items()]
        program = binaries.postgres("postgres")
        return ["--drop-root", program, "-D", str(data_dir / "postgres"), f"--port={port}", *options]

    def is_ready(port: int) -> bool:
        try:
            psycopg.connect(
                host=HOST, port=port, user=USER, password=password, dbname="postgres", connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    return Server("postgres", data_dir / "postgres", command, is_ready, lock)


def _nats(data_dir: Path, lock: int, monitoring_port: int) -> Server:
    def command(port: int) -> list[str]:
        store = ["--jetstream", "--store_dir", str(data_dir / "nats")]
        return [binaries.nats(), "--addr", HOST, "--port", str(port), "--http_port", str(monitoring_port), *store]

    return Server("nats", data_dir / "nats", command, lambda port: b'"jetstream":true' in _answer(port, b""), lock)


def _valkey(data_dir: Path, lock: int, *, durable: bool) -> Server:
    def command(port: int) -> list[str]:
        append_only = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
        return [binaries.valkey(), "--bind", HOST, "--port", str(port), "--save", "", *append_only]

    def is_ready(port: int) -> bool:
        return _answer(port, b"PING\r\n").startswith(b"+PONG")

    return Server("redis", data_dir / "redis", command, is_ready, lock)


def _answer(port: int, question: bytes) -> bytes:
    """The first bytes that a server says, empty while it is not there."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(question)
            return connection.recv(4096)
    except OSError:
        return b""
