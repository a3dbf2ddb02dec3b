"""Tables in HTML, which a notebook shows for values that are no picture."""

from collections.abc import Sequence
from typing import Final

from forwardpass.predictions import Prediction
from forwardpass.render.ink.svg import escape
from forwardpass.render.numerals import percent, short

MAX_ROWS: Final = 20
MAX_COLUMNS: Final = 20


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], facts: str = "") -> str:
    """Return a table with a title above and facts below it; every text is escaped.

    Args:
        title: In bold.
        columns: The heads of the columns.
        rows: The cells.
        facts: A line below the table, or empty.
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = f"<div>{escape(facts)}</div>" if facts else ""
    return (
        f"<div><strong>{escape(title)}</strong>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"
    )


def prediction_table(prediction: Prediction) -> str:
    """Return the outputs of a prediction as a table, at most the first rows and columns of them."""
    names = prediction.output_names[:MAX_COLUMNS]
    columns = ["row", *names]
    rows = [
        [str(index), *(short(value, 6) for value in row[:MAX_COLUMNS])]
        for index, row in enumerate(prediction.outputs[:MAX_ROWS].tolist())
    ]
    if prediction.classifications:
        columns[1:1] = ["class", "probability"]
        for row, found in zip(rows, prediction.classifications, strict=False):
            row[1:1] = [found.label, percent(found.probability)]
    count, width = prediction.outputs.shape
    left_out = [
        f"{left:,} more {what}"
        for left, what in ((count - MAX_ROWS, "rows"), (width - MAX_COLUMNS, "outputs"))
        if left > 0
    ]
    return html_table(f"{prediction.network} version {prediction.version}", columns, rows, ", ".join(left_out))
