"""A graph as a drawing: its blocks where the layout puts them, and its bundles between them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forwardpass.render.graphs.values import Bundle, Edge, Graph
from forwardpass.render.layout import Arrangement, Route, Vertex, arrange
from forwardpass.render.scene import curves
from forwardpass.render.scene.blocks import PAD, PlacedBlock, draw_block
from forwardpass.render.scene.overview import draw_overview
from forwardpass.render.scene.shapes import Box, Drawing, Group, Path, Rect, Shape, Text

if TYPE_CHECKING:
    from forwardpass.render.palette import Role

_GAP: Final = 22.0
_LANE: Final = 16.0
_MIN_WIDTH: Final = 0.75
_MAX_WIDTH: Final = 6.0
_LABEL: Final = 10.5
_FAINT: Final = 0.02
"""Edges below this share are hair lines."""
_DETAILED_EDGES: Final = 500
"""With more edges only the strong ones have a text of their own."""
_SPOTS: Final = tuple(step / 20 for step in range(3, 18))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    graph: Graph
    blocks: Mapping[str, PlacedBlock]
    layout: Arrangement

    def corner(self, key: str) -> tuple[float, float]:
        return self.layout.corners[key]


def draw_graph(graph: Graph) -> Drawing:
    """Draw a graph: from left to right with its nodes, or from top to bottom where its blocks have none."""
    if all(not block.nodes and block.rest is None for block in graph.blocks):
        return draw_overview(graph)
    blocks = {block.key: draw_block(block) for block in graph.blocks}
    most = max(len(placed.ports) for placed in blocks.values())
    layout = arrange(
        [Vertex(key=key, width=placed.drawing.width, height=placed.drawing.height) for key, placed in blocks.items()],
        list(dict.fromkeys((bundle.source, bundle.target) for bundle in graph.bundles)),
        layer_gap=min(190.0, 84.0 + 6.0 * most),
        gap=_GAP,
        lane=_LANE,
    )
    placed = _Placed(graph=graph, blocks=blocks, layout=layout)
    panels: list[Shape] = []
    cards: list[Shape] = []
    boxes: list[Box] = []
    for key, block in blocks.items():
        group, inside = block.drawing.at(*layout.corners[key])
        panels.append(Group(items=block.panel, x=group.x, y=group.y))
        cards.append(group)
        boxes += inside
    labels = list(_labels(placed, boxes))
    return Drawing(
        width=layout.width,
        height=layout.height,
        items=(*panels, *_edges(placed), *cards, *(_pill(label.box) for label in labels), *labels),
        boxes=(*boxes, *(label.box for label in labels)),
    )


def _edges(placed: _Placed) -> Iterator[Shape]:
    """Yield bands and edges, the strongest last."""
    drawn: list[tuple[float, Shape]] = []
    total = sum(len(bundle.edges) for bundle in placed.graph.bundles)
    for bundle in placed.graph.bundles:
        if not bundle.edges:
            drawn.append((-1.0, _band(placed, bundle)))
        for points, edge in _ways(placed, bundle):
            strength = abs(edge.strength or 0.0)
            detail = edge.detail if total <= _DETAILED_EDGES or strength > 0.25 else ""
            path = _edge(points, edge)
            drawn.append((strength, Group(items=(path,), detail=detail) if detail else path))
    drawn.sort(key=lambda each: each[0])
    yield from (shape for _, shape in drawn)


def _ways(placed: _Placed, bundle: Bundle) -> Iterator[tuple[list[curves.Point], Edge]]:
    route = placed.layout.routes[bundle.source, bundle.target]
    source_x, source_y = placed.corner(bundle.source)
    target_x, target_y = placed.corner(bundle.target)
    right = source_x + placed.blocks[bundle.source].drawing.width - PAD
    for index, edge in enumerate(bundle.edges):
        start = (right, source_y + placed.blocks[bundle.source].ports[edge.source])
        end = (target_x + PAD, target_y + placed.blocks[bundle.target].ports[edge.target])
        spread = (index / (len(bundle.edges) - 1) - 0.5) if len(bundle.edges) > 1 else 0.0
        yield curves.way(start, route, end, spread * _LANE * 0.8), edge


def _edge(points: Sequence[curves.Point], edge: Edge) -> Path:
    data = curves.curve(points)
    if edge.strength is None:
        return Path(data=data, stroke="neutral", width=1.0, opacity=0.8)
    size = min(1.0, abs(edge.strength))
    role: Role = "positive" if edge.strength > 0 else "negative" if edge.strength < 0 else "neutral"
    if size < _FAINT:
        return Path(data=data, stroke=role, width=_MIN_WIDTH, opacity=0.35, is_dashed=size == 0)
    return Path(data=data, stroke=role, width=_MIN_WIDTH + (_MAX_WIDTH - _MIN_WIDTH) * size, opacity=0.35 + 0.5 * size)


def _band(placed: _Placed, bundle: Bundle) -> Shape:
    """Return a band between two panels, as high as they are; a lane's height in a lane."""
    route: Route = placed.layout.routes[bundle.source, bundle.target]
    ends: list[tuple[float, float, float]] = []
    for key, is_source in ((bundle.source, True), (bundle.target, False)):
        x, y = placed.corner(key)
        block = placed.blocks[key]
        height = (block.drawing.height - block.panel_top) / 2 - 10
        middle = y + (block.panel_top + block.drawing.height) / 2
        ends.append((x + block.drawing.width if is_source else x, middle, max(4.0, height)))
    (left, from_y, from_half), (right, to_y, to_half) = ends
    sides = [
        curves.way((left, from_y + sign * from_half), route, (right, to_y + sign * to_half), sign * _LANE * 0.4)
        for sign in (-1, 1)
    ]
    path = Path(data=curves.band(sides[0], sides[1]), fill="neutral", opacity=0.3)
    return Group(items=(path,), detail=bundle.detail)


def _labels(placed: _Placed, boxes: Sequence[Box]) -> Iterator[Text]:
    """Yield the labels of edges, each at the spot of its edge that is the farthest from other edges.

    A label that would lie on a node or another label is left out; its edge has the text for those who point at it.
    """
    ways = [(points, edge) for bundle in placed.graph.bundles for points, edge in _ways(placed, bundle)]
    if not any(edge.label for _, edge in ways):
        return
    curve_points = [[curves.along(points, step / 24) for step in range(25)] for points, _ in ways]
    taken = list(boxes)
    for index, (points, edge) in enumerate(ways):
        others = [point for other, found in enumerate(curve_points) if other != index for point in found]
        spots = sorted(_SPOTS, key=lambda spot: -_clearance(curves.along(points, spot), others))
        role: Role = "negative" if (edge.strength or 0) < 0 else "positive" if edge.strength else "muted"
        for spot in spots:
            x, y = curves.along(points, spot)
            text = Text(x=x, y=y + 3.5, text=edge.label, size=_LABEL, fill=role, is_bold=True, anchor="middle")
            if edge.label and not any(text.box.overlaps(other) for other in taken):
                taken.append(text.box)
                yield text
                break


def _pill(box: Box) -> Rect:
    """Return what separates a label from the edges below it."""
    return Rect(
        x=box.x - 2, y=box.y + 1, width=box.width + 4, height=box.height - 2, radius=5, fill="background", opacity=0.9
    )


def _clearance(point: curves.Point, others: Sequence[curves.Point]) -> float:
    return min((math.dist(point, other) for other in others), default=0.0)
