"""A command of `forwardpass-server`, and the arguments and errors that commands share."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forwardpass_server.settings import Settings


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


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, and `--config`."""
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
        flag: dict[str, Any] = {"dest": name, "metavar": "VALUE", "help": help_text}
        if field.annotation is bool:
            flag |= {"nargs": "?", "const": "true"}
        parser.add_argument(f"--{name.replace('_', '-')}", **flag)


def load_settings(flags: dict[str, Any]) -> "Settings":
    """Read the settings from parsed flags.

    Raises:
        BadSettingsError: As `settings.load` raises it.
    """
    from forwardpass_server.settings import CONFIG_VARIABLE, load  # noqa: PLC0415

    config = flags.pop("config", None)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = config
    return load(flags)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, or with `err` lines on stderr, with escapes for the characters that a terminal obeys."""
    from forwardpass.printable import printable  # noqa: PLC0415

    print(printable(text, lines=err), file=sys.stderr if err else sys.stdout, flush=True)


def print_error(error: Exception | str) -> int:
    """Print the sentence of an error to stderr; return the exit code."""
    echo(f"forwardpass-server: {error}", err=True)
    return 2


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the argument FILE."""
    parser.add_argument("file", type=Path, metavar="FILE")
