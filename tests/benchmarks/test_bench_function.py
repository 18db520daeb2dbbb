"""The benchmark's own code, with counts too small for its figures to mean anything."""

import json

import pytest

from benchmarks import bench_function

ROW = {"p50_ms", "p99_ms", "cpu_ms", "calls_per_s"}
SINGLE = {"rss_mb", "cold_start_ms", "floor_cold_start_ms"}


@pytest.mark.slow
def test_the_benchmark_measures_both_and_writes_its_figures(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert bench_function.main(bench_function.Counts(rounds=1, calls=10, starts=1), out) == 0
    figures = json.loads(out.read_text())
    assert set(figures) == {"floor", "repeated", "fresh", *SINGLE}
    for name in ("floor", "repeated", "fresh"):
        assert set(figures[name]) == ROW | {"eight_at_a_time"}
        assert set(figures[name].pop("eight_at_a_time")) == ROW
        assert all(figure > 0 for figure in figures[name].values())
    assert all(figures[name] > 0 for name in SINGLE)
    assert "cold start" in capsys.readouterr().out


def test_the_table_says_which_targets_are_missed(capsys):
    def row(p50, cpu):
        return {"p50_ms": p50, "p99_ms": 9.0, "cpu_ms": cpu, "calls_per_s": 1.0}

    figures = {
        "floor": {**row(1.0, 1.0), "eight_at_a_time": row(2.0, 1.0)},
        "repeated": {**row(1.4, 1.2), "eight_at_a_time": row(2.4, 1.4)},
        "fresh": {**row(2.4, 2.4), "eight_at_a_time": row(4.9, 2.4)},
        "cold_start_ms": 140.0,
        "floor_cold_start_ms": 100.0,
    }
    bench_function.report({**figures, "rss_mb": 63.5}, [60.0, 63.5])
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("(")[2] for line in lines if "to reach" in line] == [
        "to reach: 1.3, missed)",
        "to reach: 1.3, missed)",
        "to reach: 2.5)",
        "to reach: 2.5)",
        "to reach: 65)",
        "to reach: 2, missed)",
        "to reach: 1.3, missed)",
    ]
