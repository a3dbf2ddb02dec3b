"""Output of `forwardpass diff` for people."""

from collections.abc import Mapping
from typing import Final

from forwardpass.cli.output import echo, print_table
from forwardpass.compare import Comparison, SpecDifference, WorstRow
from forwardpass.render.numerals import number

_SHOWN_CHARACTERS: Final = 60
_SHOWN_INPUTS: Final = 8
_SHOWN_LABELS: Final = 20


def print_comparison(found: Comparison) -> None:
    """Print what two versions say differently, how their outputs differ, and the rows that differ most."""
    first, second = str(found.first), str(found.second)
    if found.spec:
        print_table(["what", f"version {first}", f"version {second}"], map(_said, found.spec))
        echo()
    if found.obstacle:
        echo(f"no rows were compared: {found.obstacle}")
        return
    if found.outputs:
        rows = [(o.name, number(o.absolute), number(o.relative), f"{o.beyond:,}") for o in found.outputs]
        print_table(["output", "worst difference", "relative", "rows beyond"], rows)
        echo()
    if found.relabeled:
        changes = [(change.first, change.second, f"{change.rows:,}") for change in found.relabeled[:_SHOWN_LABELS]]
        print_table([f"label of {first}", f"label of {second}", "rows"], changes)
        echo()
    for row in found.worst:
        echo(_row(row, first, second), lines=True)
    echo(_sentence(found))


def _said(difference: SpecDifference) -> tuple[str, str, str]:
    return difference.path, _short(difference.first), _short(difference.second)


def _row(row: WorstRow, first: str, second: str) -> str:
    labels = f", {row.labels[0]} became {row.labels[1]}" if len(set(row.labels)) == 2 else ""
    return (
        f"row {row.row + 1}: {_named(row.inputs)}\n"
        f"  {row.output} differs by {number(row.absolute)}{labels}\n"
        f"  version {first}: {_named(row.first)}\n"
        f"  version {second}: {_named(row.second)}\n"
    )


def _sentence(found: Comparison) -> str:
    versions = f"versions {found.first} and {found.second} of {found.network}"
    if found.agree:
        return f"{versions} agree on all {found.rows:,} rows within {found.tolerance:g}"
    labels = f", and give another label to {found.rows_relabeled:,}" if found.rows_relabeled else ""
    return (
        f"{versions} disagree: {found.rows_beyond:,} of {found.rows:,} rows differ by more than "
        f"{found.tolerance:g} allows{labels}"
    )


def _named(values: Mapping[str, object]) -> str:
    shown = [f"{name} = {_value(value)}" for name, value in [*values.items()][:_SHOWN_INPUTS]]
    more = f" and {len(values) - _SHOWN_INPUTS} more" if len(values) > _SHOWN_INPUTS else ""
    return ", ".join(shown) + more


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
