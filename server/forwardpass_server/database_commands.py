"""The commands that work on the registry's database, without a server."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from forwardpass_server.command import Command, add_file, add_settings, echo, load_settings, print_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forwardpass_server.registry import CopyReport
    from forwardpass_server.settings import Settings


def _with_settings(flags: dict[str, Any], work: "Callable[[Settings], int]") -> int:
    """Run a command on the database of the settings; return the exit code."""
    from forwardpass.errors import StoreUnavailableError  # noqa: PLC0415

    from forwardpass_server import logs  # noqa: PLC0415
    from forwardpass_server.registry import BackupError, CopyError, StoreOpenError  # noqa: PLC0415
    from forwardpass_server.settings import BadSettingsError  # noqa: PLC0415

    try:
        settings = load_settings(flags)
        logs.configure(settings.log_level)
        return work(settings)
    except (BadSettingsError, StoreOpenError, StoreUnavailableError, CopyError, BackupError) as error:
        return print_error(error)


def _migrate(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    def work(settings: "Settings") -> int:
        commands.migrate(settings)
        return 0

    return _with_settings(flags, work)


def _check(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    return _with_settings(flags, lambda settings: 1 if commands.check(settings, say=echo) else 0)


def _add_move(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--to", metavar="URL", required=True, help="the database to copy to, which must be empty")


def _move(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    to = flags.pop("to")
    return _with_settings(flags, lambda settings: _say_moved("moved", commands.move(settings, to)))


def _say_moved(done: str, moved: "CopyReport") -> int:
    echo(
        f"{done} {moved.networks} networks with {moved.versions} versions of {moved.size_bytes:,} bytes at revision "
        f"{moved.revision}; every row and digest was compared"
    )
    return 0


def _add_settings_and_file(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)
    add_file(parser)


def _backup(flags: dict[str, Any]) -> int:
    from forwardpass_server import commands  # noqa: PLC0415

    path: Path = flags.pop("file")

    def work(settings: "Settings") -> int:
        made = commands.backup(settings, path)
        for name in made.damaged:
            echo(f"{name} is damaged, in the registry too")
        echo(
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
    add_settings(parser)
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
            echo(name)
        echo(f"{len(found)} versions {'would be' if dry_run else 'were'} deleted")
        return 0

    return _with_settings(flags, work)


DATABASE_COMMANDS: Final = {
    "migrate": Command(
        about="bring the database's schema up to date, and end", add_arguments=add_settings, run=_migrate
    ),
    "check": Command(
        about="read every stored network and list the damaged ones; exit 0 if there is none, else 1",
        add_arguments=add_settings,
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
}
