"""Third step: positions across the flow, near those of the neighbours and never overlapping.

In each layer the sum of weight x (position - wish)^2 is least under the constraint that neighbours keep their distance.
With distances taken off, that is isotonic regression, which pools adjacent violators exactly and in linear time
(Barlow, Bartholomew, Bremner and Brunk, "Statistical inference under order restrictions", 1972). Segments between
lanes weigh more, so that long edges are straight (the weights of Gansner et al., 1993).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from forwardpass.render.layout.layering import Place, is_lane
from forwardpass.render.layout.ordering import Neighbours

_SWEEPS: Final = 6
_WEIGHTS: Final[Mapping[int, float]] = {0: 1.0, 1: 2.0, 2: 8.0}
"""The weight of a segment by how many of its ends are lanes."""


def place_layers(
    order: Sequence[Sequence[Place]],
    heights: Mapping[Place, float],
    gap: float,
    before: Neighbours,
    after: Neighbours,
) -> dict[Place, float]:
    """Return the center of each vertex and lane across the flow; the smallest top is 0.

    Args:
        order: Each layer from top to bottom.
        heights: Of each vertex and lane.
        gap: The least distance of two of them.
        before: The neighbours in the layer before.
        after: The neighbours in the layer after.
    """
    centers: dict[Place, float] = {}
    for layer in order:
        _spread(layer, dict.fromkeys(layer, (0.0, 1.0)), heights, gap, centers)
    for sweep in range(_SWEEPS):
        sides = (before, after)[sweep % 2]
        for layer in order if sweep % 2 == 0 else reversed(order):
            wishes = {place: _wish(place, sides, centers) for place in layer}
            _spread(layer, wishes, heights, gap, centers)
    # Both sides at last: a vertex stands between what it reads and what reads it.
    for layer in order:
        wishes = {place: _wish(place, before, centers, after) for place in layer}
        _spread(layer, wishes, heights, gap, centers)
    top = min((center - heights[place] / 2 for place, center in centers.items()), default=0.0)
    return {place: center - top for place, center in centers.items()}


def _wish(
    place: Place, sides: Neighbours, centers: Mapping[Place, float], others: Neighbours | None = None
) -> tuple[float, float]:
    """Return where a place would like to be, and how much."""
    near = [*sides[place], *(others[place] if others else ())]
    if not near:
        return centers[place], 0.01
    weights = [_WEIGHTS[is_lane(place) + is_lane(side)] for side in near]
    total = sum(weights)
    return sum(weight * centers[side] for weight, side in zip(weights, near, strict=True)) / total, total


def _spread(
    layer: Sequence[Place],
    wishes: Mapping[Place, tuple[float, float]],
    heights: Mapping[Place, float],
    gap: float,
    centers: dict[Place, float],
) -> None:
    """Set the centers of a layer: the nearest to the wishes that keep the order and the gaps."""
    offsets: list[float] = []
    for index, place in enumerate(layer):
        distance = (heights[layer[index - 1]] + heights[place]) / 2 + gap if index else 0.0
        offsets.append(offsets[-1] + distance if index else 0.0)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for place, offset in zip(layer, offsets, strict=True):
        wish, weight = wishes[place]
        mean, members = wish - offset, 1
        while pools and pools[-1][0] >= mean:
            other, other_weight, other_members = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, members = weight + other_weight, members + other_members
        pools.append((mean, weight, members))
    means = [mean for mean, _, members in pools for _ in range(members)]
    centers.update((place, mean + offset) for place, mean, offset in zip(layer, means, offsets, strict=True))
