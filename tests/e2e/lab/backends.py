"""NATS, PostgreSQL and Valkey as processes from the Python packages, behind the Services that the seed names.

Beside them a receiver of spans, behind a Service that is the lab's own.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from agent_executor.embedded import binaries
from tests.e2e.lab import services
from tests.e2e.lab.control_plane import ControlPlane
from tests.e2e.lab.processes import LabError, listens

NATS, MONITORING, POSTGRES, VALKEY, OTLP = 4222, 8222, 5432, 6379, 4318
COLLECTOR = f"http://collector.observability.svc.cluster.local:{OTLP}"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")  # PostgreSQL refuses root


@dataclass(frozen=True)
class Backends:
    """Where the machine reaches the running servers."""

    host: str
    spans_file: Path

    def spans(self, trace_id: str) -> list[dict[str, str]]:
        """What pods have exported of a trace so far: `name`, `trace_id`, `span_id` and `parent`."""
        lines = self.spans_file.read_text().splitlines() if self.spans_file.exists() else []
        return [span for span in map(json.loads, lines) if span["trace_id"] == trace_id]

    @property
    def nats_url(self) -> str:
        """For clients outside the cluster."""
        return f"nats://{self.host}:{NATS}"


def start(plane: ControlPlane, values: dict[str, str]) -> Backends:
    """Start them with the credentials that SSM holds, and expose them to the pods."""
    host, root, start_one = plane.network.address, plane.root, plane.processes.start
    start_one(
        "nats",
        [
            binaries.nats(),
            "--jetstream",
            f"--store_dir={root / 'nats'}",
            f"--port={NATS}",
            f"--http_port={MONITORING}",
        ],
        lambda: listens(host, MONITORING),
    )
    (root / "valkey").mkdir()
    password = f"--requirepass {values['dragonfly/password']}"
    start_one(
        "valkey",
        [binaries.valkey(), "--bind", "0.0.0.0", "--port", str(VALKEY), "--save", "", *password.split()],
        lambda: listens(host, VALKEY),
    )
    _postgres(plane, root / "postgres", values)
    spans = root / "spans"
    start_one(
        "collector",
        [sys.executable, "-m", "tests.e2e.lab.collector", str(OTLP), spans],
        lambda: listens(host, OTLP),
    )
    services.expose(plane, "nats", "nats", {"nats": NATS})
    services.expose(plane, "nats-headless", "nats", {"nats": NATS, "monitor": MONITORING}, address="None")
    services.expose(plane, "postgres", "databases", {"postgres": POSTGRES})
    services.expose(plane, "dragonfly", "databases", {"dragonfly": VALKEY})
    services.expose(plane, "collector", "observability", {"otlp": OTLP})
    return Backends(host, spans)


def _postgres(plane: ControlPlane, directory: Path, values: dict[str, str]) -> None:
    directory.mkdir()
    subprocess.run(["chown", "65534:65534", str(directory)], check=True)
    secret = directory.with_name("postgres-password")
    secret.write_text(values["postgres/password"])
    data = directory / "data"
    command = [*NOBODY, binaries.postgres("initdb"), "-D", str(data), "-U", values["postgres/user"], "-E", "UTF8"]
    command += ["--locale=C", "-A", "scram-sha-256", f"--pwfile={secret}"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"initdb: {done.stderr[-1000:]}")
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all 0.0.0.0/0 scram-sha-256\n")

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            host=plane.network.address,
            port=POSTGRES,
            user=values["postgres/user"],
            password=values["postgres/password"],
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )

    def serves() -> bool:
        try:
            connect().close()
        except psycopg.OperationalError:
            return False
        return True

    options = [f"--port={POSTGRES}", "--listen_addresses=*", "--unix_socket_directories=", "--max_connections=300"]
    plane.processes.start(
        "postgres",
        [*NOBODY, binaries.postgres("postgres"), "-D", str(data), *options],
        serves,
        environment={"LC_ALL": "C"},
    )
    with connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(values["postgres/db"])))
