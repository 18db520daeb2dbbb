"""The service's command line. Each command imports what it needs, so that `--help` and `migrate` start at once.

Exit status: 0 fine, 1 the job or the service failed, 2 a wrong argument or setting.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent_executor import garbage, version
from agent_executor.addresses import printable
from agent_executor.arguments import NEAREST, Failed, Misused, at, read_definition, read_payload
from agent_executor.surroundings import (
    DATA_DIR,
    log_to_file,
    log_to_terminal,
    nearest,
    read_settings,
    service,
    starting,
    take_port,
)

if TYPE_CHECKING:
    from agent_executor.client import Client


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), package_name="agent-executor")
def main() -> None:
    """Run AI agents as jobs, and lose none."""


@main.command()
def serve() -> None:
    """Serve jobs from NATS and HTTP, as the environment says."""
    with garbage.spared():
        settings = read_settings()
        listener = take_port(settings)  # before the rest, which takes a second to import
        import uvloop  # noqa: PLC0415

        from agent_executor.api import main as api  # noqa: PLC0415
        from agent_executor.api.listener import StartError  # noqa: PLC0415
        from agent_executor.telemetry import logs  # noqa: PLC0415

    logs.configure(settings.log_level, content=settings.log_content)
    try:
        status = uvloop.run(api.serve(settings, listener=listener))
    except StartError as error:
        raise Failed(str(error)) from None
    sys.exit(status)


@main.command()
@click.option(
    "--down-to",
    type=click.IntRange(0),
    help="Take back every migration above this number instead, newest first, with all that is in their tables.",
)
def migrate(down_to: int | None) -> None:
    """Bring the schema of POSTGRES_SCHEMA up to date."""
    from agent_executor.services import migrations  # noqa: PLC0415

    sys.exit(migrations.main(os.environ, click.echo, down_to))


@main.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=DATA_DIR,
    show_default=True,
    help="Where it keeps everything.",
)
@click.option(
    "--http-port", type=click.IntRange(0, 65535), default=0, help="Port of the API; a free one when not given."
)
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the addresses as JSON once jobs are taken.")
def local(data_dir: Path, http_port: int, ready_file: Path | None) -> None:
    """Run everything on this machine: PostgreSQL, NATS, Valkey and the service."""
    import uvloop  # noqa: PLC0415

    from agent_executor import local as embedded  # noqa: PLC0415
    from agent_executor.terminal import waiting  # noqa: PLC0415

    log = log_to_file(data_dir)

    async def run() -> int:
        stop = asyncio.Event()
        click.echo(f"starting in {data_dir}")
        async with embedded.running(
            data_dir, env=os.environ, http_port=http_port, stop=stop, ready_file=ready_file
        ) as (
            addresses,
            serving,
        ):
            shown.close()
            for name, address in vars(addresses).items():
                click.echo(f"  {name:<9} {printable(address)}")
            click.echo(f"  {'log':<9} {log}")
            click.echo(f"ready: the API is described at {addresses.http}/docs, Ctrl-C stops everything")
            status = await serving
        click.echo("stopped, and everything is kept" if status == 0 else f"stopped by a fault, which is in {log}")
        return status

    with starting(), contextlib.ExitStack() as shown:
        shown.enter_context(waiting("starting PostgreSQL, NATS, Valkey and the service", line=False))
        sys.exit(uvloop.run(run()))


@main.command()
@click.argument("definition", type=click.Path(path_type=Path))
@click.option("--input", "given", required=True, help="A message, a JSON object, or @FILE with either.")
@at("one of its own")
def run(definition: Path, given: str, url: str | None, token: str | None) -> None:
    """Run one job to its end, on a service of its own unless --url names one."""
    asked, payload = read_definition(definition), read_payload(given)
    if url:
        with service(url, token) as client:
            sys.exit(_follow(client, client.submit(asked, payload)))
    import uvloop  # noqa: PLC0415

    from agent_executor import local as embedded  # noqa: PLC0415
    from agent_executor.terminal import waiting  # noqa: PLC0415

    log_to_terminal("error")

    async def alone() -> int:
        stop = asyncio.Event()
        with tempfile.TemporaryDirectory(prefix="agent-executor-") as directory:
            async with embedded.running(Path(directory), env=os.environ, stop=stop) as (addresses, _):
                shown.close()

                def work() -> int:
                    with service(addresses.http, os.environ.get("AGENT_EXECUTOR_API_TOKEN")) as client:
                        return _follow(client, client.submit(asked, payload))

                return await asyncio.to_thread(work)

    with starting(), contextlib.ExitStack() as shown:
        shown.enter_context(waiting("starting a service for this job"))
        sys.exit(uvloop.run(alone()))


@main.command()
@click.argument("definition", type=click.Path(path_type=Path))
@click.option("--input", "given", required=True, help="A message, a JSON object, or @FILE with either.")
@click.option("--job-id", help="The job's id; a new one when not given.")
@at(NEAREST)
def submit(definition: Path, given: str, job_id: str | None, url: str | None, token: str | None) -> None:
    """Hand in a job and print its id."""
    asked, payload = read_definition(definition), read_payload(given)
    with service(url, token) as client:
        click.echo(client.submit(asked, payload, job_id=job_id))


@main.command()
@click.argument("job")
@at(NEAREST)
def watch(job: str, url: str | None, token: str | None) -> None:
    """Show a job's events until it ends, then its result."""
    with service(url, token) as client:
        sys.exit(_follow(client, job))


@main.command()
@click.argument("job")
@at(NEAREST)
def cancel(job: str, url: str | None, token: str | None) -> None:
    """Ask for the end of a job."""
    with service(url, token) as client:
        found = client.cancel(job)
    click.echo("cancelled" if found["state"] == "cancelled" else f"asked for the end of a job that is {found['state']}")


@main.command()
def doctor() -> None:
    """Compare stream, consumer, schema and settings with what is expected, and say what to do."""
    from agent_executor import doctor as examination  # noqa: PLC0415
    from agent_executor.terminal import findings, waiting  # noqa: PLC0415

    log_to_terminal("error")
    settings = read_settings()
    with waiting("looking at PostgreSQL, NATS and Dragonfly", line=False):  # up to five seconds each
        found = asyncio.run(examination.examine(settings))
    findings(found)
    sys.exit(1 if any(finding.bad for finding in found) else 0)


@main.command()
@click.option(
    "--model",
    default="scripted:echo",
    show_default=True,
    metavar="PROVIDER:MODEL",
    help="Who answers; production refuses the scripted model.",
)
@click.option("--timeout", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds for the job.")
@at("see above")
def smoke(model: str, timeout: float, url: str | None, token: str | None) -> None:
    """Run one small job on a deployed executor, and check its result, readiness and metrics.

    With --url over HTTP. Inside a pod, without it, as a message on NATS: there the environment says where.
    """
    from agent_executor import smoke as test  # noqa: PLC0415
    from agent_executor.terminal import findings, waiting  # noqa: PLC0415

    provider, _, name = model.partition(":")
    if not (provider and name):
        raise Misused(f"--model: {model[:80]!r} is not PROVIDER:MODEL, such as openai:gpt-4.1-mini")
    log_to_terminal("error")
    asked = test.ask(provider, name)
    with waiting(f"waiting at most {timeout:g} s for a small job", line=False):
        if url or "NATS_URL" not in os.environ:
            found = test.over_http(asked, url or nearest(), token, timeout)
        else:
            found = test.over_nats(asked, read_settings(), timeout)
    findings(found)
    sys.exit(1 if any(finding.bad for finding in found) else 0)


def _follow(client: "Client", job_id: str) -> int:
    """Show a job's events and how it ended; the exit status."""
    from agent_executor.terminal import Narrator  # noqa: PLC0415

    with Narrator(job_id) as narrator:
        for message in client.watch(job_id):
            narrator.tell(message)
    job = client.job(job_id)
    if job["state"] == "completed":
        click.echo(json.dumps(client.result(job_id), indent=2, ensure_ascii=False))
        return 0
    error = job["error"] or {}
    click.echo(f"{job_id}: {job['state']}{': ' + error['message'] if error else ''}", err=True)
    return 1
