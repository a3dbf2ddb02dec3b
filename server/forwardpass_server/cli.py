"""The command line `forwardpass-server`: `serve`, and commands for databases, containers and proxies.

Exit codes: 0 for success, 1 if a server is not healthy or content is damaged, 2 if settings, a database, an address
or a file cannot be used.

Each command imports the modules that it needs when it runs. Containers run `health` every few seconds, which would take
five times as long with the modules of `serve`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NoReturn

from forwardpass_server.command import Command, add_file, add_settings, echo, load_settings, print_error
from forwardpass_server.database_commands import DATABASE_COMMANDS

if TYPE_CHECKING:
    from forwardpass.extras import MissingExtraError


NOT_POSIX: Final = (
    "the server runs on Linux and macOS, not on this system; on Windows, run it in WSL or a container. "
    "The client runs here"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    # Read when grpc is imported. What grpc-core logs of callers is not JSON, has no bound and has their bytes in it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    given = sys.argv[1:] if arguments is None else [*arguments]
    if find_spec("fcntl") is None:
        raise SystemExit(print_error(NOT_POSIX))
    try:
        options = vars(_parser(given).parse_args(given))
        code = _COMMANDS[options.pop("command")].run(options)
    except ImportError as error:
        code = print_error(_missing_extra(error))
    raise SystemExit(code)


def _missing_extra(error: ImportError) -> "MissingExtraError":
    """Return the error that names the extra of a package that is not installed.

    Raises:
        ImportError: The error itself, if no extra installs the missing package.
    """
    from forwardpass.extras import MissingExtraError, extra_of, require  # noqa: PLC0415

    if isinstance(error, MissingExtraError):
        return error
    try:
        extra = extra_of((error.name or "").partition(".")[0])
        require(extra, needed_by="forwardpass-server")
    except MissingExtraError as missing:
        return missing
    except LookupError:
        pass
    raise error


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of the command that is run."""
    parser = argparse.ArgumentParser(prog="forwardpass-server", description="Serves feed-forward networks.")
    parser.add_argument(
        "--version", action=_PrintVersion, nargs=0, default=argparse.SUPPRESS, help="print the version and exit"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        of_command = commands.add_parser(name, help=command.about, description=command.about)
        if name in arguments[:1]:
            command.add_arguments(of_command)
    return parser


class _PrintVersion(argparse.Action):
    """Prints the version, which is imported only then, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from forwardpass import __version__  # noqa: PLC0415

        sys.stdout.write(f"{parser.prog} {__version__}\n")
        parser.exit()


def _serve(flags: dict[str, Any]) -> int:
    from forwardpass_server.settings import BadSettingsError  # noqa: PLC0415

    try:
        settings = load_settings(flags)
    except BadSettingsError as error:
        return print_error(error)
    # Imported only now, so that a bad setting and --help take no time.
    from forwardpass.listening import ListenError  # noqa: PLC0415

    from forwardpass_server import app, logs  # noqa: PLC0415
    from forwardpass_server.engines import EngineError  # noqa: PLC0415
    from forwardpass_server.registry import StoreOpenError  # noqa: PLC0415
    from forwardpass_server.rpc import TokensFileError  # noqa: PLC0415

    logs.configure(settings.log_level)
    try:
        app.serve(settings, ready=_say_ready)
    except (BadSettingsError, EngineError, StoreOpenError, ListenError, TokensFileError) as error:
        return print_error(error)
    return 0


def _say_ready(address: str) -> None:
    echo(f"forwardpass-server ready on {address}")  # scripts wait for this line


def _descriptors(options: dict[str, Any]) -> int:
    from forwardpass_server.rpc import descriptor_set  # noqa: PLC0415

    try:
        options["file"].write_bytes(descriptor_set())
    except OSError as error:
        return print_error(error)
    return 0


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", nargs="?", default="127.0.0.1:50051", metavar="ADDRESS")


def _health(options: dict[str, Any]) -> int:
    import grpc  # noqa: PLC0415
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse  # noqa: PLC0415

    with grpc.insecure_channel(options["address"]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            state = check(HealthCheckRequest(), timeout=5).status
        except grpc.RpcError as error:
            echo(f"not healthy: {error.code().name}", err=True)
            return 1
    name = HealthCheckResponse.ServingStatus.Name(state)
    echo(name.lower())
    return 0 if state == HealthCheckResponse.SERVING else 1


_COMMANDS: Final = {
    "serve": Command(about="serve until SIGTERM or SIGINT", add_arguments=add_settings, run=_serve),
    **DATABASE_COMMANDS,
    "descriptors": Command(
        about="write the API as a descriptor set, for proxies",
        add_arguments=add_file,
        run=_descriptors,
    ),
    "health": Command(
        about="ask a server whether it serves; exit 0 if so, else 1", add_arguments=_add_address, run=_health
    ),
}
