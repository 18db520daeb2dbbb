"""The benchmark's own code, with counts too small for its figures to mean anything."""

import asyncio
import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import bench_service

ROW = {"one_p50_ms", "one_p99_ms", "jobs_per_s_1", "jobs_per_s_10", "jobs_per_s_50"}
SINGLE = {"first_event_ms", "idle_mb", "mb_per_job", "ready_cpu_s", "resume_s"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_benchmark_measures_all_three_and_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "figures.json"
    assert bench_service.main(bench_service.Counts(processes=2, rounds=1, jobs=(5, 10, 10), starts=1), out) == 0
    figures = json.loads(out.read_text())
    assert set(figures) == {*bench_service.CONTESTANTS, *SINGLE}
    for name in bench_service.CONTESTANTS:
        assert set(figures[name]) == ROW
        assert all(figure > 0 for figure in figures[name].values())
    assert all(figures[name] > 0 for name in SINGLE - {"mb_per_job"})
    assert "service/floor" in capsys.readouterr().out


class Jobs:
    """A caller and all contestants in one, without a server: every job ends as it is told, at once or with a kill."""

    def __init__(self, outcome: str, *, at_once: bool = False):
        self.outcome, self.at_once, self.ends = outcome, at_once, []
        self.process = SimpleNamespace(kill=self.end)

    async def send(self) -> asyncio.Future[str]:
        self.ends.append(asyncio.get_running_loop().create_future())
        if self.at_once:
            self.end()
        return self.ends[-1]

    def end(self):
        for ended in self.ends:
            if not ended.done():
                ended.set_result(self.outcome)

    def settle(self):
        pass

    def mb(self) -> float:
        return 100.0 + len(self.ends)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch):
    """The benchmark with these jobs in place of servers and processes."""

    def use(made: Jobs):
        @contextlib.asynccontextmanager
        async def caller(*_, **__):
            yield made

        monkeypatch.setattr(bench_service, "environment", lambda *_, **__: {})
        monkeypatch.setattr(bench_service, "caller", caller)
        monkeypatch.setattr(bench_service, "contestant", lambda *_, **__: contextlib.nullcontext(made))
        return made

    return use


def test_a_resumed_job_that_fails_is_no_figure(jobs):
    jobs(Jobs("completed"))
    assert bench_service.resume(None) >= 0
    jobs(Jobs("failed"))
    with pytest.raises(SystemExit, match="a job ended as failed"):
        bench_service.resume(None)


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_memory_without_the_jobs_is_no_figure(jobs, outcome):
    jobs(Jobs(outcome))
    assert bench_service.mb_per_job(None) == 1.0
    jobs(Jobs(outcome, at_once=True))
    with pytest.raises(SystemExit, match="a job ended before the memory was read"):
        bench_service.mb_per_job(None)


def test_the_table_says_which_targets_are_missed(capsys: pytest.CaptureFixture[str]):
    floor = dict.fromkeys(ROW, 100.0)
    service = {**floor, "one_p50_ms": 126.0, "jobs_per_s_10": 99.0}
    single = {"first_event_ms": 9.0, "idle_mb": 171.0, "mb_per_job": 0.1, "ready_cpu_s": 2.0, "resume_s": 11.0}
    bench_service.report({"floor": floor, "seed_loop": floor, "service": service, **single})
    told = [line for line in capsys.readouterr().out.splitlines() if "to reach" in line]
    assert [line.rpartition("(")[2] for line in told] == [
        "to reach: 1.25, missed)",
        "to reach: 1, missed)",
        "to reach: 10)",
        "to reach: 170, missed)",
        "to reach: 0.2)",
        "to reach: 2.5)",
        "to reach: 10, missed)",
    ]
