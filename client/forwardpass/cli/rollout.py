"""The commands that bring a version into use, and back."""

from typing import Annotated

import typer

from forwardpass.cli.common import Json, Name, client_of, say
from forwardpass.cli.reading import invalid

Expect = Annotated[
    int | None,
    typer.Option(metavar="N", help="Refuse if the alias names another version than this, 0 for none."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (promote, rollback):
        app.command()(command)


def promote(
    context: typer.Context,
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias that names it now.")],
    alias: Annotated[str, typer.Option("--to", metavar="ALIAS", help="The alias to move.")] = "production",
    expect: Expect = None,
    as_json: Json = False,
) -> None:
    """Let an alias name a version that can be served; say what it named before."""
    with client_of(context) as client:
        chosen = client.version(name, version=version)
        # What is damaged or answers no calls would turn every call for the alias into an error.
        if chosen.corrupt or not chosen.in_service:
            what = "is damaged; register its content again" if chosen.corrupt else "is out of service"
            raise invalid(f"{name} version {chosen.number}", f"{what}; {alias} was left where it is")
        before = client.network(name).aliases.get(alias, 0)
        # The sentence below must be true, so nobody may get between it and the look at what was before.
        network = client.set_alias(name, alias, chosen.number, expected=before if expect is None else expect)
    was = f", was {before}" if before else ""
    say(as_json, network, f"{name} {alias} = {chosen.number}{was if before != chosen.number else ' already'}")


def rollback(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Option("--alias", metavar="ALIAS", help="The alias to move.")] = "production",
    expect: Expect = None,
    as_json: Json = False,
) -> None:
    """Move an alias back to the version that it named before; each time one further back."""
    with client_of(context) as client:
        now = client.network(name).aliases.get(alias) if expect is None else expect
        done = client.rollback(name, alias, expected=now)
    say(as_json, done, f"{name} {alias} = {done.to_version}, was {done.from_version}")
