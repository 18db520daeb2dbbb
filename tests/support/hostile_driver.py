"""A small service that runs every hostile script, as whoever started it, and prints what became of them as JSON."""

import asyncio
import errno
import json
import os
import socket
import sys
from dataclasses import asdict, replace
from pathlib import Path

from agent_executor.errors import PermanentError
from agent_executor.services import sandbox
from agent_executor.services.sandbox import seccomp, syscalls
from agent_executor.services.tools.runner import ToolRunner
from agent_executor.services.tools.specs import Limits
from tests.support.hostile_tools import HEAD, TOOL, TOOLS, UNDESCRIBABLE, WALL_SECONDS

GOOD = HEAD + TOOL + "    return victim.upper()\n"
LIMITS = replace(
    Limits(),
    wall_seconds=WALL_SECONDS,
    cpu_seconds=1,
    memory_bytes=256 << 20,
    file_bytes=4 << 20,
    directory_bytes=16 << 20,
    directory_entries=3000,
)


async def main(base: Path) -> None:
    secret = base / "secret"
    secret.write_text(os.environ["CANARY"])
    secret.chmod(0o600)
    outside = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    outside.bind(str(base / "socket"))
    (base / "socket").chmod(0o777)
    work = base / "work"
    work.mkdir()
    runner = ToolRunner(LIMITS, work, most=6)

    async def good(job: str) -> str:
        done = await runner.call(GOOD, {"victim": job}, job_id=job, tool_call_id="good", state={})
        return getattr(done, "content", "")

    async def one(name: str, script: str) -> tuple[str, dict[str, object]]:
        script = script.replace("SECRET_FILE", str(secret)).replace("OPEN_SOCKET", outside.getsockname())
        arguments = {"victim": str(os.getpid())}
        hostile = runner.call(script, arguments, job_id=name, tool_call_id="hostile", state={})
        outcome, other = await asyncio.gather(hostile, good("another job"))
        return name, {**asdict(outcome), "other": other, "next": await good(name)}

    turn = asyncio.Semaphore(3)

    async def in_turn(name: str, script: str) -> tuple[str, dict[str, object]]:
        async with turn:
            return await one(name, script)

    outcomes = dict(await asyncio.gather(*(in_turn(each.name, each.script) for each in TOOLS)))
    for name, (script, _) in UNDESCRIBABLE.items():
        try:
            outcomes[name] = {"content": str(await runner.describe(script, where="tool_definitions[0].runtime.script"))}
        except PermanentError as error:
            outcomes[name] = {"content": error.message}
    await runner.close()
    print(json.dumps({"outcomes": outcomes, "gaps": sandbox.report(), "left": [str(left) for left in work.iterdir()]}))


if "without Landlock" in sys.argv[2]:  # an older kernel: the call is unknown, here and in all children
    on = syscalls.machine()
    assert on is not None
    unknown = syscalls.number("landlock_create_ruleset", on)
    code = [(seccomp.LOAD, 0, 0, seccomp.NUMBER), (seccomp.EQUAL, 0, 1, unknown)]
    code += [(seccomp.RETURN, 0, 0, seccomp.ERRNO | errno.ENOSYS), (seccomp.RETURN, 0, 0, seccomp.ALLOW)]
    sandbox._prctl(sandbox.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(sandbox._libc, on, code)
asyncio.run(main(Path(sys.argv[1])))
