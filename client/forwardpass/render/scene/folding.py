"""A long layout in columns, as a newspaper has them: the flow goes down, and on at the top of the next column.

Positions are `(along, across)`: along the flow, which goes down, and across it. Edges that go on in the next column run
below the one, up between the two, and above the other, each in a track of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from forwardpass.render.layout import Arrangement
from forwardpass.render.scene.curves import Point

_MAX_LENGTH: Final = 2400.0
"""A layout of at most this length stays one column."""
_MAX_TRACKS: Final = 12
"""A layout that would have more edges between two columns stays one column."""
_TRACK: Final = 8.0
_MARGIN: Final = 18.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """The columns of a layout.

    Attributes:
        starts: Where each column begins along the flow, the first at 0.
        height: The length of the longest column, with the tracks above and below.
        step: The distance of two columns.
        room: The height of the tracks above each column.
        tracks: The track of each source in the cut after each column.
    """

    starts: tuple[float, ...]
    height: float
    step: float
    room: float
    tracks: tuple[Mapping[str, int], ...]

    def column(self, along: float) -> int:
        """Return the column of a position."""
        return sum(start <= along for start in self.starts[1:])

    def place(self, along: float, across: float) -> Point:
        """Return a position in its column."""
        column = self.column(along)
        return along - self.starts[column] + self.room, across + column * self.step

    def lead(self, points: Sequence[Point], source: str) -> list[Point]:
        """Return the points of a way in their columns, with those between them on the tracks of its source."""
        led = [self.place(*points[0])]
        for before, after in pairwise(points):
            here, there = self.place(*before), self.place(*after)
            for column in range(self.column(before[0]), self.column(after[0])):
                track = self.tracks[column][source] * _TRACK
                below, above = self.height - self.room + _MARGIN / 2 + track, self.room - _MARGIN / 2 - track
                between = (column + 1) * self.step - self.room + _MARGIN / 2 + track
                led += [(below, led[-1][1]), (below, between), (above, between), (above, there[1])]
            if self.column(before[0]) == self.column(after[0]) or here != led[-1]:
                led.append(there)
        return led


def fold(layout: Arrangement, *, gap: float) -> Fold:
    """Return the columns of a layout: about as wide as high, or one where it is short or too many edges would go on.

    Args:
        layout: The layout.
        gap: The distance of two of its layers.
    """
    one = Fold(starts=(0.0,), height=layout.width, step=0.0, room=0.0, tracks=())
    if layout.width <= _MAX_LENGTH:
        return one
    count = math.ceil(math.sqrt(layout.width / (layout.height + 3 * _MARGIN)))
    starts = [0.0]
    for start, end in layout.layers:
        if end - starts[-1] > layout.width / count:
            starts.append(start)
    tracks = tuple(_tracks(layout, start - gap / 2) for start in starts[1:])
    most = max(map(len, tracks), default=0)
    if most > _MAX_TRACKS:
        return one
    room = _MARGIN + _TRACK * most
    ends = [*(start - gap for start in starts[1:]), layout.width]
    longest = max(end - start for start, end in zip(starts, ends, strict=True))
    return Fold(starts=tuple(starts), height=longest + 2 * room, step=layout.height + room, room=room, tracks=tracks)


def _tracks(layout: Arrangement, cut: float) -> Mapping[str, int]:
    """Return a track for each source with an edge across a cut, the rightmost first."""
    across: dict[str, float] = {}
    for (source, _), route in layout.routes.items():
        if route.leave < cut < route.arrive:
            passed = [y for left, _, y in route.lanes if left < cut]
            across[source] = passed[-1] if passed else layout.corners[source][1]
    return {source: track for track, source in enumerate(sorted(across, key=lambda each: -across[each]))}
