"""First step: the layer of each vertex, and the lanes of edges that pass layers."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Edge = tuple[str, str]
"""A source and a target, by their keys."""

Place = tuple[str, int]
"""A vertex by its key and -1; or the lane of a source in a layer: the source's key and the layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layering:
    """Vertices and lanes in layers, so that every edge leads from one layer to the next.

    Edges of one source share their lane: a skip leaves its source once, and each target branches off.

    Attributes:
        layers: The vertices and lanes of each layer.
        segments: The edges between neighbouring layers.
        layer_of: The layer of each vertex.
    """

    layers: tuple[tuple[Place, ...], ...]
    segments: tuple[tuple[Place, Place], ...]
    layer_of: Mapping[str, int]


def vertex(key: str) -> Place:
    """Return the place of a vertex."""
    return key, -1


def is_lane(place: Place) -> bool:
    """Return whether a place is that of a lane."""
    return place[1] >= 0


def assign_layers(keys: Sequence[str], edges: Sequence[Edge]) -> Layering:
    """Put each vertex one layer after the last of its sources, and lanes into the layers that an edge passes.

    Args:
        keys: The vertices, each after its sources.
        edges: Between them, each once.
    """
    sources: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in edges:
        sources[target].append(source)
    layer_of: dict[str, int] = {}
    for key in keys:
        layer_of[key] = 1 + max((layer_of[source] for source in sources[key]), default=-1)
    layers: list[list[Place]] = [[] for _ in range(1 + max(layer_of.values(), default=-1))]
    for key in keys:
        layers[layer_of[key]].append(vertex(key))
    segments: dict[tuple[Place, Place], None] = {}
    lanes: set[Place] = set()
    for source, target in edges:
        path = path_of(source, target, layer_of)
        for lane in path[1:-1]:
            if lane not in lanes:
                lanes.add(lane)
                layers[lane[1]].append(lane)
        segments.update(dict.fromkeys(itertools.pairwise(path)))
    return Layering(layers=tuple(map(tuple, layers)), segments=tuple(segments), layer_of=layer_of)


def path_of(source: str, target: str, layer_of: Mapping[str, int]) -> list[Place]:
    """Return the places on the way of an edge, both ends among them."""
    between = range(layer_of[source] + 1, layer_of[target])
    return [vertex(source), *((source, layer) for layer in between), vertex(target)]
