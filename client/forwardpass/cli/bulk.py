"""A table in, a table out, in bounded memory: `forwardpass predict NAME --csv IN --out OUT`."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from forwardpass import Client
from forwardpass.cli import output
from forwardpass.cli.reading import invalid
from forwardpass.cli.tables import Part, Table, open_table, part_rows
from forwardpass.cli.writing import open_out
from forwardpass.errors import ForwardpassError


def predict_table(
    client: Client, name: str, source: str, out: str, *, version: str, ignore_extra: bool, append: bool
) -> None:
    """Compute every row of a table into another one.

    Args:
        client: Calls the server.
        name: The network's name.
        source: The rows, CSV or Parquet.
        out: Where the outputs go, CSV or Parquet.
        version: A version's number or an alias; looked up once, so that all rows have the same.
        ignore_extra: Whether columns that the network does not read are allowed.
        append: Whether the columns of the rows stand before the outputs.

    Raises:
        ForwardpassError: A row is rejected; the message has its place.
    """
    info = client.version(name, version=version)
    with (
        open_table(source, info, ignore_extra=ignore_extra) as table,
        open_out(out, info.output_names, labels=bool(info.class_labels), kept=table.names if append else ()) as write,
        output.progress_bar(BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn()) as bar,
    ):
        task = bar.add_task("", total=table.total, rows=0)
        away: deque[Part] = deque()
        count = odd = 0
        try:
            for prediction in client.predict_batches(
                name, _numbers(table, away), version=info.number, batch_rows=part_rows(info)
            ):
                write(prediction, away.popleft())
                count += len(prediction.outputs)
                odd += prediction.warning_count
                bar.update(task, completed=table.done(), rows=count)
        except ForwardpassError as error:
            if "firstRow" in error.facts and away:
                error.message = f"{_where(table, away[0], error)}: {error.message}"
            raise
        if not count:
            raise invalid(table.source, "has a header and no rows")
    if odd:
        output.echo(f"warning: {odd:,} numbers are out of their features' ranges", err=True)


def _numbers(table: Table, away: "deque[Part]") -> Iterator[Any]:
    for part in table.parts:
        away.append(part)
        yield part.numbers


def _where(table: Table, part: Part, error: ForwardpassError) -> str:
    """Return the place of the row that was rejected, or else of its part."""
    row = error.facts.get("row", "")
    if row.isdecimal() and int(row) < len(part.places):
        return f"{table.source} {table.unit} {part.places[int(row)]}"
    return f"{table.source} {table.unit}s {part.places[0]} to {part.places[-1]}"
