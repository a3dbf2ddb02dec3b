"""The commands that compute: predict and trace."""

from typing import Annotated

import typer

from forwardpass import Client, Trace, render, spec
from forwardpass.cli import bulk, output, pictures, profiles, reading, writing
from forwardpass.cli.common import Json, Name, Version, client_of
from forwardpass.errors import PermissionDeniedError

Rows = Annotated[
    str | None,
    typer.Argument(metavar="[ROWS]", help='JSON: [2, 3], [[2, 3], [4, 5]] or {"children": 2, ...}; - is stdin.'),
]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Read the rows from CSV; - is stdin.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(predict)
    app.command()(trace)


def predict(
    context: typer.Context,
    name: Name,
    rows: Rows = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Read the rows from CSV, - is stdin; or, with --out, from .parquet."
        ),
    ] = None,
    version: Version = "",
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write CSV, - is stdout; or a .parquet file.")
    ] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Allow columns that the network does not read.")
    ] = False,
    append: Annotated[bool, typer.Option("--append", help="Write the outputs after the columns of the rows.")] = False,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Show the N most probable classes.", metavar="N")] = 0,
    as_json: Json = False,
) -> None:
    """Compute a network's outputs; with --csv and --out, of a table of any size."""
    if csv is not None and rows is None and out is not None:
        with client_of(context) as client:
            bulk.predict_table(client, name, csv, out, version=version, ignore_extra=ignore_extra, append=append)
        return
    if ignore_extra or append:
        raise typer.BadParameter("needs --csv and --out", param_hint="--append" if append else "--ignore-extra")
    with client_of(context) as client:
        given = reading.read_rows(rows, csv, lambda: reading.features_of(client, name, version))
        prediction = client.predict(name, given, version=version, top_k=top_k)
    if out is not None:
        with writing.open_out(out, prediction.output_names, labels=bool(prediction.labels)) as write:
            write(prediction, None)
    elif as_json:
        output.print_json(prediction)
    else:
        output.print_prediction(prediction)


def trace(
    context: typer.Context,
    name: Name,
    rows: Rows = None,
    csv: Csv = None,
    version: Version = "",
    row: Annotated[int, typer.Option(min=0, help="Which row to draw, from 0.")] = 0,
    beside: Annotated[
        int | None, typer.Option(min=0, help="With --out, draw this row beside it, and mark where they differ.")
    ] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Show only this layer; may be repeated.")] = None,
    contributions: Annotated[
        bool, typer.Option("--contributions", help="Show what each input contributes to each node.")
    ] = False,
    out: pictures.Out = None,
    theme: pictures.Theme = "auto",
    as_json: Json = False,
) -> None:
    """Compute a network's outputs and show every node on the way; with --out as a picture with its weights."""
    if out is not None:
        pictures.check_out(out)
        contributions = True
    elif beside is not None:
        raise typer.BadParameter("needs --out", param_hint="--beside")
    with client_of(context) as client:
        given = reading.read_rows(rows, csv, lambda: reading.features_of(client, name, version))
        traced = client.trace(
            name, given, version=version, layers=layer or (), contributions=contributions, percentiles=True
        )
        network = None if out is None else _described(client, traced)
    if as_json:
        output.print_json(traced)
        return
    for option, index in (("--row", row), ("--beside", beside or 0)):
        if index >= len(traced.outputs):
            raise typer.BadParameter(f"there are {len(traced.outputs)} rows, counted from 0", param_hint=option)
    if out is not None and beside is not None:
        both = render.draw_difference(traced, traced, rows=(row, beside), networks=(network, network))
        pictures.write(both, out, theme)
    elif out is not None:
        pictures.write(render.draw_trace(traced, row=row, network=network), out, theme)
    else:
        picture = render.draw_trace(traced, row=row)
        output.echo(picture.text(width=output.terminal_width(), ascii_only=not output.is_unicode()), lines=True)
    profiles.print_unusual(traced, row)
    output.print_warnings(traced)


def _described(client: Client, traced: Trace) -> spec.NetworkSpec | None:
    """Return the spec of a traced version; None where the caller may trace it, but not ask for that."""
    try:
        return client.spec(traced.network, version=traced.version)
    except PermissionDeniedError:
        return None
