"""Shared parts of the commands: their arguments, the client, and the report of what was done."""

from typing import Annotated

import typer

from forwardpass import Client
from forwardpass.cli import output

Name = Annotated[str, typer.Argument(metavar="NAME", help="The network's name.")]
Version = Annotated[str, typer.Option("--version", help="A version's number or an alias; `latest` by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def client_of(context: typer.Context) -> Client:
    """Make the client that the options before the command ask for."""
    client: Client = context.obj()
    return client


def say(as_json: bool, value: object, sentence: str) -> None:
    """Print what a command did: as JSON, or in a sentence."""
    if as_json:
        output.print_json(value)
    else:
        output.echo(sentence)
