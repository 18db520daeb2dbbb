"""Ten pods start at once on an empty database: each migrates, each serves, and the first job is done once."""

import asyncio

import pytest

from tests.support.observer import ECHO, job, migrate, rows, running, watching
from tests.support.servers import unique

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PODS = 10


async def test_ten_services_start_at_once_on_an_empty_database(servers, database, env, tmp_path):
    empty = {**env, **database.postgres, "POSTGRES_SCHEMA": "agent_executor", "POSTGRES_POOL_SIZE": "2"}
    done = await asyncio.gather(*(asyncio.to_thread(migrate, empty) for _ in range(PODS)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * PODS
    assert (await asyncio.to_thread(migrate, empty)).returncode == 0
    with running(empty, tmp_path, PODS) as services:
        async with watching(empty) as observer:
            ids = [await observer.publish(job(ECHO, job_id=unique("job"))) for _ in range(2 * PODS)]
            for job_id in ids:
                assert (await observer.result(job_id, 60))["type"].endswith("completed")
            await observer.settled()
            assert len(await observer.results()) == len(ids)
            assert rows(empty, "SELECT count(*), max(epoch) FROM jobs") == [(len(ids), 1)]
        for service in services:
            service.terminate()
        assert [await service.ended() for service in services] == [0] * PODS
        assert not [line for service in services for line in service.lines() if line["level"] in ("error", "critical")]
