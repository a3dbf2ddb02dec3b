"""Second step: the order within each layer, with few crossings.

Layers are sorted by the mean position of their neighbours, forwards and backwards in turns; the order with the fewest
crossings is kept. Crossings are counted as Barth, Juenger and Mutzel do, "Simple and efficient bilayer cross counting"
(Graph Drawing, 2002): as inversions, in O(edges x log(vertices)).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from forwardpass.render.layout.layering import Layering, Place

_SWEEPS: Final = 8
_MAX_WORK: Final = 40_000
"""Segments that all sweeps together may sort; a graph with many lanes gets fewer sweeps."""

Order = list[list[Place]]
Neighbours = Mapping[Place, Sequence[Place]]


def order_layers(layering: Layering) -> Order:
    """Return each layer's vertices and lanes from top to bottom."""
    before, after = neighbours(layering)
    order = [list(layer) for layer in layering.layers]
    best, fewest = order, count_crossings(order, after)
    for sweep in range(max(2, min(_SWEEPS, _MAX_WORK // max(1, len(layering.segments))))):
        if not fewest:
            break
        order = [list(layer) for layer in order]
        forwards = sweep % 2 == 0
        steps = range(1, len(order)) if forwards else range(len(order) - 2, -1, -1)
        for index in steps:
            fixed = order[index - 1] if forwards else order[index + 1]
            _sort(order[index], fixed, before if forwards else after)
        crossings = count_crossings(order, after)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def neighbours(layering: Layering) -> tuple[Neighbours, Neighbours]:
    """Return what is before and after each place, in the neighbouring layers."""
    before: dict[Place, list[Place]] = {place: [] for layer in layering.layers for place in layer}
    after: dict[Place, list[Place]] = {place: [] for place in before}
    for source, target in layering.segments:
        after[source].append(target)
        before[target].append(source)
    return before, after


def count_crossings(order: Sequence[Sequence[Place]], after: Neighbours) -> int:
    """Return how many pairs of segments cross, if each were a straight line."""
    return sum(_crossings(one, other, after) for one, other in itertools.pairwise(order))


def _crossings(one: Sequence[Place], other: Sequence[Place], after: Neighbours) -> int:
    place = {each: index for index, each in enumerate(other)}
    ends = [end for each in one for end in sorted(place[target] for target in after[each])]
    size = 1 << max(1, len(other) - 1).bit_length()
    counts = [0] * (2 * size)
    crossings = 0
    for end in ends:
        index = end + size
        counts[index] += 1
        while index > 1:
            if index % 2 == 0:
                crossings += counts[index + 1]
            index //= 2
            counts[index] += 1
    return crossings


def _sort(layer: list[Place], fixed: Sequence[Place], sides: Neighbours) -> None:
    """Sort a layer by the mean position of its neighbours; what has none stays where it is."""
    place = {each: index for index, each in enumerate(fixed)}
    means = {
        each: sum(place[side] for side in sides[each]) / len(sides[each]) if sides[each] else float(index)
        for index, each in enumerate(layer)
    }
    layer.sort(key=means.__getitem__)
