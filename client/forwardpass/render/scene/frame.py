"""The frame of every picture: title above, legend and notes below, a margin around."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from forwardpass.render.fonts import fit, text_width
from forwardpass.render.graphs.values import Graph
from forwardpass.render.scene.shapes import Box, Drawing, Path, Rect, Scene, Shape, Text, label_boxes

_MARGIN: Final = 24.0
_MIN_WIDTH: Final = 320.0
_LEGEND: Final = 11.0
_LEGEND_ROW: Final = 20.0
_GAP: Final = 48.0
_MAX_BESIDE: Final = 1400.0

Entry = tuple[str, str]
"""A key of the legend, by what its swatch shows, and its words."""


def frame(
    title: str,
    facts: str,
    drawings: Sequence[tuple[str, Drawing]],
    legend: Sequence[Entry] = (),
    notes: Sequence[str] = (),
) -> Scene:
    """Put drawings into a picture: side by side, or one below the other where they are wide.

    Args:
        title: The first line.
        facts: The second line, or empty.
        drawings: Each with a line above it, or empty.
        legend: What the marks mean.
        notes: Sentences below it.
    """
    places, width, height = _places(drawings)
    inner = max(_MIN_WIDTH, width)
    items: list[Shape] = []
    boxes: list[Box] = []
    texts = [Text(x=_MARGIN, y=_MARGIN + 12, text=fit(title, 16, inner, bold=True), size=16, is_bold=True)]
    y = _MARGIN + 30
    if facts:
        texts.append(Text(x=_MARGIN, y=y + 2, text=fit(facts, 12.5, inner), size=12.5, fill="muted"))
        y += 20
    left = _MARGIN + (inner - width) / 2
    for index, ((line, drawing), (x, down)) in enumerate(zip(drawings, places, strict=True)):
        if line:
            shown = fit(line, 13, drawing.width, bold=True)
            texts.append(Text(x=left + x, y=y + down - 8, text=shown, size=13, is_bold=True))
        group, inside = drawing.at(left + x, y + down)
        items.append(group)
        boxes += (_named(box, index) for box in inside)
    y += height + 18
    entries = list(_rows(legend, inner))
    for (swatch, words), x, row in entries:
        middle = y + row * _LEGEND_ROW + 4
        items += _swatch(swatch, _MARGIN + x, middle)
        said = fit(words, _LEGEND, inner - 32)
        texts.append(Text(x=_MARGIN + x + 32, y=middle + 4, text=said, size=_LEGEND, fill="muted"))
    y += _LEGEND_ROW * (entries[-1][2] + 1) if entries else 0.0
    for line in [line for note in notes for line in wrap(note, _LEGEND, inner)]:
        texts.append(Text(x=_MARGIN, y=y + 8, text=line, size=_LEGEND, fill="muted"))
        y += 16
    size = inner + 2 * _MARGIN, y + _MARGIN - 8
    background = Rect(x=0, y=0, width=size[0], height=size[1], radius=12, fill="background")
    return Scene(
        width=size[0],
        height=size[1],
        items=(background, *items, *texts),
        boxes=(*boxes, *label_boxes(texts)),
        title=f"{title}. {facts}".strip(),
    )


def _named(box: Box, index: int) -> Box:
    """Return a box with a name that no box of another drawing has."""
    return replace(box, name=f"{index}/{box.name}", inside=box.inside and f"{index}/{box.inside}")


def _places(drawings: Sequence[tuple[str, Drawing]]) -> tuple[list[tuple[float, float]], float, float]:
    """Return the corner of each drawing, and the width and height of all."""
    above = 26.0 if any(line for line, _ in drawings) else 0.0
    beside = sum(drawing.width for _, drawing in drawings) + _GAP * (len(drawings) - 1)
    places: list[tuple[float, float]] = []
    if beside <= _MAX_BESIDE or len(drawings) == 1:
        tallest = max(drawing.height for _, drawing in drawings)
        x = 0.0
        for _, drawing in drawings:
            places.append((x, above + ((tallest - drawing.height) / 2 if len(drawings) == 1 else 0.0)))
            x += drawing.width + _GAP
        return places, beside, above + tallest
    y = 0.0
    for _, drawing in drawings:
        places.append((0.0, y + above))
        y += above + drawing.height + _GAP
    return places, max(drawing.width for _, drawing in drawings), y - _GAP


def legend_of(graph: Graph, mark: str) -> list[Entry]:
    """Return the entries of the legend that a graph needs.

    Args:
        graph: The content.
        mark: What marked nodes are.
    """
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
        entries.append(("mark", mark))
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
