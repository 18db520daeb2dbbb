"""One real job, from the outside: a CloudEvent in over NATS, its events while it runs, its result as it came.

Starts the whole service with `agent-executor local` in a directory of its own, talks to it as an application would
(NATS and Redis, nothing of ours imported), and stops it. Exits with 1 when anything that should be seen was not.
"""

import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path

import nats
import redis.asyncio

HERE = Path(__file__).parent
SECONDS = 60
SUBJECT, RESULT = "agent.execute.demo", "agent.status.completed"
WANTED = {"on_state_update", "on_llm_stream", "on_tool_start", "on_tool_end", "end"}


async def main() -> int:
    """Start, run one job, stop."""
    job = json.loads((HERE / "jobs" / "demo.json").read_text())
    with tempfile.TemporaryDirectory(prefix="agent-executor-demo-") as directory:
        ready = Path(directory) / "addresses.json"
        title("the service: real PostgreSQL, NATS JetStream and Valkey, migrations applied")
        program = Path(sys.executable).parent / "agent-executor"
        service = await asyncio.create_subprocess_exec(
            program, "local", "--data-dir", Path(directory) / "data", "--ready-file", ready
        )
        try:
            addresses = await until_ready(service, ready)
            async with asyncio.timeout(SECONDS):
                return await one_job(addresses, job)
        finally:
            if service.returncode is None:
                service.send_signal(signal.SIGTERM)
            await service.wait()


async def until_ready(service: asyncio.subprocess.Process, ready: Path) -> dict[str, str]:
    """The addresses of the service, once it takes jobs."""
    async with asyncio.timeout(SECONDS):
        while not ready.exists():
            if service.returncode is not None:
                sys.exit("the service ended before it was ready")
            await asyncio.sleep(0.05)
    return json.loads(ready.read_text())


async def one_job(addresses: dict[str, str], job: dict) -> int:
    """Publish, listen, print; the exit status."""
    broker = await nats.connect(addresses["nats"])
    dragonfly = redis.asyncio.from_url(addresses["redis"])
    results = await broker.subscribe(RESULT)
    events = dragonfly.pubsub()
    await events.subscribe(f"langgraph:stream:{job['job_id']}")

    event = {
        "specversion": "1.0",
        "id": "demo-1",
        "source": "demo",
        "type": "dev.my-platform.agent.execute",
        "data": job,
    }
    title(f"a CloudEvent to {SUBJECT}")
    print(f"  job {job['job_id']!r}: {job['input_payload']['messages'][0]['content']}")
    headers = {"Content-Type": "application/cloudevents+json"}
    stored = await broker.jetstream().publish(SUBJECT, json.dumps(event).encode(), headers=headers)
    print(f"  stored in stream {stored.stream}, sequence {stored.seq}")

    title(f"its events, from Redis channel langgraph:stream:{job['job_id']}")
    seen = set()
    async for message in events.listen():
        if message["type"] == "message":
            told = json.loads(message["data"])
            seen.add(told["event_type"])
            print(f"  {told['seq']:>3}  {told['event_type']:<16} {summary(told['event_type'], told['data'])}")
            if told["event_type"] == "end":
                break

    result = await results.next_msg(timeout=SECONDS)
    title(f"the result, as it came from {result.subject}")
    print(json.dumps(json.loads(result.data), indent=2, ensure_ascii=False))
    await events.aclose()
    await dragonfly.aclose()
    await broker.close()
    if missing := WANTED - seen:
        print(f"missing: {', '.join(sorted(missing))}", file=sys.stderr)
    return 1 if missing else 0


def summary(kind: str, data: dict) -> str:
    """An event's data in a few words."""
    match kind:
        case "on_llm_stream":
            calls = ", ".join(call["name"] for call in data["tool_call_chunks"] if call["name"])
            return f"{data['agent']}: {data['content']!r}" + (f" calls {calls}" if calls else "")
        case "on_tool_start":
            return f"{data['name']} {json.dumps(data['input'])}"
        case "on_tool_end":
            return f"{data['name']} -> {data['output']!r}"
        case "on_state_update":
            return f"{len(data['messages'])} messages, {len(data['files'])} files"
    return json.dumps(data)


def title(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
