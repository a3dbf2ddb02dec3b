"""The command `explain`: what each input contributes to an output, as a table with bars."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import numpy as np
import typer

from forwardpass import render
from forwardpass.attribution import METHODS, SCALES, STANDARD_BASELINES
from forwardpass.cli import output, pictures, reading, writing
from forwardpass.cli.common import Json, Name, Version, client_of
from forwardpass.cli.inference import Csv, Rows
from forwardpass.models import Explanation
from forwardpass.render.numerals import number
from forwardpass.tensors import Array

MAX_SHOWN: Final = 20
"""Inputs or nodes in a table; the others are added up."""

_HALF_BAR: Final = 12


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(explain)


def explain(
    context: typer.Context,
    name: Name,
    rows: Rows = None,
    csv: Csv = None,
    version: Version = "",
    row: Annotated[int, typer.Option(min=0, help="Which row to show, from 0.")] = 0,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "integrated_gradients",
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output", help="Explain this output or class; may be repeated. All by default, or the chosen class."
        ),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Show the shares of this layer's nodes too; may be repeated.")
    ] = None,
    baseline: Annotated[
        str, typer.Option(help=f"Compare with {', '.join(STANDARD_BASELINES)}, or rows as JSON.")
    ] = "zeros",
    scale: Annotated[str, typer.Option(help=f"Explain the {' or the '.join(SCALES)}.")] = "outputs",
    tolerance: Annotated[float | None, typer.Option(help="The completeness error that is accepted.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="The most gradients of a row.")] = None,
    samples: Annotated[int | None, typer.Option(help="Pairs of orders that shapley_values draws.")] = None,
    seed: Annotated[int | None, typer.Option(help="What the draws begin with.")] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Draw to a .svg, .png or .txt file, or write all rows to .json."),
    ] = None,
    theme: pictures.Theme = "auto",
    as_json: Json = False,
) -> None:
    """Compute a network's outputs and show what each input contributes to them."""
    is_picture = out is not None and not out.lower().endswith(".json")
    if out is not None and is_picture:
        pictures.check_out(out, others=(".json",))
    with client_of(context) as client:
        given = reading.read_rows(rows, csv, lambda: reading.features_of(client, name, version))
        options: dict[str, Any] = {"method": method, "scale": scale, "baseline": _baseline(baseline)}
        explanation = client.explain(
            name,
            given,
            version=version,
            outputs=outputs or (),
            layers=layer or (),
            tolerance=tolerance,
            max_steps=max_steps,
            samples=samples,
            seed=seed,
            **options,
        )
        described = client.version(name, version=str(explanation.version)) if is_picture else None
    if row >= len(explanation.outputs):
        raise typer.BadParameter(f"there are {len(explanation.outputs)} rows, counted from 0", param_hint="--row")
    if out is not None and is_picture:
        pictures.write(render.draw_attributions(explanation, row=row, network=described), out, theme)
    elif out is not None:
        _write_json(explanation, out)
    elif as_json:
        output.print_json(explanation)
    else:
        print_explanation(explanation, row)


def _write_json(explanation: Explanation, path: str) -> None:
    text = json.dumps(output.plain(explanation), ensure_ascii=False)
    with writing.open_whole(path) as file:
        file.write(text.encode())
    output.echo(path)


def print_explanation(explanation: Explanation, row: int) -> None:
    """Print a table of the inputs' shares for each explained output of a row; what is not exact on stderr."""
    of_rows = f", row {row} of {len(explanation.outputs)}" if len(explanation.outputs) > 1 else ""
    output.echo(f"{explanation.network} version {explanation.version}{of_rows}: {explanation.method}")
    values = list(_values(explanation, row))
    for place, name in enumerate(explanation.explained_outputs[row]):
        shares = _of_output(explanation.attributions, row, place, axes=2)
        errors = _of_output(explanation.standard_error, row, place, axes=2)
        output.echo()
        output.echo(_title(explanation, row, place, name))
        columns = ["input", "value", "share", *(["standard error"] if errors is not None else []), ""]
        _print_shares(columns, explanation.input_names, shares, values, errors)
        for layer in explanation.layers:
            output.echo()
            _print_shares([layer.name, "share", ""], layer.nodes, _of_output(layer.attributions, row, place, axes=2))
    for place, name in enumerate(explanation.explained_outputs[row]):
        if explanation.converged and not explanation.converged[row][place]:
            error = number(float(_of_output(explanation.completeness_error, row, place, axes=1)))
            remedy = "allow more with --max-steps, or a larger error with --tolerance"
            label = explanation.output_label(name)
            output.echo(f"warning: the shares of {label} miss {error} of the difference; {remedy}", err=True)
    output.print_warnings(explanation)


def _baseline(text: str) -> Any:
    """Return the name of a baseline, or its rows."""
    return reading.rows_from_json(text, "rows of --baseline") if text.startswith(("[", "{")) else text


def _of_output(array: Array | None, row: int, place: int, *, axes: int) -> Any:
    """Return the part of one row and explained output; an array of `axes` axes has one explained output."""
    if array is None:
        return None
    return array[row] if array.ndim == axes else array[row, place]


def _title(explanation: Explanation, row: int, place: int, name: str) -> str:
    """Return for example `price = 9, 9 more than the baseline's 0`."""
    value = float(_of_output(explanation.explained_values, row, place, axes=1))
    label = explanation.output_label(name)
    title = f"{f'logit of {label}' if explanation.scale == 'logits' else label} = {number(value)}"
    if explanation.baseline_outputs is None:
        return title
    baseline = float(_of_output(explanation.baseline_outputs, row, place, axes=1))
    words = "more" if value >= baseline else "less"
    return f"{title}, {number(abs(value - baseline))} {words} than the baseline's {number(baseline)}"


def _values(explanation: Explanation, row: int) -> Iterator[str]:
    """Yield the value of each input as people know it."""
    for name, value in zip(explanation.input_names, explanation.input_values[row].tolist(), strict=True):
        categories = explanation.categories.get(name)
        yield number(value) if categories is None else categories[row]


def _print_shares(
    columns: Sequence[str],
    names: Sequence[str],
    shares: Array,
    values: Sequence[str] | None = None,
    errors: Array | None = None,
) -> None:
    """Print one line for each share, the largest first."""
    order = np.argsort(-np.abs(shares), kind="stable")[:MAX_SHOWN].tolist()
    largest = float(np.nanmax(np.abs(shares), initial=0.0))
    rows = []
    for index in order:
        line = [names[index], *([] if values is None else [values[index]]), _signed(float(shares[index]))]
        rows.append([*line, *([] if errors is None else [number(float(errors[index]))]), _bar(shares[index], largest)])
    output.print_table(columns, rows)
    rest = len(names) - len(order)
    if rest > 0:
        output.echo(f"{rest} more, together {_signed(float(shares.sum() - shares[order].sum()))}")


def _signed(value: float) -> str:
    return f"{value + 0.0:+.6g}"


def _bar(share: float, largest: float) -> str:
    """Draw a share to the right of an axis, or to the left of it if it is negative."""
    block, axis = ("█", "│") if output.is_unicode() else ("#", "|")
    length = round(_HALF_BAR * abs(share) / largest) if largest and np.isfinite(share) else 0
    drawn = block * length
    return f"{drawn if share < 0 else '':>{_HALF_BAR}}{axis}{drawn if share >= 0 else ''}"
