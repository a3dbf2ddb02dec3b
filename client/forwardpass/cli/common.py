"""Shared parts of the commands: their arguments, the client, and the report of what was done."""

from dataclasses import dataclass
from typing import Annotated

import typer

from forwardpass import Client
from forwardpass.cli import output

Name = Annotated[str, typer.Argument(metavar="NAME", help="The network's name.")]
Version = Annotated[str, typer.Option("--version", help="A version's number or an alias; `latest` by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOptions:
    """The options before the command: the server and how to connect to it."""

    target: str
    token: str | None
    timeout: float
    tls: bool


def connection_options(context: typer.Context) -> ConnectionOptions:
    """Return the options before the command."""
    options: ConnectionOptions = context.obj
    return options


def client_of(context: typer.Context) -> Client:
    """Make the client that the options before the command ask for."""
    options = connection_options(context)
    return Client(options.target, timeout=options.timeout, token=options.token, tls=options.tls)


def say(as_json: bool, value: object, sentence: str) -> None:
    """Print what a command did: as JSON, or in a sentence."""
    if as_json:
        output.print_json(value)
    else:
        output.echo(sentence)
