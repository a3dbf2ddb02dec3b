"""Graphs of layers: what a layer reads, which activations are kept for later layers, and how several become one.

In a chain every layer reads the layer before it, and nothing is kept. In a graph, a layer that reads something else, or
whose activations are read later than by the next layer, has `Edges`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize

if TYPE_CHECKING:
    from forwardpass_server.core.layers import Layer

INPUTS: Final = "inputs"
"""The name by which a layer reads all inputs."""


def merge(arrays: Sequence[Array], how: str) -> Array:
    """Merge several arrays into a new one; a row's bits do not depend on other rows.

    Args:
        arrays: At least two of shape `(rows, width)`, of equal widths unless they are concatenated.
        how: `concatenate` puts them side by side; `sum`, `multiply`, `mean` and `max` go element by element, from
            the first array to the last. The larger of 0 and -0 is 0.
    """
    if how == "concatenate":
        return np.concatenate(arrays, axis=1)
    ufunc = _ELEMENTWISE[how]
    merged: Array = ufunc(arrays[0], arrays[1])
    for array in arrays[2:]:
        ufunc(merged, array, out=merged)
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


def merge_gradients(gradient: Array, arrays: Sequence[Array], how: str) -> Sequence[Array]:
    """Return the gradient at each of the merged arrays: the vector-Jacobian product of `merge`.

    Equal largest values get equal shares, as of `torch.amax`.

    Args:
        gradient: At what `merge` returned.
        arrays: What was merged.
        how: How it was merged.
    """
    return _GRADIENTS[how](gradient, arrays)


def _split(gradient: Array, arrays: Sequence[Array]) -> Sequence[Array]:
    return np.split(gradient, list(accumulate(array.shape[1] for array in arrays[:-1])), axis=1)


def _times_the_others(gradient: Array, arrays: Sequence[Array]) -> Sequence[Array]:
    """Multiply by all arrays before each, and all after it: dividing by the array itself would fail where it is 0."""
    before = accumulate(arrays[:-1], np.multiply, initial=gradient)
    after = [*accumulate(arrays[:0:-1], np.multiply, initial=np.ones_like(gradient))]
    products = (one * other for one, other in zip(before, reversed(after), strict=True))
    return [np.where(gradient == 0, gradient, product) for product in products]


def _to_the_largest(gradient: Array, arrays: Sequence[Array]) -> Sequence[Array]:
    largest = reduce(np.maximum, arrays)
    is_largest = [array == largest for array in arrays]
    share = gradient / np.sum(is_largest, axis=0, dtype=gradient.dtype)
    return [share * mask for mask in is_largest]


_GRADIENTS: Final[Mapping[str, Callable[[Array, Sequence[Array]], Sequence[Array]]]] = {
    "concatenate": _split,
    "sum": lambda gradient, arrays: [gradient] * len(arrays),
    "multiply": _times_the_others,
    "mean": lambda gradient, arrays: [gradient / len(arrays)] * len(arrays),
    "max": _to_the_largest,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """The edges of one layer in a graph: what it reads, and which later layers read it.

    Attributes:
        name: The name of the layer.
        sources: The layers or inputs that it reads and the columns of each, None for all; empty for the layer before.
        merge: How several sources become one, or None.
        is_kept: Whether its activations are kept for a layer after the next one, or as outputs.
        last_reads: The kept activations that no later layer reads.
    """

    name: str
    sources: tuple[tuple[str, slice | None], ...]
    merge: str | None
    is_kept: bool
    last_reads: tuple[str, ...]

    def read(self, kept: Mapping[str, Array], before: Array) -> Array:
        """Return what the layer reads, `(rows, inputs)` and contiguous; it may be a kept array itself.

        Args:
            kept: The kept activations, and the inputs, by name.
            before: The activations of the layer before.
        """
        if not self.sources:
            return before
        arrays = [kept[name] if columns is None else kept[name][:, columns] for name, columns in self.sources]
        return np.ascontiguousarray(arrays[0]) if self.merge is None else merge(arrays, self.merge)

    def keep(self, kept: dict[str, Array], activations: Array) -> None:
        """Drop the kept activations that no later layer reads, and keep those of this layer if a later one does."""
        for name in self.last_reads:
            del kept[name]
        if self.is_kept:
            kept[self.name] = activations


def find_edges(
    layers: Sequence["Layer"], groups: Mapping[str, int], outputs: Sequence[str]
) -> tuple[Edges | None, ...]:
    """Return the edges of each layer, None for a layer that only reads the one before and is only read by the next.

    Args:
        layers: Each after those that it reads.
        groups: The width of each group of inputs, in order.
        outputs: The layers that are outputs, or empty for the last one.
    """
    ends = pairwise(accumulate(groups.values(), initial=0))
    columns = {name: slice(start, end) for name, (start, end) in zip(groups, ends, strict=True)}
    before = (INPUTS, *(layer.name for layer in layers))
    reads_elsewhere = [layer.from_ not in {(), (before[index],)} for index, layer in enumerate(layers)]
    last_reader: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if reads_elsewhere[index]:
            last_reader.update(dict.fromkeys((INPUTS if name in columns else name for name in layer.from_), index))
    if tuple(outputs) not in {(), before[-1:]}:
        last_reader.update(dict.fromkeys(outputs, len(layers)))
    return tuple(
        Edges(
            name=layer.name,
            sources=tuple(
                (INPUTS, columns[name]) if name in columns else (name, None)
                for name in (layer.from_ if reads_elsewhere[index] else ())
            ),
            merge=layer.merge,
            is_kept=layer.name in last_reader,
            last_reads=tuple(name for name, reader in last_reader.items() if reader == index),
        )
        if reads_elsewhere[index] or layer.name in last_reader
        else None
        for index, layer in enumerate(layers)
    )


def reads_inputs(edges: Sequence[Edges | None]) -> bool:
    """Return whether a layer other than the first reads the inputs, or the first reads a group of them."""
    return any(name == INPUTS for one in edges if one is not None for name, _ in one.sources)


def max_held_values(layers: Sequence["Layer"], edges: Sequence[Edges | None], inputs: int) -> int:
    """Return the most values of a row that a forward pass holds at once: the kept ones and the widest layer."""
    kept = {INPUTS: inputs} if reads_inputs(edges) else {}
    most = inputs
    for layer, one in zip(layers, edges, strict=True):
        most = max(most, sum(kept.values()) + max(layer.outputs, layer.inputs))
        if one is not None:
            kept = {name: width for name, width in kept.items() if name not in one.last_reads}
            kept |= {one.name: layer.outputs} if one.is_kept else {}
    return most


def merge_flops(layer: "Layer") -> int:
    """Return the operations that merge what a layer reads, of one row."""
    if layer.merge is None:
        return 0
    return layer.inputs if layer.merge == "concatenate" else layer.inputs * len(layer.from_)
