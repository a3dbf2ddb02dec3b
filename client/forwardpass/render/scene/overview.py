"""A graph as a drawing without its nodes: a card for each block, from top to bottom, in columns where it is long."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from forwardpass.render.graphs.values import Bundle, Graph
from forwardpass.render.layout import Arrangement, Vertex, arrange
from forwardpass.render.scene import curves
from forwardpass.render.scene.blocks import PlacedBlock, draw_summary
from forwardpass.render.scene.folding import Fold, fold
from forwardpass.render.scene.shapes import Box, Drawing, Group, Path, Shape

_LAYER_GAP: Final = 30.0
_GAP: Final = 16.0
_LANE: Final = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    graph: Graph
    blocks: Mapping[str, PlacedBlock]
    layout: Arrangement
    fold: Fold


def draw_overview(graph: Graph) -> Drawing:
    """Draw a graph whose blocks have no nodes."""
    blocks = {block.key: draw_summary(block) for block in graph.blocks}
    layout = arrange(
        # The flow goes down: what the layout calls width is the height of a card.
        [Vertex(key=key, width=placed.drawing.height, height=placed.drawing.width) for key, placed in blocks.items()],
        list(dict.fromkeys((bundle.source, bundle.target) for bundle in graph.bundles)),
        layer_gap=_LAYER_GAP,
        gap=_GAP,
        lane=_LANE,
    )
    placed = _Placed(graph=graph, blocks=blocks, layout=layout, fold=fold(layout, gap=_LAYER_GAP))
    cards: list[Shape] = []
    boxes: list[Box] = []
    for key, block in blocks.items():
        down, right = placed.fold.place(*layout.corners[key])
        group, inside = block.drawing.at(right, down)
        cards.append(group)
        boxes += inside
    width = layout.height + placed.fold.step * (len(placed.fold.starts) - 1)
    return Drawing(width=width, height=placed.fold.height, items=(*_arrows(placed), *cards), boxes=tuple(boxes))


def _arrows(placed: _Placed) -> Iterator[Shape]:
    """Yield a line with an arrow for each bundle."""
    arriving: dict[str, list[Bundle]] = {}
    for bundle in placed.graph.bundles:
        arriving.setdefault(bundle.target, []).append(bundle)
    for target, bundles in arriving.items():
        along, across = placed.layout.corners[target]
        width = placed.blocks[target].drawing.width
        bundles.sort(key=lambda bundle: _arrival(placed.layout, bundle))
        for index, bundle in enumerate(bundles):
            share = (index + 1) / (len(bundles) + 1)
            end = along - 1, across + width / 2 + (share - 0.5) * width * 0.7
            yield _arrow(placed, bundle, end)


def _arrow(placed: _Placed, bundle: Bundle, end: curves.Point) -> Shape:
    along, across = placed.layout.corners[bundle.source]
    drawing = placed.blocks[bundle.source].drawing
    route = placed.layout.routes[bundle.source, bundle.target]
    points = curves.way((along + drawing.height, across + drawing.width / 2), route, end)
    led = placed.fold.lead(points, bundle.source)
    tip = led[-1]
    shapes = (
        Path(data=curves.curve([*led[:-1], (tip[0] - 5, tip[1])], swap=True), stroke="neutral", width=1.5),
        Path(data=curves.arrow(tip), fill="neutral"),
    )
    return Group(items=shapes, detail=bundle.detail)


def _arrival(layout: Arrangement, bundle: Bundle) -> float:
    route = layout.routes[bundle.source, bundle.target]
    return route.lanes[-1][2] if route.lanes else layout.corners[bundle.source][1]
