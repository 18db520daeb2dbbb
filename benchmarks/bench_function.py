"""What one call of the function costs, beside a function on the same SDK that hands out a prebuilt answer (the floor).

`make bench-function`. Both are processes of their own, called over loopback gRPC with the same request, in turns, so
that whatever else the machine does falls on both. Nothing but the ratios means much on another machine. A target that
is missed is said so in the table; the exit status stays 0, because a phase of the machine is no failure.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from benchmarks.observed import SERIAL, request
from benchmarks.targets import to_reach
from function.fn import FunctionRunner

HERE = Path(__file__).parent
METHOD = "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction"
OUT = Path("build/bench-function.json")
TARGETS = {"repeated": 1.3, "fresh": 2.5, "cold start": 1.3}
MAX_RSS_MB, MAX_GROWTH_MB = 65, 2  # the second is what `flat` means, since the first round
Call = Callable[[bytes], Any]


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    rounds: int = 10
    calls: int = 300  # of each kind in a round, at each width
    starts: int = 5


def main(counts: Counts = Counts(), out: Path = OUT) -> int:
    sent = request().SerializeToString()
    answer = asyncio.run(FunctionRunner().RunFunction(fnv1.RunFunctionRequest.FromString(sent), None))
    if [made.ready for made in answer.desired.resources.values()] != [fnv1.READY_TRUE] * 9:
        sys.exit("the request does not describe nine ready objects, so its figures would mean nothing")
    with tempfile.TemporaryDirectory() as temporary:
        prebuilt = Path(temporary, "answer")
        prebuilt.write_bytes(answer.SerializeToString())
        ours = [str(Path(sys.executable).with_name("function-agent-executor")), "serve"]
        floor = [sys.executable, str(HERE / "floor_function.py"), str(prebuilt)]
        starts = {"ours": [], "floor": []}
        for _ in range(counts.starts + 1):
            starts["floor"].append(cold_start(floor, sent))
            starts["ours"].append(cold_start(ours, sent))
        with ExitStack() as stack:
            servers = {"ours": stack.enter_context(served(ours)), "floor": stack.enter_context(served(floor))}
            figures, rss = asyncio.run(measure(servers, sent, counts))
    figures |= {
        "rss_mb": rss[-1],
        "cold_start_ms": statistics.median(starts["ours"][1:]),
        "floor_cold_start_ms": statistics.median(starts["floor"][1:]),
    }
    report(figures, rss)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


@contextmanager
def served(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server; its port and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [*command, "--insecure", "--address", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, env=environment
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not serve")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.002)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def cold_start(command: list[str], sent: bytes) -> float:
    """Milliseconds from the start of the process to its first answer."""
    began = time.perf_counter()
    with served(command) as (port, _), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary(METHOD)(sent, timeout=60)
        return (time.perf_counter() - began) * 1000


async def measure(
    servers: dict[str, tuple[int, int]], sent: bytes, counts: Counts
) -> tuple[dict[str, Any], list[float]]:
    serials = (f"{n:0{len(SERIAL)}d}".encode() for n in range(1, 10**6))
    sources: dict[str, tuple[str, Callable[[], bytes]]] = {
        "floor": ("floor", lambda: sent),
        "repeated": ("ours", lambda: sent),
        "fresh": ("ours", lambda: sent.replace(SERIAL.encode(), next(serials))),
    }
    took: dict[tuple[str, int], list[float]] = {}
    cpu: dict[tuple[str, int], float] = {}
    wall: dict[tuple[str, int], float] = {}
    rss: list[float] = []
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{servers['ours'][0]}") as ours,
        grpc.aio.insecure_channel(f"127.0.0.1:{servers['floor'][0]}") as floor,
    ):
        calls: dict[str, Call] = {"ours": ours.unary_unary(METHOD), "floor": floor.unary_unary(METHOD)}
        for number in range(counts.rounds + 1):
            for name, (server, source) in sources.items():
                for width in (1, 8):
                    requests = [source() for _ in range(counts.calls)]
                    before, began = cpu_seconds(servers[server][1]), time.perf_counter()
                    latencies = await run(calls[server], requests, width)
                    if number:  # the first round warms up
                        key = name, width
                        wall[key] = wall.get(key, 0) + time.perf_counter() - began
                        cpu[key] = cpu.get(key, 0) + cpu_seconds(servers[server][1]) - before
                        took.setdefault(key, []).extend(latencies)
            rss.append(psutil.Process(servers["ours"][1]).memory_info().rss / 2**20)
    figures: dict[str, Any] = {}
    for (name, width), latencies in took.items():
        quantiles = statistics.quantiles(latencies, n=100)
        row = {
            "p50_ms": statistics.median(latencies) * 1000,
            "p99_ms": quantiles[98] * 1000,
            "cpu_ms": cpu[name, width] / len(latencies) * 1000,
            "calls_per_s": len(latencies) / wall[name, width],
        }
        if width == 1:
            figures[name] = row
        else:
            figures[name]["eight_at_a_time"] = row
    return figures, rss


async def run(call: Call, requests: list[bytes], width: int) -> list[float]:
    """Send every request, `width` at a time; how long each took, in seconds."""
    latencies: list[float] = []
    waiting = iter(requests)

    async def worker() -> None:
        for sent in waiting:
            began = time.perf_counter()
            await call(sent)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(worker() for _ in range(width)))
    return latencies


def cpu_seconds(pid: int) -> float:
    """CPU time of a process to the nanosecond, where the kernel tells; /proc/<pid>/stat only has hundredths."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    except OSError:
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system


def report(figures: dict[str, Any], rss: list[float]) -> None:
    floor = figures["floor"]
    print(f"{'':24}{'p50 ms':>9}{'p99 ms':>9}{'calls/s':>9}{'CPU ms':>9}{'p50':>8}{'CPU':>8}   of the floor's")
    for name in ("floor", "repeated", "fresh"):
        for label, row, base in (
            (f"{name}, one at a time", figures[name], floor),
            (f"{name}, eight", figures[name]["eight_at_a_time"], floor["eight_at_a_time"]),
        ):
            p50, used = (row[key] / base[key] for key in ("p50_ms", "cpu_ms"))
            print(
                f"{label:24}{row['p50_ms']:9.3f}{row['p99_ms']:9.3f}{row['calls_per_s']:9.0f}{row['cpu_ms']:9.3f}{p50:8.2f}{used:8.2f}"
                + (f"   {to_reach(max(p50, used), TARGETS[name])}" if name in TARGETS else "")
            )
    cold = figures["cold_start_ms"] / figures["floor_cold_start_ms"]
    grown = rss[-1] - rss[0]
    print(f"RSS {rss[-1]:.1f} MB {to_reach(rss[-1], MAX_RSS_MB)}")
    print(f"grown since the first round by {grown:.1f} MB {to_reach(grown, MAX_GROWTH_MB)}")
    print(
        f"cold start {figures['cold_start_ms']:.0f} ms, {cold:.2f} of the floor's {figures['floor_cold_start_ms']:.0f}"
        f" {to_reach(cold, TARGETS['cold start'])}"
    )


if __name__ == "__main__":
    sys.exit(main())
