"""The frame of every picture: title above, legend and notes below, a margin around."""

from collections.abc import Iterator, Sequence
from typing import Final

from forwardpass.render.fonts import fit, text_width
from forwardpass.render.graphs.values import Graph
from forwardpass.render.scene.shapes import Box, Drawing, Group, Path, Rect, Scene, Shape, Text, label_boxes

_MARGIN: Final = 24.0
_MIN_WIDTH: Final = 320.0
_LEGEND: Final = 11.0

Entry = tuple[str, str]
"""A key of the legend, by what its swatch shows, and its words."""


def frame(
    title: str, facts: str, drawings: Sequence[tuple[str, Drawing]], legend: Sequence[Entry], notes: Sequence[str]
) -> Scene:
    """Put drawings side by side into a picture.

    Args:
        title: The first line.
        facts: The second line, or empty.
        drawings: Each with a line above it, or empty.
        legend: What the marks mean.
        notes: Sentences below it.
    """
    gap = 40.0
    inner = max(_MIN_WIDTH, sum(drawing.width for _, drawing in drawings) + gap * (len(drawings) - 1))
    width = inner + 2 * _MARGIN
    items: list[Shape] = []
    boxes: list[Box] = []
    texts = [Text(x=_MARGIN, y=_MARGIN + 12, text=fit(title, 16, inner, bold=True), size=16, is_bold=True)]
    y = _MARGIN + 12
    if facts:
        y += 20
        texts.append(Text(x=_MARGIN, y=y, text=fit(facts, 12.5, inner), size=12.5, fill="muted"))
    y += 18
    if any(line for line, _ in drawings):
        y += 16
    taken = sum(drawing.width for _, drawing in drawings) + gap * (len(drawings) - 1)
    x = _MARGIN + (inner - taken) / 2
    tallest = max((drawing.height for _, drawing in drawings), default=0.0)
    for line, drawing in drawings:
        if line:
            texts.append(Text(x=x, y=y - 6, text=fit(line, 12.5, drawing.width, bold=True), size=12.5, is_bold=True))
        group, inside = drawing.at(x, y + (tallest - drawing.height) / 2)
        items.append(group)
        boxes += inside
        x += drawing.width + gap
    y += tallest + 18
    for shapes, entry, at in _legend(legend, inner):
        items += [_at(shape, _MARGIN, y) for shape in shapes]
        texts.append(Text(x=_MARGIN + entry[0], y=y + entry[1] + 4, text=at, size=_LEGEND, fill="muted"))
    rows = max((row for _, _, row in _rows(legend, inner)), default=-1) + 1
    y += rows * 20.0
    for note in notes:
        for line in wrap(note, _LEGEND, inner):
            texts.append(Text(x=_MARGIN, y=y + 8, text=line, size=_LEGEND, fill="muted"))
            y += 16
    height = y + _MARGIN - 8
    boxes += label_boxes(texts)
    background = Rect(x=0, y=0, width=width, height=height, radius=12, fill="background")
    return Scene(
        width=width,
        height=height,
        items=(background, *items, *texts),
        boxes=tuple(boxes),
        title=f"{title}. {facts}".strip(),
    )


def legend_of(graph: Graph) -> list[Entry]:
    """Return the entries of the legend that a graph needs."""
    edges = [edge.strength for bundle in graph.bundles for edge in bundle.edges]
    nodes = [node for block in graph.blocks for node in block.nodes]
    entries: list[Entry] = []
    tones = [node.tone for node in nodes] + [tone for block in graph.blocks if block.heat for tone in block.heat.tones]
    if any(edge for edge in edges) or any(tones):
        entries += [("positive", "positive"), ("negative", "negative")]
    if graph.measure:
        entries.append(("width", graph.measure))
    if any(node.state == "dead" for node in nodes):
        entries.append(("dead", "dead: relu at 0"))
    if any(node.state == "saturated" for node in nodes):
        entries.append(("saturated", "saturated"))
    if any(node.mark for node in nodes):
        entries.append(("mark", "marked"))
    return entries


def wrap(text: str, size: float, width: float) -> list[str]:
    """Return a text as lines that fit a width, cut between words."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) > width:
            lines.append(line)
            longer = word
        line = longer
    return [fit(each, size, width) for each in [*lines, line] if each]


def _rows(legend: Sequence[Entry], width: float) -> Iterator[tuple[Entry, float, int]]:
    """Yield each entry with its x and its row."""
    x, row = 0.0, 0
    for entry in legend:
        wide = 32 + text_width(entry[1], _LEGEND) + 20
        if x and x + wide - 20 > width:
            x, row = 0.0, row + 1
        yield entry, x, row
        x += wide


def _legend(legend: Sequence[Entry], width: float) -> Iterator[tuple[list[Shape], tuple[float, float], str]]:
    for (swatch, words), x, row in _rows(legend, width):
        y = row * 20.0 + 4
        yield list(_swatch(swatch, x, y)), (x + 32, y), fit(words, _LEGEND, width - 32)


def _swatch(swatch: str, x: float, y: float) -> Iterator[Shape]:
    if swatch in {"positive", "negative"}:
        yield Path(data=f"M{x:g} {y:g}h24", stroke="positive" if swatch == "positive" else "negative", width=4)
    elif swatch == "width":
        yield Path(data=f"M{x:g} {y:g}L{x + 24:g} {y - 3:g}v6z", fill="neutral")
    else:
        yield Rect(
            x=x,
            y=y - 6,
            width=24,
            height=12,
            radius=4,
            fill="card",
            stroke="mark" if swatch == "mark" else "line",
            stroke_width=2 if swatch == "mark" else 1,
            is_dashed=swatch == "dead",
        )
        if swatch == "saturated":
            yield Rect(x=x + 2.5, y=y - 3.5, width=19, height=7, radius=2.5, stroke="text", stroke_width=0.75)


def _at(shape: Shape, x: float, y: float) -> Shape:
    return Group(items=(shape,), x=x, y=y)
