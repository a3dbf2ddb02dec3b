"""The bundles of a picture: which edges, how strong, and with which texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from forwardpass.render.graphs.choice import Choice
from forwardpass.render.graphs.connections import Connections, Listed
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Read, Stage
from forwardpass.render.graphs.values import REST, Bundle, Edge
from forwardpass.render.graphs.words import clip
from forwardpass.render.numerals import short, short_signed

MAX_EDGES: Final = 1500
"""Edges that are drawn; the strongest are."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Ends:
    """The two stages of a bundle, the nodes that are shown of them, and the numbers between them."""

    source: Stage
    target: Stage
    shown_sources: Sequence[int]
    shown_targets: Sequence[int]
    connections: Connections
    weights: Connections | None


def bundles_of(source: Source, choice: Choice) -> Iterator[Bundle]:
    """Yield the bundle from each stage to each stage that reads it."""
    stages = {stage.key: stage for stage in source.stages}
    for stage in source.stages:
        known = [] if choice.by_layer else [_ends(read, stage, stages, choice) for read in stage.reads]
        top = max((_top(ends) for ends in known if ends is not None), default=0.0)
        for index, read in enumerate(stage.reads):
            ends = known[index] if known else None
            edges = () if ends is None else tuple(_edges(ends, top, has_row=source.has_row, is_tiny=choice.is_tiny))
            origin = stages[read.source]
            detail = f"{origin.title} → {stage.title}"
            if origin.names:
                detail += f": {len(origin.names):,} → {len(stage.names):,}"
            yield Bundle(source=read.source, target=stage.key, edges=edges, detail=detail)


def strongest(bundles: Sequence[Bundle]) -> tuple[tuple[Bundle, ...], int]:
    """Return the bundles with at most `MAX_EDGES` edges, and how many weaker ones were left out."""
    strengths = sorted((abs(edge.strength or 0.0) for bundle in bundles for edge in bundle.edges), reverse=True)
    if len(strengths) <= MAX_EDGES:
        return tuple(bundles), 0
    least = strengths[MAX_EDGES - 1]
    kept = tuple(
        replace(bundle, edges=tuple(edge for edge in bundle.edges if abs(edge.strength or 0.0) > least))
        for bundle in bundles
    )
    return kept, len(strengths) - sum(len(bundle.edges) for bundle in kept)


def _ends(read: Read, stage: Stage, stages: dict[str, Stage], choice: Choice) -> _Ends | None:
    if read.connections is None:
        return None
    return _Ends(
        source=stages[read.source],
        target=stage,
        shown_sources=choice.shown[read.source],
        shown_targets=choice.shown[stage.key],
        connections=read.connections,
        weights=read.weights,
    )


def _top(ends: _Ends) -> float:
    found = [
        ends.connections.between(ends.shown_targets, ends.shown_sources).ravel(),
        ends.connections.others(ends.shown_targets, ends.shown_sources),
    ]
    numbers = np.abs(np.concatenate(found))
    return float(numbers[np.isfinite(numbers)].max(initial=0.0))


def _edges(ends: _Ends, top: float, *, has_row: bool, is_tiny: bool) -> Iterator[Edge]:
    numbers = ends.connections.between(ends.shown_targets, ends.shown_sources)
    weights = np.full(numbers.shape, np.nan)
    if ends.weights is not None:
        weights = ends.weights.between(ends.shown_targets, ends.shown_sources)
    what = "weight × value" if has_row else "weight"
    for row, column in np.ndindex(numbers.shape):
        number = float(numbers[row, column])
        if np.isnan(number):
            continue
        names = ends.source.names[ends.shown_sources[column]], ends.target.names[ends.shown_targets[row]]
        detail = " → ".join(map(clip, names))
        is_known, weight = bool(np.isfinite(number)), float(weights[row, column])
        if is_known:
            detail += f"\n{what}: {short(number)}"
            detail += f"\nweight: {short(weight)}" if has_row and np.isfinite(weight) else ""
        yield Edge(
            source=column,
            target=row,
            strength=_strength(number, top) if is_known else None,
            label=_label(number, weight, ends.target) if is_tiny and is_known else "",
            detail=detail,
        )
    yield from _edges_from_rest(ends, top, what, has_row=has_row)
    yield from _edges_to_rest(ends)


def _edges_from_rest(ends: _Ends, top: float, what: str, *, has_row: bool) -> Iterator[Edge]:
    """Yield an edge from the nodes that are not shown to each that is, with the sum of theirs."""
    hidden = len(ends.source.names) - len(ends.shown_sources)
    if not hidden:
        return
    for row, number in enumerate(ends.connections.others(ends.shown_targets, ends.shown_sources).tolist()):
        if np.isnan(number):
            continue
        is_known = has_row and bool(np.isfinite(number))
        detail = f"{hidden:,} others → {clip(ends.target.names[ends.shown_targets[row]])}"
        yield Edge(
            source=REST,
            target=row,
            strength=_strength(number, top) if is_known else None,
            detail=f"{detail}\nsum of {what}: {short(number)}" if is_known else detail,
        )


def _edges_to_rest(ends: _Ends) -> Iterator[Edge]:
    """Yield an edge without a number from each shown node to those of the target that are not shown."""
    hidden = len(ends.target.names) - len(ends.shown_targets)
    if not hidden:
        return
    names = ends.source.names
    reading = set(range(len(names)))
    if isinstance(ends.connections, Listed):
        is_hidden = ~np.isin(ends.connections.targets, ends.shown_targets)
        reading = set(ends.connections.sources[is_hidden].tolist())
    if len(ends.shown_sources) < len(names):
        if reading - set(ends.shown_sources):
            yield Edge(source=REST, target=REST, strength=None, detail=f"{len(names):,} nodes → {hidden:,} others")
        return
    for column, origin in enumerate(ends.shown_sources):
        if origin in reading:
            yield Edge(source=column, target=REST, strength=None, detail=f"{clip(names[origin])} → {hidden:,} others")


def _strength(number: float, top: float) -> float:
    return float(number) / top if top > 0 else 0.0


def _label(number: float, weight: float, target: Stage) -> str:
    if not target.function:
        return ""
    return f"×{short(weight, 3)}" if np.isfinite(weight) else short_signed(number)
