import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import nats
import psutil
import psycopg
import pytest
import redis

from agent_executor import embedded
from agent_executor.embedded import EmbeddedError, binaries, process

pytestmark = pytest.mark.slow

# Starts the servers on a directory, prints their addresses, and waits to be ended.
OWNER = """
import json, sys, time
from pathlib import Path
from agent_executor import embedded
with embedded.start(Path(sys.argv[1]), durable=sys.argv[2] == "durable") as servers:
    pids = [server.process.pid for server in (servers.postgres, servers.nats, servers.redis)]
    print(json.dumps({"postgres": servers.postgres_dsn, "nats": servers.nats_url, "redis": servers.redis_url,
                      "pids": pids}), flush=True)
    sys.stdin.read()
"""


def owner(directory, *prefix, durable="durable"):
    """A process that owns the directory; (process, what it printed)."""
    started = subprocess.Popen(
        [*prefix, sys.executable, "-c", OWNER, str(directory), durable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return started, json.loads(started.stdout.readline())


async def write(addresses, value):
    with psycopg.connect(addresses["postgres"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))
    client = await nats.connect(addresses["nats"])
    context = client.jetstream()
    await context.add_stream(name="KEPT", subjects=["kept"])
    await context.publish("kept", value.encode())
    await client.close()
    with redis.Redis.from_url(addresses["redis"]) as connection:
        connection.xadd("kept", {"value": value})


async def read(addresses):
    with psycopg.connect(addresses["postgres"]) as connection:
        rows = [value for (value,) in connection.execute("SELECT value FROM kept")]
    client = await nats.connect(addresses["nats"])
    message = await client.jetstream().get_last_msg("KEPT", "kept")
    await client.close()
    with redis.Redis.from_url(addresses["redis"]) as connection:
        entries = [fields[b"value"].decode() for _, fields in connection.xrange("kept")]
    return rows, message.data.decode(), entries


def ended(pids, seconds=20):
    deadline = time.monotonic() + seconds
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.slow
async def test_data_is_there_again_after_a_clean_stop(tmp_path):
    first, addresses = owner(tmp_path / "data")
    await write(addresses, "é")
    first.communicate()
    assert first.returncode == 0
    assert ended(addresses["pids"], seconds=0)
    second, addresses = owner(tmp_path / "data")
    assert await read(addresses) == (["é"], "é", ["é"])
    second.communicate()


@pytest.mark.slow
async def test_data_is_there_again_after_the_owner_was_killed(tmp_path):
    first, addresses = owner(tmp_path / "data")
    await write(addresses, "1")
    first.kill()
    first.wait()
    second, again = owner(tmp_path / "data")
    assert await read(again) == (["1"], "1", ["1"])
    assert ended(addresses["pids"]), "no server outlives its owner"
    second.communicate()


@pytest.mark.slow
async def test_data_is_there_again_after_everything_was_killed(tmp_path):
    first, addresses = owner(tmp_path / "data")
    await write(addresses, "1")
    for pid in (*addresses["pids"], first.pid):
        os.kill(pid, signal.SIGKILL)
    first.wait()
    second, again = owner(tmp_path / "data")
    assert await read(again) == (["1"], "1", ["1"])
    second.communicate()


def test_a_second_owner_is_refused_with_the_first_ones_id(tmp_path):
    with embedded.start(tmp_path, durable=False):
        refused = subprocess.run(
            [sys.executable, "-c", OWNER, str(tmp_path), "quick"], capture_output=True, text=True, check=False
        )
        assert f"{tmp_path}: in use by process {os.getpid()}; stop it" in refused.stderr


def test_each_server_can_be_stopped_and_killed_and_started_again(tmp_path):
    with embedded.start(tmp_path, durable=False) as servers:
        for server in (servers.postgres, servers.nats, servers.redis):
            for end in (server.stop, server.kill):
                port = server.port
                end()
                assert not server.is_ready(port)
                server.start()
                assert server.port == port


def test_nothing_listens_beyond_loopback_and_nothing_is_readable_by_others(tmp_path):
    with embedded.start(tmp_path / "data", durable=False) as servers:
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "data/password").stat().st_mode) == 0o600
        for server in (servers.postgres, servers.nats, servers.redis):
            listening = {
                c.laddr.ip for c in psutil.Process(server.process.pid).net_connections() if c.status == "LISTEN"
            }
            assert listening == {"127.0.0.1"}, server.name
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(servers.postgres_dsn.replace(servers.password, "wrong"))


def test_the_environment_is_what_the_service_reads(tmp_path):
    with embedded.start(tmp_path, durable=False) as servers:
        assert servers.environment() == {
            "NATS_URL": servers.nats_url,
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(servers.postgres.port),
            "POSTGRES_DB": "postgres",
            "POSTGRES_USER": "agent_executor",
            "POSTGRES_PASSWORD": servers.password,
            "DRAGONFLY_HOST": "127.0.0.1",
            "DRAGONFLY_PORT": str(servers.redis.port),
        }


def test_an_interrupted_first_start_is_begun_again(tmp_path):
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new/half").write_text("made")
    with embedded.start(tmp_path, durable=False) as servers:
        assert servers.postgres.is_ready(servers.postgres.port)


def test_a_port_that_somebody_took_meanwhile_is_exchanged(tmp_path, monkeypatch):
    spawn, tried = process.Server.spawn, []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        def first_on_a_taken_port(server):
            if server.name not in tried:
                server.port = taken.getsockname()[1]
            tried.append(server.name)
            spawn(server)

        monkeypatch.setattr(process.Server, "spawn", first_on_a_taken_port)
        with embedded.start(tmp_path, durable=False) as servers:
            for server in (servers.postgres, servers.nats, servers.redis):
                assert server.is_ready(server.port)
        assert sorted(tried) == ["nats", "nats", "postgres", "postgres", "redis", "redis"]


def test_a_server_that_cannot_start_says_why(tmp_path):
    with embedded.start(tmp_path, durable=False):
        pass
    (tmp_path / "postgres/postgresql.conf").write_text("no_such_setting = 1\n")
    with (
        pytest.raises(EmbeddedError, match=r"postgres: did not start .*no_such_setting"),
        embedded.start(tmp_path, durable=False),
    ):
        pass


def test_a_missing_wheel_names_the_extra(monkeypatch):
    monkeypatch.setattr(binaries, "_package", lambda name: Path("/nowhere") / name)
    with pytest.raises(EmbeddedError, match=r"not installed; `pip install 'agent-executor\[service,local\]'`"):
        binaries.postgres("postgres")


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@root_only
async def test_root_runs_postgresql_where_no_user_namespace_can_be_made(tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    child = tmp_path / "child.py"
    # The kernel refuses this flag, as a container's seccomp profile refuses the real one.
    child.write_text(process.CHILD.read_text().replace("CLONE_NEWUSER = 0x10000000", "CLONE_NEWUSER = 1"))
    with monkeypatch.context() as patch:
        patch.setattr(process, "CHILD", child)
        with embedded.start(private / "data", durable=False) as servers:
            assert psutil.Process(servers.postgres.process.pid).uids().effective == 65534
            await write({"postgres": servers.postgres_dsn, "nats": servers.nats_url, "redis": servers.redis_url}, "1")
    with (
        embedded.start(private / "data", durable=False) as servers,
        psycopg.connect(servers.postgres_dsn) as connection,
    ):
        assert connection.execute("SELECT value FROM kept").fetchall() == [("1",)]


@root_only
def test_an_ordinary_user_runs_everything(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    os.chown(mine, 65534, 65534)
    # The tests' own Python may lie below root's home: the capability to read is all that this user has of root.
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reads]
    started, addresses = owner(mine / "data", *user, durable="quick")
    assert {psutil.Process(pid).uids().effective for pid in addresses["pids"]} == {65534}
    started.communicate()
    assert started.returncode == 0
