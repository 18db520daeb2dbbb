import pytest

from agent_executor.services import database
from agent_executor.services.jobs import Jobs
from agent_executor.services.writer import Rows, Writer
from agent_executor.services.writer_statements import FEW
from tests.service.test_jobs import LEASE, event, new_job

ODD = 'é\n\t\\"{},NULL%s'
TABLES = {"checkpoints": "checkpoint_id", "checkpoint_blobs": "channel", "checkpoint_writes": "task_id, idx"}


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=2) as opened:
        yield opened


def rows_of(job_id, count):
    """So many rows of each kind, with values that a format may break on."""
    names = [f"{number}{ODD}" for number in range(count)]
    return Rows(
        checkpoints={(job_id, "", name): (job_id, "", name, None, '{"a": 1}', "{}") for name in names},
        blobs={(job_id, "", name, ODD): (job_id, "", name, ODD, "", bytes(range(256))) for name in names},
        writes={
            (job_id, "", ODD, name, -1): (job_id, "", ODD, name, "", number - 2, "c", "t", b"")
            for number, name in enumerate(names)
        },
        fences={job_id: 1},
    )


async def stored(pool, job_id):
    async with pool.connection() as connection:
        found = [
            await (
                await connection.execute(f"SELECT * FROM {table} WHERE thread_id = %s ORDER BY {order}", (job_id,))
            ).fetchall()
            for table, order in TABLES.items()
        ]
    return [[tuple("job" if value == job_id else value for value in row) for row in table] for table in found]


@pytest.mark.parametrize("ends", [False, True], ids=["running", "ending"])
@pytest.mark.parametrize(("count", "arrays"), {1: False, FEW: False, FEW + 1: True}.items())
async def test_rows_arrive_the_same_one_by_one_and_as_arrays(pool, count, arrays, ends):
    jobs, lone, other, third = Jobs(pool), *(new_job() for _ in range(3))
    for job in (lone, other, third):
        await jobs.claim(job, **LEASE)
    rows = rows_of(lone.job_id, count)
    together = rows_of(other.job_id, count)
    together.add(rows_of(third.job_id, count))
    if ends:
        for job, given in ((lone, rows), (other, together), (third, together)):
            told = event(job.job_id)
            given.ends[job.job_id] = (job.job_id, 1, "completed", '"done"', None, told.id, "s", "{}", b"\0")
    assert ("unnest" in rows.statement()[0], "unnest" in together.statement()[0]) == (arrays, True)
    for each in (rows, together):
        await Writer(pool).store(each, linger=False)
    found = await stored(pool, lone.job_id)
    assert [len(table) for table in found] == [count, count, count]
    assert found == await stored(pool, other.job_id) == await stored(pool, third.job_id)
    assert {(await jobs.get(job.job_id)).state for job in (lone, other, third)} == {"completed" if ends else "running"}


async def test_each_kind_of_rows_can_be_there_alone(pool):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    whole = rows_of(job.job_id, 1)
    for kind in ("checkpoints", "blobs", "writes"):
        await Writer(pool).store(Rows(fences=whole.fences, **{kind: getattr(whole, kind)}), linger=False)
    assert [len(table) for table in await stored(pool, job.job_id)] == [1, 1, 1]
