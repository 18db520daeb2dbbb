"""The command line: what a claim becomes, whether it is right, what changes, who decided; and the server itself.

Exit status: 0 fine, 2 an invalid claim, 3 anything else. What went wrong is on stderr, one fault a line behind the file
and the line it is in, never a traceback. Each command imports what it needs and no more: a preview does not load gRPC.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from function.refusals import RefusedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from function.sizes import SizeProfile

PROGRAM = "function-agent-executor"
INVALID, FAILED = 2, 3

files = click.argument("files", nargs=-1, required=True, metavar="FILE...")
platform = click.option(
    "--platform",
    metavar="F",
    help="The platform's Input (kind AgentExecutorPlatform), or a Composition that carries one.",
)


def main(arguments: Sequence[str] | None = None, *, profiles: Mapping[str, SizeProfile] | None = None) -> None:
    """Run the command line and exit; `profiles`, in a platform's own main, takes the place of the standard ones."""
    # No other package's plugin is to see a claim; and looking for some reads the metadata of everything installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        open_output()
        status = commands.main(arguments, PROGRAM, standalone_mode=False, obj=profiles)
        sys.stdout.flush()
    except RefusedError as error:
        status = complain(error, INVALID)
    except UnreadableError as error:
        status = complain(error, FAILED)
    except click.ClickException as error:
        error.show()
        status = FAILED
    except (KeyboardInterrupt, click.Abort):
        status = FAILED
    except SystemExit:
        # The server has said why it could not start; of a reader that has had enough, click ends with 1.
        status = FAILED
    except OSError as error:
        # Python would complain once more when it closes stdout: a full disk, or a reader that has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED if isinstance(error, BrokenPipeError) else complain(error, FAILED)
    sys.exit(status if isinstance(status, int) else 0)


def open_output() -> None:
    """Write YAML and JSON in what they are written in, whatever the locale is."""
    if not isinstance(sys.stdout, io.TextIOBase):
        raise UnreadableError("stdout: is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def complain(error: Exception, status: int) -> int:
    """Say what is wrong, and with which exit status to end."""
    click.echo(error, err=True)
    return status


def warn(warnings: Iterable[str]) -> None:
    """Say what is no fault of one claim, and may be one of several."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agent-executor", prog_name=PROGRAM)
def commands() -> None:
    """The AgentExecutor composition function: preview and check claims, or serve Crossplane.

    A FILE is a claim, a composite resource of either model, a directory of them, or - for standard input. Nothing here
    needs Docker, a cluster or a network. Exit status: 0 fine, 2 an invalid claim, 3 anything else.
    """


@commands.command()
@files
@platform
@click.option(
    "--observed", metavar="F", help="Objects as `kubectl get -o yaml` shows them: their readiness is said on stderr."
)
@click.option("--output", type=click.Choice(["yaml", "json"]), default="yaml", help="A YAML stream, or one JSON List.")
@click.pass_obj
def render(
    profiles: Mapping[str, SizeProfile] | None,
    files: Sequence[str],
    platform: str | None,
    observed: str | None,
    output: str,
) -> None:
    """Print the objects that claims become, ready for `kubectl apply -f -`."""
    from function import documents, preview, yaml_writer  # noqa: PLC0415 - each command loads its own

    found = [document.body for document in documents.read(observed)] if observed else []
    previews = preview.load(files, platform, profiles, found)
    warn(preview.collisions(previews))
    objects: list[Mapping[str, Any]] = [made for one in previews for made in one.objects.values()]
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml_writer.stream(objects), nl=False)
    for one in previews if observed else ():
        for line in preview.report(one, found):
            click.echo(line, err=True)


@commands.command()
@files
@platform
@click.pass_obj
def validate(profiles: Mapping[str, SizeProfile] | None, files: Sequence[str], platform: str | None) -> None:
    """Check claims; every fault of every claim is named with its line."""
    from function import preview  # noqa: PLC0415

    previews = preview.load(files, platform, profiles)
    warn(preview.collisions(previews))
    for one in previews:
        click.echo(f"{one.document.place()}: {one.claim.namespace}/{one.claim.name} is valid")


@commands.command()
@click.argument("old")
@click.argument("new")
@platform
@click.pass_obj
def diff(profiles: Mapping[str, SizeProfile] | None, old: str, new: str, platform: str | None) -> None:
    """Show, field by field, how the objects of the claims in OLD and NEW differ; the same or not, the status is 0."""
    from function import diff, preview  # noqa: PLC0415

    color = colored()
    before, after = (preview.load([name], platform, profiles) for name in (old, new))
    for title, changes in diff.compare(before, after):
        click.echo(click.style(title, bold=True), color=color)
        for path, was, now in changes:
            if was is not None:
                click.echo(click.style(f"  - {path}: {was}", fg="red"), color=color)
            if now is not None:
                click.echo(click.style(f"  + {path}: {now}", fg="green"), color=color)


@commands.command()
@click.argument("file")
@click.argument("path", default="")
@platform
@click.option("--observed", metavar="F", help="Objects as `kubectl get -o yaml` shows them: Secrets decide, too.")
@click.pass_obj
def explain(
    profiles: Mapping[str, SizeProfile] | None, file: str, path: str, platform: str | None, observed: str | None
) -> None:
    """Show which claim field, size profile or platform setting decided each value, below PATH where given.

    PATH begins with the object: deployment.spec.template.spec.containers[0].resources
    """
    from function import documents, explain, preview  # noqa: PLC0415

    color = colored()
    there = [document.body for document in documents.read(observed)] if observed else []
    for one in preview.load([file], platform, profiles, there):
        try:
            for found in explain.decisions(one, path):
                why = "; ".join(found.inputs) or "fixed by the function"
                click.echo(f"{found.key}.{found.path}: {found.value}  {click.style(f'# {why}', dim=True)}", color=color)
        except LookupError as error:
            raise UnreadableError(f"{path[:160]}: {error.args[0]}") from None


@commands.command()
@click.argument("which", type=click.Choice(["xrd", "xrd-namespaced", "input"]), default="xrd")
@platform
@click.pass_obj
def schema(profiles: Mapping[str, SizeProfile] | None, which: str, platform: str | None) -> None:
    """Print the CompositeResourceDefinition of the claim or of the namespaced model, or the Input's CRD.

    With --platform, the size enum has the profiles of that Input too. A claim that chooses no Composition gets the one
    called agent-executor-composition.
    """
    from function import preview, schema, yaml_writer  # noqa: PLC0415

    settings = preview.read_platform(platform)
    documents = {
        "xrd": lambda: schema.xrd_claim(settings, profiles),
        "xrd-namespaced": lambda: schema.xrd_namespaced(settings, profiles),
        "input": schema.input_crd,
    }
    click.echo(yaml_writer.stream([documents[which]()]), nl=False)


@commands.command()
@click.option("--address", default="0.0.0.0:9443", show_default=True, envvar="ADDRESS", help="Where to listen.")
@click.option(
    "--tls-certs-dir", "--tls-server-certs-dir", "tls_certs_dir", envvar="TLS_SERVER_CERTS_DIR",
    help="Directory of tls.crt, tls.key and ca.crt: serve with mTLS.",
)  # fmt: skip
@click.option("--insecure", is_flag=True, envvar="INSECURE", help="Serve without TLS; --tls-certs-dir is ignored.")
@click.option("--debug", "-d", is_flag=True, envvar="DEBUG", help="Log every call.")
@click.option(
    "--max-recv-message-size", "--max-grpc-message-size", type=click.IntRange(1, 1024), default=4, show_default=True,
    envvar=["MAX_RECV_MESSAGE_SIZE", "MAX_GRPC_MESSAGE_SIZE"], help="Largest request in MB.",
)  # fmt: skip
@click.option(
    "--max-send-message-size", type=click.IntRange(1, 1024), envvar="MAX_SEND_MESSAGE_SIZE",
    help="Largest response in MB; the same as the largest request when not given.",
)  # fmt: skip
@click.pass_obj
def serve(profiles: Mapping[str, SizeProfile] | None, /, **options: Any) -> None:
    """Serve Crossplane."""
    gc.disable()  # all that is loaded stays, and looking for garbage in it would be a tenth of the start
    from function import serve, sizes  # noqa: PLC0415
    from function.fn import FunctionRunner  # noqa: PLC0415

    runner = FunctionRunner(profiles=sizes.STANDARD if profiles is None else profiles)
    gc.freeze()
    gc.enable()
    serve.run(runner, **options)


def colored() -> bool:
    """Whether to print colours: on a terminal, unless NO_COLOR (https://no-color.org) is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


if __name__ == "__main__":
    main()
