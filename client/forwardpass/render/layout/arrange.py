"""The four steps together: rectangles with places, edges with routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from forwardpass.render.layout.layering import Edge, Place, assign_layers, is_lane, path_of, vertex
from forwardpass.render.layout.ordering import neighbours, order_layers
from forwardpass.render.layout.positions import place_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class Vertex:
    """A rectangle to place.

    Attributes:
        key: Unique.
        width: Along the flow.
        height: Across it.
    """

    key: str
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The way of an edge between its ends.

    Attributes:
        leave: The x where the layer of its source ends.
        lanes: For each layer that it passes: the x where the layer begins, where it ends, and the y of its lane.
        arrive: The x where the layer of its target begins.
    """

    leave: float
    lanes: tuple[tuple[float, float, float], ...]
    arrive: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """A layout, within `(0, 0)` and `(width, height)`.

    Attributes:
        corners: The left upper corner of each vertex.
        routes: The way of each edge.
        width: Of the whole, along the flow.
        height: Of the whole, across it.
        layers: Where each layer begins and ends along the flow.
    """

    corners: Mapping[str, tuple[float, float]]
    routes: Mapping[Edge, Route]
    width: float
    height: float
    layers: tuple[tuple[float, float], ...]


def arrange(
    vertices: Sequence[Vertex], edges: Sequence[Edge], *, layer_gap: float, gap: float, lane: float
) -> Arrangement:
    """Lay out a graph.

    Args:
        vertices: Each after those that it has edges from.
        edges: Sources and targets, each pair once.
        layer_gap: The distance of two layers.
        gap: The least distance of two vertices or lanes within a layer.
        lane: The height of a lane, in which an edge passes a layer.
    """
    size = {each.key: each for each in vertices}
    layering = assign_layers([each.key for each in vertices], edges)
    before, after = neighbours(layering)
    order = order_layers(layering)
    heights: dict[Place, float] = {
        place: lane if is_lane(place) else size[place[0]].height for layer in order for place in layer
    }
    centers = place_layers(order, heights, gap, before, after)
    widths = [max((size[key].width for key, at in layer if at < 0), default=0.0) for layer in order]
    starts = [0.0, *accumulate(width + layer_gap for width in widths)][: len(widths)]

    def corner(each: Vertex) -> tuple[float, float]:
        layer = layering.layer_of[each.key]
        return (
            starts[layer] + (widths[layer] - each.width) / 2,
            centers[vertex(each.key)] - each.height / 2,
        )

    def route(source: str, target: str) -> Route:
        first, last = layering.layer_of[source], layering.layer_of[target]
        passed = path_of(source, target, layering.layer_of)[1:-1]
        return Route(
            leave=starts[first] + widths[first],
            lanes=tuple((starts[at], starts[at] + widths[at], centers[key, at]) for key, at in passed),
            arrive=starts[last],
        )

    return Arrangement(
        corners={each.key: corner(each) for each in vertices},
        routes={(source, target): route(source, target) for source, target in edges},
        width=starts[-1] + widths[-1] if starts else 0.0,
        height=max((centers[place] + heights[place] / 2 for place in heights), default=0.0),
        layers=tuple((start, start + width) for start, width in zip(starts, widths, strict=True)),
    )
