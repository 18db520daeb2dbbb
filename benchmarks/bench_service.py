"""What a job costs in the service, beside bare LangGraph (the floor) and the seed's own loop.

`make bench-service`. All run the same no-op graph with synchronous durability on the same servers, which commit to
disk, in processes of their own and in turns, so that whatever else the machine does falls on all. The floor is told
to run a graph, the other two are sent a job over NATS and timed until its result is back; what the caller does for
that is in their times, so it is done on the same event loop as the service. Nothing but the ratios means much on
another machine. A target that is missed is said so in the table; the exit status stays 0, because a phase of the
machine is no failure.
"""

import asyncio
import contextlib
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from agent_executor import embedded
from agent_executor.embedded import Servers
from benchmarks.service_caller import Caller, Contestant, Figures, caller, completed, contestant, environment
from benchmarks.targets import to_reach

OUT = Path("build/bench-service.json")
CONTESTANTS = ("floor", "seed_loop", "service")
WIDTHS = (1, 10, 50)
HOLD_SECONDS = 600.0
FEW, MANY = 10, 60  # running jobs between which memory is compared


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    processes: int = 3  # of each, one after the other: those of the same code differ by a tenth
    rounds: int = 2
    jobs: tuple[int, int, int] = (60, 100, 150)  # at the three widths
    starts: int = 3


def main(counts: Counts = Counts(), out: Path = OUT) -> int:
    with tempfile.TemporaryDirectory(prefix="agent-executor-bench-") as data, embedded.start(Path(data)) as servers:
        figures = race(servers, counts)
        print("starts, memory, resume", file=sys.stderr)
        figures |= starting(servers, counts.starts)
        figures |= {"mb_per_job": mb_per_job(servers), "resume_s": resume(servers)}
    report(figures)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


@dataclass
class Times:
    """What was measured, by contestant."""

    took: dict[str, list[float]] = field(default_factory=dict)  # seconds of each job, one at a time
    speeds: dict[tuple[str, int], list[float]] = field(default_factory=dict)  # jobs/s of each turn, by width
    first: list[tuple[float, float]] = field(default_factory=list)  # of each turn: seconds to first events, and events

    def figures(self) -> Figures:
        """What goes into the file."""
        rows: Figures = {
            name: {
                "one_p50_ms": statistics.median(self.took[name]) * 1000,
                "one_p99_ms": statistics.quantiles(self.took[name], n=100)[98] * 1000,
                **{f"jobs_per_s_{width}": statistics.median(self.speeds[name, width]) for width in WIDTHS},
            }
            for name in CONTESTANTS
        }
        return rows | {"first_event_ms": sum(s for s, _ in self.first) / sum(n for _, n in self.first) * 1000}


def race(servers: Servers, counts: Counts) -> Figures:
    """The three beside each other, time and again in new processes."""
    env = {name: environment(servers, name) for name in CONTESTANTS}
    times = Times()
    for number in range(counts.processes):
        uvloop.run(heat(env, counts, times, number))
    return times.figures()


async def heat(env: Mapping[str, Mapping[str, str]], counts: Counts, times: Times, heat: int) -> None:
    """A process of each, in turns."""
    async with contextlib.AsyncExitStack() as stack:
        callers = {name: await stack.enter_async_context(caller(env[name], f"{name}-{heat}")) for name in CONTESTANTS}
        processes = {name: stack.enter_context(contestant(name, env[name])) for name in CONTESTANTS}
        processes["service"].settle()
        for number in range(counts.rounds + 1):  # the first one warms up
            print(f"process {heat + 1} of {counts.processes}, round {number} of {counts.rounds}", file=sys.stderr)
            for width, jobs in zip(WIDTHS, counts.jobs, strict=True):
                for name in CONTESTANTS:
                    before = processes["service"].first_events()
                    done = await turn(processes[name], callers[name], name, f"{heat}-{number}-{width}", jobs, width)
                    after = processes["service"].first_events()
                    if number:
                        times.speeds.setdefault((name, width), []).append(jobs / done["seconds"])
                    if number and width == 1:
                        times.took.setdefault(name, []).extend(done["took"])
                        times.first += [(after[0] - before[0], after[1] - before[1])] if name == "service" else []


async def turn(process: Contestant, sender: Caller, name: str, label: str, jobs: int, width: int) -> Figures:
    if name == "floor":
        return await asyncio.to_thread(process.ask, f"{label} {jobs} {width}")
    return await sender.run(jobs, width)


def starting(servers: Servers, starts: int) -> Figures:
    """The service as it is installed, before any job."""
    env = environment(servers, "starting", MAX_CONCURRENT_JOBS="5")
    cpu = []
    for _ in range(starts + 1):  # the first one makes streams and reads files that are not in memory yet
        with contestant("service", env, real=True) as service:
            cpu.append(service.ready_cpu_s)
    with contestant("service", env, real=True) as service:
        service.settle()
        return {"idle_mb": service.mb(), "ready_cpu_s": statistics.median(cpu[1:])}


def mb_per_job(servers: Servers) -> float:
    """What each job more costs while it runs, once the first ones have paid for what all share."""
    env = environment(servers, "memory", MAX_CONCURRENT_JOBS=str(MANY), BENCH_HOLD=str(HOLD_SECONDS))

    async def run() -> float:
        async with caller(env) as sender:
            with contestant("service", env) as service:
                service.settle()
                sizes, running = [], []
                for jobs in (FEW, MANY - FEW):
                    running += [await sender.send() for _ in range(jobs)]
                    await asyncio.to_thread(service.settle)
                    sizes.append(service.mb())
                    if any(job.done() for job in running):
                        sys.exit("a job ended before the memory was read")
                return (sizes[1] - sizes[0]) / (MANY - FEW)

    return uvloop.run(run())


def resume(servers: Servers) -> float:
    """From kill -9 of the process that works on a job to the job's result from another one that is up."""
    env = environment(servers, "resume")

    async def run() -> float:
        async with caller(env) as sender:
            with contestant("service", env | {"BENCH_HOLD": str(HOLD_SECONDS)}) as killed:
                await asyncio.to_thread(killed.settle)
                ended = await sender.send()
                with contestant("service", env) as other:
                    await asyncio.to_thread(other.settle)
                    if ended.done():
                        sys.exit("the job ended before its process was killed")
                    began = time.monotonic()
                    killed.process.kill()
                    await completed(ended)
                    return time.monotonic() - began

    return uvloop.run(run())


def report(figures: Figures) -> None:
    floor, service = figures["floor"], figures["service"]
    print(f"{'':14}{'p50 ms':>9}{'p99 ms':>9}" + "".join(f"{f'jobs/s at {width}':>14}" for width in WIDTHS))
    for name in CONTESTANTS:
        row = figures[name]
        speeds = "".join(f"{row[f'jobs_per_s_{width}']:14.0f}" for width in WIDTHS)
        print(f"{name:14}{row['one_p50_ms']:9.2f}{row['one_p99_ms']:9.2f}{speeds}")
    of_floor = "".join(f"{service[f'jobs_per_s_{width}'] / floor[f'jobs_per_s_{width}']:14.2f}" for width in WIDTHS)
    ratios = [service[key] / floor[key] for key in ("one_p50_ms", "one_p99_ms")]
    print(f"{'service/floor':14}{ratios[0]:9.2f}{ratios[1]:9.2f}{of_floor}")
    at_ten = service["jobs_per_s_10"] / floor["jobs_per_s_10"]
    print(f"{'p50, of the floor':40}{ratios[0]:8.2f}   {to_reach(ratios[0], 1.25)}")
    print(f"{'jobs/s at 10, of the floor':40}{at_ten:8.2f}   {to_reach(at_ten, 1.0, least=True)}")
    for key, label, most in (
        ("first_event_ms", "first event, ms after taking the job", 10),
        ("idle_mb", "idle, MB", 170),
        ("mb_per_job", "each running job, MB", 0.2),
        ("ready_cpu_s", "start to ready, s of CPU", 2.5),
        ("resume_s", "kill -9 to the result, s", 10),
    ):
        print(f"{label:40}{figures[key]:8.2f}   {to_reach(figures[key], most)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # or the processes would outlive it
    sys.exit(main())
