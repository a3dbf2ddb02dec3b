"""The commands that look at the registry and change what it names: list, show, alias, delete, watch."""

import sys
from typing import Annotated

import typer

from forwardpass.cli import output
from forwardpass.cli.common import Json, Name, Version, client_of, say


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_)
    app.command()(show)
    alias = typer.Typer(help="Set and delete aliases.", no_args_is_help=True)
    alias.command("set")(alias_set)
    alias.command("delete")(alias_delete)
    app.add_typer(alias, name="alias")
    app.command()(delete)
    app.command()(watch)


def list_(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="List this network's versions.")] = None,
    as_json: Json = False,
) -> None:
    """List networks, or one network's versions."""
    with client_of(context) as client:
        if name is None:
            networks = list(client.networks())
            output.print_json(networks) if as_json else output.print_networks(networks)
            return
        versions = list(client.versions(name))
    if as_json:
        output.print_json(versions)
        return
    output.print_table(
        ["version", "digest", "created", "aliases", "description"],
        [
            (
                str(version.number),
                version.digest[:12],
                version.create_time.isoformat(timespec="seconds") if version.create_time else "",
                ", ".join(version.aliases),
                "DAMAGED" if version.corrupt else version.description,
            )
            for version in versions
        ],
    )


def show(
    context: typer.Context,
    name: Name,
    version: Version = "",
    as_spec: Annotated[bool, typer.Option("--spec", help="Print the spec as JSON, weights and all.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a network is."""
    with client_of(context) as client:
        if as_spec:
            output.print_spec(client.spec(name, version=version))
            return
        info, network = client.version(name, version=version), client.network(name)
        moves = {alias: client.alias_moves(name, alias) for alias in network.aliases}
    if as_json:
        output.print_json({"network": network, "version": info, "moves": moves})
    else:
        output.print_version(info, network, moves)


def alias_set(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias that names it now.")],
    as_json: Json = False,
) -> None:
    """Point an alias at a version; create it if it does not exist."""
    with client_of(context) as client:
        network = client.set_alias(name, alias, version)
    say(as_json, network, f"{name} {alias} = {network.aliases[alias]}")


def alias_delete(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    as_json: Json = False,
) -> None:
    """Delete an alias."""
    with client_of(context) as client:
        network = client.delete_alias(name, alias)
    say(as_json, network, f"{name} has no alias {alias} any more")


def delete(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Option(help="Delete only the version of this number.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a network, or one version of it."""
    what = f"network {name} with all versions" if version is None else f"version {version} of network {name}"
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("is needed if standard input is not a terminal", param_hint="--yes")
        typer.confirm(f"Delete {what}?", abort=True)
    with client_of(context) as client:
        if version is None:
            revision = client.delete_network(name)
            say(as_json, {"revision": revision}, f"deleted {what}")
        else:
            network = client.delete_version(name, version)
            say(as_json, network, f"deleted {what}")


def watch(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only networks whose names begin so.")] = "",
    as_json: Json = False,
) -> None:
    """Print every network, then each change as it happens, until interrupted."""
    with client_of(context) as client:
        for change in client.watch(prefix=prefix):
            if as_json:
                output.print_json(change, lines=True)
            else:
                latest = f" latest = {change.network.latest_version}" if change.network else ""
                output.echo(f"{change.revision:>6}  {change.event:<8} {change.name}{latest}")
