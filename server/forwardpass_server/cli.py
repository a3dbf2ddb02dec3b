"""The command line `forwardpass-server`: `serve`, and commands for databases, containers and proxies.

Exit codes: 0 for success, 1 if a server is not healthy or content is damaged, 2 if settings, a database, an address
or a file cannot be used.

Each command imports the modules that it needs when it runs. Containers run `health` every few seconds, which would take
five times as long with the modules of `serve`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from forwardpass.extras import MissingExtraError

    from forwardpass_server.registry import CopyReport
    from forwardpass_server.settings import Settings


NOT_POSIX: Final = (
    "the server runs on Linux and macOS, not on this system; on Windows, run it in WSL or a container. "
    "The client runs here"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command, `forwardpass-server NAME`.

    Attributes:
        about: Its help text.
        add_arguments: Adds its arguments to its parser.
        run: Runs it with the parsed arguments; returns the exit code.
    """

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[dict[str, Any]], int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    if find_spec("fcntl") is None:
        raise SystemExit(_refuse(NOT_POSIX))
    try:
        options = vars(_parser(given).parse_args(given))
        code = _COMMANDS[options.pop("command")].run(options)
    except ImportError as error:
        code = _refuse(_missing_extra(error))
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        of_command = commands.add_parser(name, help=command.about, description=command.about)
        if name in arguments[:1]:
            command.add_arguments(of_command)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from forwardpass_server.settings import Settings  # noqa: PLC0415

    parser.argument_default = argparse.SUPPRESS
    parser.epilog = (
        "Each setting may also be an environment variable, FORWARDPASS_SERVER_ and its name in "
        "capitals, or a key of the TOML file. A flag comes first, then the variable, then the file."
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" (default {field.default})"
        help_text = f"{field.description}{default}".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=help_text)


def _load(flags: dict[str, Any]) -> "Settings":
    """Read the settings; raises as `settings.load` does."""
    from forwardpass_server.settings import CONFIG_VARIABLE, load  # noqa: PLC0415

    config = flags.pop("config", None)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = config
    return load(flags)


def _serve(flags: dict[str, Any]) -> int:
    from forwardpass_server.settings import BadSettingsError  # noqa: PLC0415

    try:
        settings = _load(flags)
    except BadSettingsError as error:
        return _refuse(error)
    # Imported only now, so that a bad setting and --help take no time.
    from forwardpass_server import app, logs  # noqa: PLC0415
    from forwardpass_server.engines import EngineError  # noqa: PLC0415
    from forwardpass_server.registry import StoreOpenError  # noqa: PLC0415
    from forwardpass_server.rpc import ListenError, TokensFileError  # noqa: PLC0415

    logs.configure(settings.log_level)
    try:
        app.serve(settings, ready=_say_ready)
    except (BadSettingsError, EngineError, StoreOpenError, ListenError, TokensFileError) as error:
        return _refuse(error)
    return 0


def _say_ready(address: str) -> None:
    print(f"forwardpass-server ready on {address}", flush=True)  # noqa: T201 - scripts wait for this line


def _refuse(error: Exception | str) -> int:
    print(f"forwardpass-server: {error}", file=sys.stderr)  # noqa: T201 - for the person who typed the command
    return 2


def _with_settings(flags: dict[str, Any], work: "Callable[[Settings], int]") -> int:
    """Run a command on the database of the settings; return the exit code."""
    from forwardpass.errors import StoreUnavailableError  # noqa: PLC0415

    from forwardpass_server import logs  # noqa: PLC0415
    from forwardpass_server.registry import BackupError, CopyError, StoreOpenError  # noqa: PLC0415
    from forwardpass_server.settings import BadSettingsError  # noqa: PLC0415

    try:
        settings = _load(flags)
        logs.configure(settings.log_level)
        return work(settings)
    except (BadSettingsError, StoreOpenError, StoreUnavailableError, CopyError, BackupError) as error:
        return _refuse(error)


def _migrate(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    def work(settings: "Settings") -> int:
        commands.migrate(settings)
        return 0

    return _with_settings(flags, work)


def _check(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    return _with_settings(flags, lambda settings: 1 if commands.check(settings, say=print) else 0)


def _add_move(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser)
    parser.add_argument("--to", metavar="URL", required=True, help="the database to copy to, which must be empty")


def _move(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    to = flags.pop("to")
    return _with_settings(flags, lambda settings: _say_moved("moved", commands.move(settings, to)))


def _say_moved(done: str, moved: "CopyReport") -> int:
    print(  # noqa: T201 - the output
        f"{done} {moved.networks} networks with {moved.versions} versions of {moved.size_bytes:,} bytes at revision "
        f"{moved.revision}; every row and digest was compared"
    )
    return 0


def _add_settings_and_file(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser)
    _add_file(parser)


def _backup(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    path: Path = flags.pop("file")

    def work(settings: "Settings") -> int:
        made = commands.backup(settings, path)
        for name in made.damaged:
            print(f"{name} is damaged, in the registry too")  # noqa: T201 - the output
        print(  # noqa: T201 - the output
            f"backed up {made.networks} networks with {made.versions} versions at revision {made.revision} to {path}; "
            "every digest was compared"
        )
        return 1 if made.damaged else 0

    return _with_settings(flags, work)


def _restore(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    path: Path = flags.pop("file")
    return _with_settings(flags, lambda settings: _say_moved("restored", commands.restore(settings, path)))


def _add_gc(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser)
    parser.add_argument(
        "--keep",
        type=_at_least_one,
        default=10,
        metavar="N",
        help="newest versions of each network to keep (default 10)",
    )
    parser.add_argument("--dry-run", action="store_true", default=False, help="say what would be deleted")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"is {number}; must be 1 or more")
    return number


def _gc(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    keep, dry_run = flags.pop("keep"), flags.pop("dry_run")

    def work(settings: "Settings") -> int:
        found = commands.collect(settings, keep, dry_run=dry_run)
        for name in found:
            print(name)  # noqa: T201 - the output
        print(f"{len(found)} versions {'would be' if dry_run else 'were'} deleted")  # noqa: T201 - the output
        return 0

    return _with_settings(flags, work)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")


def _descriptors(options: dict[str, Any]) -> int:
    from forwardpass_server.rpc import descriptor_set  # noqa: PLC0415

    try:
        options["file"].write_bytes(descriptor_set())
    except OSError as error:
        return _refuse(error)
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
            print(f"not healthy: {error.code().name}", file=sys.stderr)  # noqa: T201 - the output
            return 1
    name = HealthCheckResponse.ServingStatus.Name(state)
    print(name.lower())  # noqa: T201 - the output
    return 0 if state == HealthCheckResponse.SERVING else 1


_COMMANDS: Final = {
    "serve": Command(about="serve until SIGTERM or SIGINT", add_arguments=_add_settings, run=_serve),
    "migrate": Command(
        about="bring the database's schema up to date, and end", add_arguments=_add_settings, run=_migrate
    ),
    "check": Command(
        about="read every stored network and list the damaged ones; exit 0 if there is none, else 1",
        add_arguments=_add_settings,
        run=_check,
    ),
    "move": Command(about="copy the registry to another database, and compare it", add_arguments=_add_move, run=_move),
    "backup": Command(
        about="copy a SQLite registry to a file, also while a server has it, and compare it",
        add_arguments=_add_settings_and_file,
        run=_backup,
    ),
    "restore": Command(
        about="put a backup into an empty database, and compare it", add_arguments=_add_settings_and_file, run=_restore
    ),
    "gc": Command(about="delete old versions that no alias names", add_arguments=_add_gc, run=_gc),
    "descriptors": Command(
        about="write the API as a descriptor set, for proxies",
        add_arguments=_add_file,
        run=_descriptors,
    ),
    "health": Command(
        about="ask a server whether it serves; exit 0 if so, else 1", add_arguments=_add_address, run=_health
    ),
}
