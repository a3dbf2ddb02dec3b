"""Where layers are more than a chain: which values wait for a later layer, and how several become one.

A layer that reads only the layer before it, and is read only by the next one, needs none of this. Every other layer
has `Edges`, which fetch what it reads, keep its activations for later readers, and drop those that have none left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize

if TYPE_CHECKING:
    from forwardpass_server.core.layers import Layer

INPUTS: Final = "inputs"
"""What a layer names to read all inputs."""


def merge(arrays: Sequence[Array], how: str) -> Array:
    """Make one new array of several; a row's bits do not depend on other rows.

    Args:
        arrays: At least two of shape `(rows, width)`, of equal widths unless they are concatenated.
        how: `concatenate` puts them side by side; `sum`, `multiply`, `mean` and `max` go element by element, from
            the first array to the last. The larger of 0 and -0 is 0.
    """
    if how == "concatenate":
        return np.concatenate(arrays, axis=1)
    together = _ELEMENTWISE[how]
    merged: Array = together(arrays[0], arrays[1])
    for array in arrays[2:]:
        together(merged, array, out=merged)
    if how == "mean":
        merged /= len(arrays)
    canonicalize(merged)
    return merged


_ELEMENTWISE: Final[Mapping[str, np.ufunc]] = {
    "sum": np.add,
    "multiply": np.multiply,
    "mean": np.add,
    "max": np.maximum,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """The edges of a layer in a graph: what it reads, and whether its activations are kept for later layers.

    Attributes:
        name: The layer's.
        sources: What it reads, and which columns of that, None standing for all; or empty for the layer before.
        merge: How several become one, or None.
        kept: Whether its activations wait for a layer after the next one, or for the end.
        forgotten: What waited for this layer last.
    """

    name: str
    sources: tuple[tuple[str, slice | None], ...]
    merge: str | None
    kept: bool
    forgotten: tuple[str, ...]

    def read(self, waiting: Mapping[str, Array], before: Array) -> Array:
        """Return what the layer reads, shape `(rows, inputs)` and contiguous; it may be what still waits.

        Args:
            waiting: What `note` kept, and the inputs, by name.
            before: The activations of the layer before.
        """
        if not self.sources:
            return before
        arrays = [waiting[name] if columns is None else waiting[name][:, columns] for name, columns in self.sources]
        return np.ascontiguousarray(arrays[0]) if self.merge is None else merge(arrays, self.merge)

    def note(self, waiting: dict[str, Array], activations: Array) -> None:
        """Keep the layer's activations if they are to wait, and let go of what waited for this layer."""
        for name in self.forgotten:
            del waiting[name]
        if self.kept:
            waiting[self.name] = activations


def find_edges(
    layers: Sequence["Layer"], groups: Mapping[str, int], outputs: Sequence[str]
) -> tuple[Edges | None, ...]:
    """Return the edges of each layer, None where the layer is part of a chain.

    Args:
        layers: Each after those that it reads.
        groups: The width of each group of inputs, in order.
        outputs: The layers that are outputs, or empty for the last one.
    """
    columns = {
        name: slice(*ends) for name, ends in zip(groups, pairwise(accumulate(groups.values(), initial=0)), strict=True)
    }
    before = (INPUTS, *(layer.name for layer in layers))
    jumps = [layer.from_ not in {(), (before[index],)} for index, layer in enumerate(layers)]
    last: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if jumps[index]:
            last.update(dict.fromkeys((INPUTS if name in columns else name for name in layer.from_), index))
    if tuple(outputs) not in {(), before[-1:]}:
        last.update(dict.fromkeys(outputs, len(layers)))
    return tuple(
        Edges(
            name=layer.name,
            sources=tuple(
                (INPUTS, columns[name]) if name in columns else (name, None)
                for name in (layer.from_ if jumps[index] else ())
            ),
            merge=layer.merge,
            kept=layer.name in last,
            forgotten=tuple(name for name, reader in last.items() if reader == index),
        )
        if jumps[index] or layer.name in last
        else None
        for index, layer in enumerate(layers)
    )


def reads_inputs(all_edges: Sequence[Edges | None]) -> bool:
    """Say whether any layer but the first reads the inputs."""
    return any(name == INPUTS for edges in all_edges if edges is not None for name, _ in edges.sources)


def most_held(layers: Sequence["Layer"], all_edges: Sequence[Edges | None], inputs: int) -> int:
    """Return how many values of a row the walk through the layers holds at most: those that wait, and the widest."""
    waiting = {INPUTS: inputs} if reads_inputs(all_edges) else {}
    most = inputs
    for layer, edges in zip(layers, all_edges, strict=True):
        most = max(most, sum(waiting.values()) + max(layer.outputs, layer.inputs))
        if edges is not None:
            waiting = {name: width for name, width in waiting.items() if name not in edges.forgotten}
            waiting |= {edges.name: layer.outputs} if edges.kept else {}
    return most


def merge_flops(layer: "Layer") -> int:
    """Return how many values of a row are read to merge what a layer reads."""
    if layer.merge is None:
        return 0
    return layer.inputs if layer.merge == "concatenate" else layer.inputs * len(layer.from_)
