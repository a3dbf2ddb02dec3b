"""Draws traces with characters: small chains as boxes side by side, other networks as a list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from forwardpass.predictions import TraceValues
from forwardpass.render.characters.columns import Cell, Column, columns
from forwardpass.render.numerals import number, signed

MAX_IN_BOXES: Final = 12
MAX_IN_LIST: Final = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Ink:
    """The characters to draw with."""

    top: str
    side: str
    bottom: str
    flow: str
    turn: str
    back: str
    more: str
    times: str = "x"


UNICODE: Final = Ink(top="┌─┐", side="│", bottom="└─┘", flow=" ─▶ ", turn="→", back="←", more="…")
ASCII: Final = Ink(top="+-+", side="|", bottom="+-+", flow=" -> ", turn="->", back="<-", more="...")


def trace_text(trace: TraceValues, *, row: int = 0, width: int = 100, ascii_only: bool = False) -> str:
    """Draw one row of a trace.

    A node shows its pre-activation and, where the activation function changed it, an arrow to
    its activation. A wide layer shows the nodes of the largest size. With contributions, each
    node shows the largest of them.

    Args:
        trace: A trace from `Client.trace`.
        row: The index of the row.
        width: The largest number of characters in a line, at least 40.
        ascii_only: Whether to use only ASCII.

    Raises:
        IndexError: The trace has no such row.
        ValueError: `width` is less than 40.
    """
    if not 0 <= row < len(trace.outputs):
        raise IndexError(f"row is {row}; the trace has {len(trace.outputs)} rows, counted from 0")
    if width < 40:
        raise ValueError(f"width is {width}; at least 40 characters are needed")
    ink = ASCII if ascii_only else UNICODE
    drawn = None
    everything = columns(trace, row, None)
    explained = any(layer.contributions is not None for layer in trace.layers)
    if not explained and all(len(column.cells) <= MAX_IN_BOXES and not column.reads for column in everything):
        drawn = _boxes(everything, width, ink)
    lines = drawn or list(_list(columns(trace, row, MAX_IN_LIST), ink))
    title = f"{trace.network} version {trace.version}"
    if len(trace.outputs) > 1:
        title += f", row {row} of {len(trace.outputs)}"
    outputs = _outputs(trace, row)
    return "\n".join(cut(line, width, ink) for line in [title, "", *lines, *outputs])


def _boxes(shown: Sequence[Column], width: int, ink: Ink) -> list[str] | None:
    """Draw the columns side by side, or return None where they are too wide."""
    boxes = [_box(column, ink) for column in shown]
    height = max(map(len, boxes))
    if sum(len(box[0]) for box in boxes) + len(ink.flow) * (len(boxes) - 1) > width:
        return None
    lines = []
    for index in range(height):
        parts = [box[index] if index < len(box) else " " * len(box[0]) for box in boxes]
        # The arrows stand beside the first node.
        lines.append((ink.flow if index == 2 else " " * len(ink.flow)).join(parts).rstrip())
    return lines


def _box(column: Column, ink: Ink) -> list[str]:
    rows = _aligned(column.cells, ink)
    title = column.title + (f": {column.function}" if column.function else "")
    inner = max(len(title), *map(len, rows)) + 2
    left, line, right = tuple(ink.top)
    low_left, low, low_right = tuple(ink.bottom)
    return [
        f" {title}".ljust(inner + 2),
        left + line * inner + right,
        *(f"{ink.side} {row.ljust(inner - 1)}{ink.side}" for row in rows),
        low_left + low * inner + low_right,
    ]


def _list(shown: Sequence[Column], ink: Ink) -> Iterator[str]:
    for column in shown:
        count = len(column.cells) + column.hidden
        function = f": {column.function}" if column.function else ""
        reads = f" {ink.back} {column.reads}" if column.reads else ""
        yield f"{column.title}{function} ({count}){reads}"
        for cell, line in zip(column.cells, _aligned(column.cells, ink), strict=True):
            yield f"  {line}"
            yield from (f"      {part}" for part in _parts(cell))
        if column.hidden:
            yield f"  {ink.more} {column.hidden} more, none of them larger"
        yield ""


def _parts(cell: Cell) -> Iterator[str]:
    """Yield the lines below a node with its contributions."""
    if not cell.contributions:
        return
    names = max(len(contribution.name) for contribution in cell.contributions)
    for contribution in cell.contributions:
        yield f"{contribution.name.ljust(names)}  {signed(contribution.amount)}"
    assert cell.before is not None  # noqa: S101 - only nodes of layers have contributions
    rest = cell.before - sum(contribution.amount for contribution in cell.contributions) - (cell.bias or 0.0)
    if abs(rest) > 1e-5 * max(1.0, abs(cell.before)):
        yield f"{'others'.ljust(names)}  {signed(rest)}"
    if cell.bias:
        yield f"{'bias'.ljust(names)}  {signed(cell.bias)}"


def _aligned(cells: Sequence[Cell], ink: Ink) -> list[str]:
    """Return one line for each node with its name, pre-activation and activation, aligned."""
    names = max(len(cell.name) for cell in cells)
    before = [number(cell.value if cell.before is None else cell.before) for cell in cells]
    after = [number(cell.value) for cell in cells]
    wide = max(map(len, before))
    turned = any(one != other for one, other in zip(before, after, strict=True))
    wider = max(map(len, after))
    return [
        f"{cell.name.ljust(names)}  {one.rjust(wide)}" + (f" {ink.turn} {other.rjust(wider)}" if turned else "")
        for cell, one, other in zip(cells, before, after, strict=True)
    ]


def _outputs(trace: TraceValues, row: int) -> Iterator[str]:
    """Yield the last lines: the outputs of the network."""
    for name, value in list(zip(trace.output_names, trace.outputs[row].tolist(), strict=True))[:MAX_IN_BOXES]:
        yield f"{name} = {number(value)}"
    if trace.classifications:
        said = trace.classifications[row]
        yield f"class {said.label!r} with probability {number(said.probability)}"


def cut(line: str, width: int, ink: Ink) -> str:
    """Return a line of at most a width."""
    return line if len(line) <= width else line[: width - len(ink.more)] + ink.more
