"""The command profile, and how unusual the values of a trace are."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from forwardpass import Client
from forwardpass.cli import output
from forwardpass.cli.common import Json, Name, Version, client_of
from forwardpass.cli.reading import invalid
from forwardpass.cli.tables import Part, Table, open_table
from forwardpass.errors import ForwardpassError
from forwardpass.models import Trace
from forwardpass.profiles import Distribution, Profile, describe
from forwardpass.render.numerals import number

_SHOWN_VALUES: Final = 5
"""The unusual values of a trace that are printed."""

_SHOWN_NODES: Final = 12
"""The nodes of a layer that are printed."""

_SHOWN_PROBABILITIES: Final = {0.0: "min", 0.05: "5 %", 0.5: "median", 0.95: "95 %", 1.0: "max"}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(profile)


def profile(
    context: typer.Context,
    name: Name,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Profile these rows: CSV, - is stdin, or .parquet.")
    ] = None,
    version: Version = "",
    layer: Annotated[list[str] | None, typer.Option(help="Profile only this layer; may be repeated.")] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Allow columns that the network does not read.")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the profile that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Keep the usual distribution of every value with a version; without --csv, show what is kept."""
    if csv is None and (layer or ignore_extra):
        raise typer.BadParameter("needs --csv", param_hint="--layer" if layer else "--ignore-extra")
    if csv is not None and delete:
        raise typer.BadParameter("does not go with --csv, which replaces the profile", param_hint="--delete")
    with client_of(context) as client:
        if delete:
            number = client.delete_profile(name, version=version)
            output.echo(f"{name} version {number} has no profile")
            return
        if csv is None:
            kept = client.get_profile(name, version=version)
        else:
            kept = _profile_table(client, name, csv, version=version, layers=layer or (), ignore_extra=ignore_extra)
    if as_json:
        output.print_json(kept.as_dict())
    else:
        _print_profile(kept)


def print_unusual(trace: Trace, row: int) -> None:
    """Print the most unusual values of a row, if the version has a profile."""
    if not trace.profile_rows:
        return
    unusual = trace.unusual(row)
    output.echo()
    if not unusual:
        output.echo(f"usual: every value is within those of 99 % of the {trace.profile_rows:,} rows of the profile")
        return
    output.echo(f"unusual, compared with the {trace.profile_rows:,} rows of the profile:")
    rows = [
        [value.layer, value.node, number(value.value), describe(value, trace.profile_rows)]
        for value in unusual[:_SHOWN_VALUES]
    ]
    output.print_table(["layer", "node", "value", "is"], rows)
    if len(unusual) > _SHOWN_VALUES:
        output.echo(f"and {len(unusual) - _SHOWN_VALUES} more")


def _profile_table(
    client: Client, name: str, source: str, *, version: str, layers: Sequence[str], ignore_extra: bool
) -> Profile:
    info = client.version(name, version=version)
    with (
        open_table(source, info, ignore_extra=ignore_extra) as table,
        output.progress_bar(BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn()) as bar,
    ):
        task = bar.add_task("", total=table.total, rows=0)
        last: list[tuple[int, Part]] = []

        def numbers() -> Iterator[Any]:
            count = 0
            for part in table.parts:
                last[:] = [(count, part)]
                count += len(part.numbers)
                bar.update(task, completed=table.done(), rows=count)
                yield part.numbers
            if not count:
                raise invalid(table.source, "has a header and no rows")

        try:
            return client.profile(name, numbers(), version=info.number, layers=layers)
        except ForwardpassError as error:
            if "firstRow" in error.facts and last:
                error.message = f"{_where(table, *last[0], error)}: {error.message}"
            raise


def _where(table: Table, first: int, part: Part, error: ForwardpassError) -> str:
    """Return the place of the row that was rejected, or else of the rows that were sent with it."""
    start = int(error.facts["firstRow"]) - first
    row = error.facts.get("row", "")
    if row.isdecimal() and start + int(row) < len(part.places):
        return f"{table.source} {table.unit} {part.places[start + int(row)]}"
    return f"{table.source} {table.unit}s from {part.places[max(start, 0)]} on"


def _print_profile(profile: Profile) -> None:
    about = f"{profile.network} version {profile.version}, {profile.rows:,} rows"
    output.echo(f"{about}, since {profile.set_time:%Y-%m-%d %H:%M:%S}" if profile.set_time else about)
    if profile.rank_error:
        output.echo(f"quantiles are exact to {100 * profile.rank_error:.2g} % of the rows")
    places = [profile.probabilities.tolist().index(p) for p in _SHOWN_PROBABILITIES if p in profile.probabilities]
    words = [_SHOWN_PROBABILITIES[profile.probabilities[place]] for place in places]
    rows = [row for distribution in profile.distributions for row in _rows(distribution, places)]
    output.print_table(["layer", "node", *words, "mean", "zeros", ""], rows)


def _rows(distribution: Distribution, places: Sequence[int]) -> Iterator[list[str]]:
    for node, name in enumerate(distribution.nodes[:_SHOWN_NODES]):
        quantiles = [number(float(distribution.quantiles[place, node])) for place in places]
        zeros = f"{100 * distribution.zeros[node]:.3g} %"
        yield [
            distribution.name,
            name,
            *quantiles,
            number(float(distribution.means[node])),
            zeros,
            _note(distribution, node),
        ]
    if len(distribution.nodes) > _SHOWN_NODES:
        more = len(distribution.nodes) - _SHOWN_NODES
        yield [distribution.name, f"{more} more, with --json", *[""] * (len(places) + 3)]


def _note(distribution: Distribution, node: int) -> str:
    if distribution.non_finite[node]:
        return f"{100 * distribution.non_finite[node]:.3g} % not finite"
    if distribution.zeros[node] == 1:
        return "always zero"
    return "constant" if distribution.minima[node] == distribution.maxima[node] else ""
