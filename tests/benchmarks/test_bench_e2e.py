"""What of the benchmark needs no cluster: how it asks an API server, and what it prints."""

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from benchmarks import bench_e2e
from tests.e2e.lab.api import PATHS

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{verb="GET",resource="deployments",code="200"} 1000
apiserver_request_total{verb="WATCH",resource="deployments",code="200"} 100
apiserver_request_total{verb="POST",resource="deployments",code="201"} 1
apiserver_request_total{verb="PUT",resource="deployments",code="200"} 2
apiserver_request_total{verb="PUT",resource="deployments",code="409"} 4
apiserver_request_total{verb="PATCH",resource="secrets",code="200"} 8
apiserver_request_total{verb="APPLY",resource="secrets",code="200"} 16
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{verb="POST"} 32
"""


def server(model="claim", **shown):
    """A lab whose API server shows these tables by kind: the columns' names, and the rows."""
    tables = {PATHS[kind][1]: rows for kind, rows in shown.items()}

    def answer(asked):
        what = asked.url.path.rpartition("/")[2]
        if what == "metrics":
            return httpx.Response(200, text=METRICS)
        if what not in tables:
            return httpx.Response(403, json={"kind": "Status"})
        assert "as=Table" in asked.headers["Accept"]
        assert asked.url.params["includeObject"] == "None"
        names, *rows = tables[what]
        columns = [{"name": name, "type": "string"} for name in names]
        return httpx.Response(200, json={"columnDefinitions": columns, "rows": [{"cells": row} for row in rows]})

    http = httpx.Client(transport=httpx.MockTransport(answer), base_url="https://api")
    return SimpleNamespace(api=SimpleNamespace(http=http), model=model)


def everything(*said):
    """Three claims, with what is `said` of their being Synced, and their composites."""
    names = ("a", "b", "c")
    executors = [["NAME", "SYNCED", "READY"], *([name, one, "False"] for name, one in zip(names, said, strict=True))]
    composites = [["NAME", "SYNCED", "READY"], *([f"{name}-x7k2p", "True", "False"] for name in names)]
    return {"AgentExecutor": executors, "XAgentExecutor": composites}


@pytest.mark.parametrize("model", ["claim", "namespaced"])
@pytest.mark.parametrize("other", ["False", "", None])
def test_claims_are_composed_once_so_many_are_synced(model, other):
    assert bench_e2e.composed(server(model, **everything("True", "True", "True")), 3)
    assert bench_e2e.composed(server(model, **everything("True", other, "True")), 2)
    assert not bench_e2e.composed(server(model, **everything("True", other, "True")), 3)


def test_a_claim_is_not_composed_before_its_composite_is_synced():
    shown = everything("True", "True", "True")
    shown["XAgentExecutor"][1][1] = "False"
    assert bench_e2e.composed(server("claim", **shown), 2)
    assert not bench_e2e.composed(server("claim", **shown), 3)


def test_a_refusal_is_no_empty_table():
    with pytest.raises(httpx.HTTPStatusError):
        bench_e2e.composed(server(), 0)


def test_writes_are_requests_to_write_and_no_others():
    assert bench_e2e.writes(server()) == 1 + 2 + 4 + 8 + 16


def test_the_table_says_which_targets_are_missed(capsys):
    bench_e2e.report({"ready_s": 5.1, "synced_100_s": 29.0, "writes_per_claim": 90.0})
    assert [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()] == [
        ["ready_s", "5.10", "(to reach: 5, missed)"],
        ["synced_100_s", "29.00", "(to reach: 30)"],
        ["writes_per_claim", "90.00"],
    ]


def test_every_target_is_of_a_figure():
    text = Path(bench_e2e.__file__).read_text()
    assert all(text.count(f'"{name}"') > 1 for name in bench_e2e.TARGETS)


def test_a_claim_has_secrets_of_its_own():
    one, other = bench_e2e.claim(1), bench_e2e.claim(2)
    assert one["metadata"]["name"] == "claim-1"
    secrets = [key for key in one["spec"] if key.endswith("Secret")]
    assert len(secrets) == 3
    assert not {one["spec"][key] for key in secrets} & {other["spec"][key] for key in secrets}
