"""The application: the options before the command, the commands' modules, and the exit codes."""

import errno
import os
import sys
import traceback
from typing import Annotated, Any, Final, NoReturn

import typer

from forwardpass import __version__, errors
from forwardpass.cli import explain, files, inference, networks, output, pictures, profiles, rollout, viewing
from forwardpass.cli.common import ConnectionOptions
from forwardpass.extras import MissingExtraError
from forwardpass.render import MissingFontError

EXIT_CODES: Final[dict[type[errors.ForwardpassError], int]] = {
    MissingExtraError: 2,
    MissingFontError: 2,
    errors.NotFoundError: 3,
    errors.UnavailableError: 4,
    errors.DeadlineExceededError: 4,
    errors.InternalError: 5,
    errors.NetworkCorruptError: 5,
}
"""The exit code of each error; of others it is 1, and 2 of a command line that typer rejects."""

_CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

app = typer.Typer(
    name="forwardpass",
    help="Register feed-forward networks, predict, and see every node.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (files, networks, inference, explain, pictures, profiles, rollout, viewing):
    module.add_to(app)


def _print_version(value: bool) -> None:
    if value:
        output.echo(f"forwardpass {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    target: Annotated[
        str, typer.Option(envvar="FORWARDPASS_TARGET", help="The server's address, HOST:PORT.")
    ] = "localhost:50051",
    token: Annotated[
        str | None, typer.Option(envvar="FORWARDPASS_TOKEN", help="The bearer token.", show_envvar=True)
    ] = None,
    timeout: Annotated[
        float, typer.Option(envvar="FORWARDPASS_TIMEOUT", help="Seconds to wait for a response.")
    ] = 10.0,
    tls: Annotated[bool, typer.Option("--tls", help="Connect with TLS.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep what every command needs to reach the server."""
    context.obj = ConnectionOptions(target=target, token=token, timeout=timeout, tls=tls)


def run() -> NoReturn:
    """Run the command line; exit with the code that docs/reference/cli.md gives for the outcome."""
    try:
        code: Any = app(prog_name="forwardpass", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        code = 130
    except typer.Exit as ended:
        code = ended.exit_code
    except errors.ForwardpassError as error:
        output.echo(f"forwardpass: {error}", lines=True, err=True)
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except BrokenPipeError:
        _discard_stdout()  # the reader closed the pipe
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - a user of the command line gets a sentence, not a traceback
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's own, of a wrong command line
            error.show()
            raise SystemExit(error.exit_code) from None
        if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:  # errors of other files have become sentences
            _discard_stdout()
            output.echo(f"forwardpass: standard output cannot be written: {error.strerror}", err=True)
            raise SystemExit(1) from None
        output.echo(f"forwardpass: {error!r}: this is a bug, please report it", err=True)
        if os.environ.get("FORWARDPASS_DEBUG"):
            output.echo(traceback.format_exc(), lines=True, err=True)
        code = 5
    raise SystemExit(code or 0)


def _discard_stdout() -> None:
    """Let what is not written yet go nowhere: Python would complain again when it flushes the stream at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
