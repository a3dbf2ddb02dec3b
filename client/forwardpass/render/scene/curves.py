"""Curves between blocks: edges, bands and arrows, through the gaps and lanes of a layout."""

import itertools
from collections.abc import Sequence
from typing import Final

from forwardpass.render.layout import Route
from forwardpass.render.scene.shapes import number_text

_BEND: Final = 0.45

Point = tuple[float, float]


def way(start: Point, route: Route, end: Point, shift: float = 0.0) -> list[Point]:
    """Return the points of an edge: its ends, where it leaves and enters layers, and its lanes.

    Between them it goes straight within a layer, and bends in the gaps.

    Args:
        start: The middle of the right side of its source.
        route: Its way.
        end: The middle of the left side of its target.
        shift: How far from the middle of a lane it passes.
    """
    points = [start, (route.leave, start[1])]
    for left, right, y in route.lanes:
        points += [(left, y + shift), (right, y + shift)]
    return [*points, (route.arrive, end[1]), end]


def curve(points: Sequence[Point], *, swap: bool = False, begin: str = "M") -> str:
    """Return the path through the points of a way.

    Args:
        points: From `way`.
        swap: Whether the flow goes down: x and y change places.
        begin: `L` to go on with a path.
    """

    def at(x: float, y: float) -> str:
        first, second = (y, x) if swap else (x, y)
        return f"{number_text(first)} {number_text(second)}"

    parts = [f"{begin}{at(*points[0])}"]
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        if abs(next_x - x) < 0.01 and abs(next_y - y) < 0.01:
            continue
        if y == next_y:
            parts.append(f"L{at(next_x, next_y)}")
        else:
            bend = (next_x - x) * _BEND
            parts.append(f"C{at(x + bend, y)} {at(next_x - bend, next_y)} {at(next_x, next_y)}")
    return "".join(parts)


def band(upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """Return the path around a band between two ways."""
    return curve(upper) + curve(list(reversed(lower)), begin="L") + "Z"


def arrow(tip: Point) -> str:
    """Return the path of an arrow's head that points down, at `(along, across)`."""
    y, x = tip
    corners = [(x, y), (x - 3.5, y - 7), (x + 3.5, y - 7)]
    return "M" + "L".join(f"{number_text(first)} {number_text(second)}" for first, second in corners) + "Z"


def along(points: Sequence[Point], share: float) -> Point:
    """Return the point at a share of the last bend of a way, by de Casteljau."""
    (x0, y0), (x3, y3) = points[-3], points[-2]
    bend = (x3 - x0) * _BEND
    corners = [(x0, y0), (x0 + bend, y0), (x3 - bend, y3), (x3, y3)]
    while len(corners) > 1:
        corners = [(a + (c - a) * share, b + (d - b) * share) for (a, b), (c, d) in itertools.pairwise(corners)]
    return corners[0]
