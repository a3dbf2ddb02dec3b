"""Which nodes of which blocks a picture shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from forwardpass.render.graphs.selection import importances, select
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Stage
from forwardpass.tensors import Array

MAX_DEPTH: Final = 9
"""Deeper networks are drawn layer by layer, without their nodes."""
MAX_BLOCKS: Final = 14
"""Networks of more blocks too."""
_TINY_EDGES: Final = 12
_TINY_NODES: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is drawn of a source, so that a second one can be drawn alike.

    Attributes:
        shown: The indices of the shown nodes, by the key of their stage.
        by_layer: Whether layers are drawn without their nodes.
        is_tiny: Whether there is room for each weight and each sum.
    """

    shown: Mapping[str, Sequence[int]]
    by_layer: bool
    is_tiny: bool = False


def choose(source: Source, max_nodes: int, also: Mapping[str, Array] | None = None) -> Choice:
    """Choose the nodes to show.

    Args:
        source: The network.
        max_nodes: A layer of at most as many nodes shows all of them.
        also: More importance for some nodes, `(nodes,)` by stage.
    """
    if len(source.stages) > MAX_BLOCKS or _depth(source.stages) > MAX_DEPTH:
        return Choice(shown={stage.key: () for stage in source.stages}, by_layer=True)
    chosen = source.classes.index(source.label) if source.label in source.classes else None
    found = importances(source.stages, chosen if len(source.classes) > 2 else None)
    more = also or {}
    shown = {
        stage.key: select(stage, found[stage.key] + more.get(stage.key, 0.0), max_nodes) for stage in source.stages
    }
    return Choice(shown=shown, by_layer=False, is_tiny=_is_tiny(source, max_nodes))


def _depth(stages: Sequence[Stage]) -> int:
    depth: dict[str, int] = {}
    for stage in stages:
        depth[stage.key] = 1 + max((depth[one.source] for one in stage.reads), default=0)
    return max(depth.values(), default=0)


def _is_tiny(source: Source, max_nodes: int) -> bool:
    widths = {stage.key: len(stage.names) for stage in source.stages}
    if sum(widths.values()) > _TINY_NODES or max(widths.values()) > max_nodes:
        return False
    return sum(widths[stage.key] * widths[one.source] for stage in source.stages for one in stage.reads) <= _TINY_EDGES
