"""The choice of the nodes of wide stages: those on the strongest paths to the outputs.

The importance of an output is the size of its value, or all of it is with the class that is chosen. Each node passes
its importance back to what it reads, in proportion to |weight x value|, or to |weight| where there is no row. This is
layer-wise relevance propagation with absolute shares (Bach et al., "On pixel-wise explanations", 2015); it chooses what
is drawn and is shown nowhere as a number.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from forwardpass.render.graphs.stages import Stage
from forwardpass.tensors import Array


def importances(stages: Sequence[Stage], chosen: int | None) -> Mapping[str, Array]:
    """Return `(nodes,)` for each stage, by its key.

    Args:
        stages: Each after those that it reads.
        chosen: The index of the class that is chosen among the outputs, or None.
    """
    found = {stage.key: np.zeros(len(stage.names)) for stage in stages}
    read = {one.source for stage in stages for one in stage.reads}
    for stage in reversed(stages):
        own = found[stage.key]
        if stage.kind == "outputs" and chosen is not None and chosen < len(own):
            own[chosen] += 1.0
        elif stage.kind == "outputs" or stage.key not in read:
            own += _shares(_sizes(stage))
        for one in stage.reads:
            if not len(found[one.source]):
                continue
            if one.connections is None:
                found[one.source] += own.sum() * _shares(_sizes(next(s for s in stages if s.key == one.source)))
            else:
                found[one.source] += one.connections.shares(own)
    return found


def select(stage: Stage, importance: Array, most: int) -> list[int]:
    """Return the indices of the nodes to show, in the network's order: all, or the most important ones."""
    if len(stage.names) <= most:
        return list(range(len(stage.names)))
    order = np.lexsort((np.arange(len(importance)), -_sizes(stage), -importance))
    return sorted(order[: max(1, most * 2 // 3)].tolist())


def _sizes(stage: Stage) -> Array:
    if stage.after is None:
        return np.ones(len(stage.names))
    sizes: Array = np.nan_to_num(np.abs(stage.after.astype(np.float64)), nan=0.0, posinf=0.0, neginf=0.0)
    return sizes


def _shares(sizes: Array) -> Array:
    total = float(sizes.sum())
    shares: Array = sizes / total if total > 0 else np.full(len(sizes), 1 / max(1, len(sizes)))
    return shares
