"""The benchmark's own code, with counts too small for its figures to mean anything."""

import json
from pathlib import Path

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
