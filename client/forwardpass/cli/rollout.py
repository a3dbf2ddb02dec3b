"""The commands that bring a version into use, and back."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from forwardpass.cli import output
from forwardpass.cli.common import Json, Name, client_of, say
from forwardpass.cli.comparison import print_comparison
from forwardpass.cli.reading import invalid
from forwardpass.cli.tables import Table, open_table
from forwardpass.compare import compare
from forwardpass.compare.example_rows import named_rows
from forwardpass.models import VersionInfo

Expect = Annotated[
    int | None,
    typer.Option(metavar="N", help="Move it only if the alias names version N now; 0 if it must not exist."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (diff, promote, rollback, shadow):
        app.command()(command)


def diff(
    context: typer.Context,
    name: Name,
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A version's number or an alias.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another one.")],
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Compare on these rows, CSV (- is stdin) or .parquet."),
    ] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Allow columns that the network does not read.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Accept a difference up to this times max(1, |number|); by default 1e-9, float32 1e-4."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst rows to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Show where two versions disagree; end with exit code 1 if they do.

    Without --csv they are compared on the examples of both and on random rows, the same ones each time.
    """
    with client_of(context) as client:
        if csv is None:
            found = compare(client, name, first, second, tolerance=tolerance, worst=worst)
        else:
            one, other = (client.version(name, version=version) for version in (first, second))
            with open_table(csv, one, ignore_extra=ignore_extra) as table:
                rows = _rows(table, one, other)
                found = compare(client, name, one.number, other.number, rows, tolerance=tolerance, worst=worst)
            if not (found.rows or found.obstacle):
                raise invalid(table.source, "has a header and no rows")
    if as_json:
        output.print_json({**output.plain(found), "agree": found.agree})
    else:
        print_comparison(found)
    if not found.agree:
        raise typer.Exit(1)


def _rows(table: Table, one: VersionInfo, other: VersionInfo) -> Iterator[Any]:
    """Yield the rows of a table that was read for the first version, by name where the second has another order."""
    ours, theirs = ([(feature.name, feature.categories) for feature in version.features] for version in (one, other))
    alike = ours == theirs or not theirs
    for part in table.parts:
        yield part.numbers if alike else named_rows(one.features, part.numbers)


def promote(
    context: typer.Context,
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias that names it now.")],
    alias: Annotated[str, typer.Option("--to", metavar="ALIAS", help="The alias to move.")] = "production",
    expect: Expect = None,
    as_json: Json = False,
) -> None:
    """Point an alias at a version that can be served; show the version that it named before."""
    with client_of(context) as client:
        chosen = client.version(name, version=version)
        # A version that is damaged or out of service would turn every call for the alias into an error.
        if chosen.corrupt or not chosen.in_service:
            what = "is damaged; register its content again" if chosen.corrupt else "is out of service"
            raise invalid(f"{name} version {chosen.number}", f"{what}; {alias} was left where it is")
        before = client.network(name).aliases.get(alias, 0)
        # The sentence below names the alias's last version, so no other change may come between that read and this one.
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


def shadow(
    context: typer.Context,
    name: Name,
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="Compute this version, a number or an alias, beside another one."),
    ] = None,
    of: Annotated[
        str, typer.Option("--of", metavar="VERSION", help="Whose rows: an alias or a number.")
    ] = "production",
    share: Annotated[float, typer.Option(help="On which share of the rows, above 0 and up to 1.")] = 0.1,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Accept a difference up to this times max(1, |number|); by default 1e-9, float32 1e-4."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End the shadow of --of.")] = False,
    as_json: Json = False,
) -> None:
    """Compute a version on a share of the rows of another version, for comparison; without VERSION, show the counts."""
    if clear and version is not None:
        raise typer.BadParameter("ends what is there, and takes no VERSION", param_hint="--clear")
    with client_of(context) as client:
        if version is not None:
            network = client.set_shadow(name, version, of=of, share=share, tolerance=tolerance)
            number = next(shadow.version for shadow in network.shadows if shadow.of == of)
            say(as_json, network, f"{name} version {number} is computed on {share:.4g} of the rows of {of}")
        elif clear:
            if of not in {shadow.of for shadow in client.network(name).shadows}:
                raise invalid(f"{name} {of}", "has no shadow")
            say(as_json, client.clear_shadow(name, of=of), f"{name} {of} has no shadow any more")
        else:
            reports = client.shadows(name)
            output.print_json(reports) if as_json else output.print_shadows(reports)
