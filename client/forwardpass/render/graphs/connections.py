"""The edges between two stages as numbers: full matrices of dense layers, lists of edges of all other kinds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from forwardpass.spec.convolution import Geometry
from forwardpass.spec.layers import KINDS
from forwardpass.spec.network import Layer
from forwardpass.tensors import Array

IntArray: TypeAlias = npt.NDArray[np.intp]

_CHUNK: Final = 1 << 21
"""Numbers of a matrix that are looked at together, so that a large layer needs little memory."""


_MAX_EDGES: Final = 1 << 18
"""The most edges of a convolution that are listed."""


class Connections(Protocol):
    """The edges from a stage of `sources` nodes to one of `targets` nodes."""

    def shares(self, importance: Array) -> Array:
        """Return `(sources,)`: the importance of the targets, passed back along the edges by their strength."""

    def between(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return the numbers of some edges.

        Returns:
            `(targets, sources)`; NaN where there is no edge, inf for an edge without a number.
        """

    def others(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return `(targets,)`: the sum of the numbers from all other sources; NaN where there are none."""

    def largest(self) -> float:
        """Return the largest size of a number, or 0."""


@dataclass(frozen=True, slots=True)
class Full:
    """A matrix `(targets, sources)`, perhaps with a mask of the same shape that is 0 where there is no edge."""

    numbers: Array
    mask: Array | None = None

    def _chunks(self) -> Iterator[tuple[slice, Array]]:
        step = max(1, _CHUNK // max(1, self.numbers.shape[1]))
        for start in range(0, len(self.numbers), step):
            part = slice(start, start + step)
            sizes = np.nan_to_num(np.abs(self.numbers[part]), nan=0.0, posinf=0.0)
            yield part, sizes if self.mask is None else sizes * self.mask[part]

    def shares(self, importance: Array) -> Array:
        """Return the importance of each source."""
        passed = np.zeros(self.numbers.shape[1])
        for part, sizes in self._chunks():
            total = sizes.sum(axis=1)
            passed += np.divide(importance[part], total, out=np.zeros(len(total)), where=total > 0) @ sizes
        return passed

    def between(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return the numbers of some edges."""
        where = np.ix_(targets, sources)
        numbers: Array = np.nan_to_num(
            self.numbers[where].astype(np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf
        )
        return numbers if self.mask is None else np.where(self.mask[where] != 0, numbers, np.nan)

    def others(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return the sums of the other edges."""
        if self.numbers.shape[1] == len(sources):
            return np.full(len(targets), np.nan)
        left = np.ones(self.numbers.shape[1])
        left[list(sources)] = 0
        rows = self.numbers[list(targets)].astype(np.float64)
        if self.mask is not None:
            rows = rows * self.mask[list(targets)]
        summed: Array = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0) @ left
        return summed

    def largest(self) -> float:
        """Return the largest size."""
        return max((float(sizes.max(initial=0.0)) for _, sizes in self._chunks()), default=0.0)


@dataclass(frozen=True, slots=True)
class Listed:
    """Edges one by one: `(edges,)` targets, sources and numbers; a number is inf where the edge has none."""

    targets: IntArray
    sources: IntArray
    numbers: Array
    source_count: int

    def _sizes(self) -> Array:
        sizes: Array = np.where(np.isfinite(self.numbers), np.abs(self.numbers), 1.0)
        return sizes

    def shares(self, importance: Array) -> Array:
        """Return the importance of each source."""
        sizes = self._sizes()
        total = np.bincount(self.targets, weights=sizes, minlength=len(importance)).astype(np.float64)
        share = np.divide(importance, total, out=np.zeros(len(importance)), where=total > 0)
        passed: Array = np.bincount(
            self.sources, weights=share[self.targets] * sizes, minlength=self.source_count
        ).astype(np.float64)
        return passed

    def between(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return the numbers of some edges."""
        row = {node: index for index, node in enumerate(targets)}
        column = {node: index for index, node in enumerate(sources)}
        found = np.full((len(targets), len(sources)), np.nan)
        chosen = np.isin(self.targets, targets) & np.isin(self.sources, sources)
        for target, source, number in zip(
            self.targets[chosen].tolist(), self.sources[chosen].tolist(), self.numbers[chosen].tolist(), strict=True
        ):
            known = found[row[target], column[source]]
            total = number if np.isnan(known) else known + number
            found[row[target], column[source]] = np.inf if np.isnan(total) else total
        return found

    def others(self, targets: Sequence[int], sources: Sequence[int]) -> Array:
        """Return the sums of the other edges."""
        left = ~np.isin(self.sources, sources)
        counted = np.bincount(self.targets[left], minlength=max(targets, default=0) + 1)
        summed = np.bincount(self.targets[left], weights=self.numbers[left], minlength=len(counted))
        return np.where(counted > 0, summed, np.nan)[list(targets)]

    def largest(self) -> float:
        """Return the largest size."""
        finite = self.numbers[np.isfinite(self.numbers)]
        return float(np.abs(finite).max(initial=0.0))


def of_layer(layer: Layer, values: Array | None) -> Connections | None:
    """Return the edges into a layer of a spec, which follow from its arrays; None where there are too many.

    Args:
        layer: The layer.
        values: `(inputs,)` for weight x value, or None for the weights. An edge has no number where the layer has no
            weight for it, such as that of a lookup.
    """
    if layer.kind in _KINDS:
        return _KINDS[layer.kind](layer, values)
    if layer.kind == "conv":
        return _convolution(layer, values)
    for name, edges in _ARRAYS.items():
        if name in layer.arrays:
            return edges(layer, values)
    factors = _factors(layer)
    if values is not None:
        is_known = np.isfinite(factors)
        factors = np.where(is_known, np.where(is_known, factors, 0.0) * values, np.inf)
    return one_to_one(layer.inputs, factors)


def is_one_to_one(kind: str, inputs: int, nodes: int) -> bool:
    """Return whether each node of a layer of a kind reads the value of the same index."""
    return kind in KINDS and KINDS[kind].count_nodes({"inputs": inputs}) == inputs == nodes


def one_to_one(count: int, numbers: Array | float = np.inf) -> Listed:
    """Return an edge from each node to the node of the same index."""
    nodes = np.arange(count)
    return Listed(nodes, nodes, np.broadcast_to(np.asarray(numbers, dtype=np.float64), (count,)), count)


def split(connections: Connections | None, widths: Sequence[int]) -> list[Connections | None]:
    """Cut the connections from several stages side by side into those from each of them."""
    if connections is None or len(widths) == 1:
        return [connections] * len(widths)
    parts: list[Connections | None] = []
    start = 0
    for width in widths:
        part = slice(start, start + width)
        if isinstance(connections, Full):
            mask = None if connections.mask is None else connections.mask[:, part]
            parts.append(Full(connections.numbers[:, part], mask))
        elif isinstance(connections, Listed):
            inside = (connections.sources >= start) & (connections.sources < start + width)
            parts.append(
                Listed(
                    connections.targets[inside], connections.sources[inside] - start, connections.numbers[inside], width
                )
            )
        start += width
    return parts


def add(one: Connections | None, other: Connections | None) -> Connections | None:
    """Return the edges of two readings of one stage together, or None where they are not both known."""
    if isinstance(one, Full) and isinstance(other, Full):
        numbers = [part.numbers if part.mask is None else part.numbers * part.mask for part in (one, other)]
        masks = [np.ones(part.numbers.shape) if part.mask is None else part.mask for part in (one, other)]
        return Full(numbers[0] + numbers[1], None if one.mask is None else np.maximum(*masks))
    if isinstance(one, Listed) and isinstance(other, Listed):
        return Listed(
            np.concatenate([one.targets, other.targets]),
            np.concatenate([one.sources, other.sources]),
            np.concatenate([one.numbers, other.numbers]),
            one.source_count,
        )
    return None


def _full(layer: Layer, values: Array | None) -> Full:
    return Full(layer.weights if values is None else layer.weights * values, layer.arrays.get("mask"))


def _chosen(layer: Layer, values: Array | None) -> Listed:
    """Return an edge from the value at each index; where it is compared with a category, its number is the outcome."""
    indices = layer.arrays["indices"].astype(np.intp)
    categories = layer.arrays.get("categories")
    numbers = np.full(len(indices), 1.0 if categories is None else np.inf)
    if values is not None:
        read = values[indices]
        numbers = (read if categories is None else read == categories).astype(np.float64)
    return Listed(np.arange(len(indices)), indices, numbers, layer.inputs)


def _table(layer: Layer, values: Array | None) -> Listed:
    del values
    nodes = np.arange(layer.outputs)
    return Listed(nodes, nodes // layer.arrays["table"].shape[1], np.full(len(nodes), np.inf), layer.inputs)


def _windows(layer: Layer, values: Array | None) -> Listed:
    """Return the edges of windows; with values, of the largest or smallest only its own has a number but 0."""
    windows = layer.arrays["windows"].astype(np.intp)
    count, size = windows.shape
    reduce = str(layer.settings["reduce"])
    factor = {"mean": 1 / size, "sum": 1.0}.get(reduce)
    numbers = np.full(windows.shape, np.inf if factor is None else factor)
    if values is not None:
        read = values[windows].astype(np.float64)
        if factor is None:
            best = read.max(axis=1, keepdims=True) if reduce == "max" else read.min(axis=1, keepdims=True)
            numbers = np.where(read == best, read, 0.0)
        else:
            numbers = read * factor
    return Listed(np.repeat(np.arange(count), size), windows.ravel(), numbers.ravel(), layer.inputs)


def _matmul(layer: Layer, values: Array | None) -> Listed:
    """Return the edges from a row of the left matrix and a column of the right one; with values, of each product."""
    groups, rows, inner, columns = (int(layer.settings[key]) for key in ("groups", "rows", "inner", "columns"))
    middle = groups * rows * inner
    shape = (groups, rows, columns, inner)
    left = np.arange(middle).reshape(groups, rows, 1, inner)
    right = np.arange(middle, layer.inputs).reshape(groups, inner, columns).swapaxes(1, 2)[:, None]
    sources = np.stack([np.broadcast_to(left, shape), np.broadcast_to(right, shape)], axis=-1).reshape(-1, 2)
    numbers = np.full(len(sources), np.inf) if values is None else values[sources].astype(np.float64).prod(axis=1) / 2
    targets = np.repeat(np.arange(layer.outputs), 2 * inner)
    return Listed(targets, sources.ravel(), np.repeat(numbers, 2), layer.inputs)


def _parts(layer: Layer, values: Array | None) -> Listed:
    """Return an edge from the value of each part; no number, since the function is no product."""
    del values
    sources = np.arange(layer.inputs)
    return Listed(sources % layer.outputs, sources, np.full(layer.inputs, np.inf), layer.inputs)


def _convolution(layer: Layer, values: Array | None) -> Connections | None:
    """Return an edge for each weight of each node, but for those that multiply padding or zeros between values."""
    geometry = Geometry(**layer.settings)
    filters, window = layer.weights.shape
    if layer.weights.size * geometry.positions > _MAX_EDGES:
        return None
    # The index of the value at each place of each window, `(window, positions)`, and -1 in the padding.
    places = np.full(geometry.padded_shape, -1, np.intp)
    known = zip(geometry.pads, geometry.input_shape[1:], geometry.input_dilations, strict=False)
    inside = (slice(before, before + (size - 1) * gap + 1, gap) for before, size, gap in known)
    places[(slice(None), *inside)] = np.arange(geometry.inputs).reshape(geometry.input_shape)
    axes = tuple(range(1, geometry.axes + 1))
    windows = sliding_window_view(places, geometry.extents, axes)[
        (
            slice(None),
            *(slice(None, None, stride) for stride in geometry.strides),
            *(slice(None, None, gap) for gap in geometry.dilations),
        )
    ]
    grid = np.moveaxis(windows, axes, range(-geometry.axes, 0)).reshape(geometry.group, window, geometry.positions)
    sources = np.repeat(grid, filters // geometry.group, axis=0)  # (filters, window, positions)
    targets = np.arange(layer.outputs).reshape(filters, 1, geometry.positions)
    read = sources >= 0
    sources, targets = sources[read], np.broadcast_to(targets, sources.shape)[read]
    numbers = np.broadcast_to(layer.weights[:, :, np.newaxis], read.shape)[read].astype(np.float64)
    return Listed(targets, sources, numbers if values is None else numbers * values[sources], layer.inputs)


def _steps(layer: Layer, values: Array | None) -> Listed | None:
    """Return an edge from each value of a step to each state after it; no number, since the functions are no products.

    The initial state leads to the first step, and the last step to the cell state.
    """
    del values
    units, steps = layer.arrays["recurrent_weights"].shape[1], int(layer.settings["steps"])
    features = layer.weights.shape[1]
    if steps * units * features > _MAX_EDGES:
        return None
    nodes = np.arange(layer.outputs)
    at = np.minimum(nodes // units, steps - 1)
    targets = np.repeat(nodes, features)
    sources = (at[:, np.newaxis] * features + np.arange(features)).ravel()
    given = np.arange(steps * features, layer.inputs)
    targets = np.concatenate([targets, (given - steps * features) % units])
    sources = np.concatenate([sources, given])
    return Listed(targets, sources, np.full(len(sources), np.inf), layer.inputs)


def _factors(layer: Layer) -> Array:
    """Return by what each value is multiplied, `(inputs,)`; inf where the formula is no multiple."""
    arrays = layer.arrays
    if "scale" in arrays:
        return arrays["scale"]
    if "gamma" in arrays and "variance" in arrays:
        deviation = np.sqrt(arrays["variance"].astype(np.float64) + float(layer.settings["epsilon"]))
        factors: Array = arrays["gamma"] / deviation
        return factors
    return np.full(layer.inputs, np.inf)


_ARRAYS: Final[Mapping[str, Callable[[Layer, Array | None], Connections]]] = {
    "weights": _full,
    "indices": _chosen,
    "windows": _windows,
    "table": _table,
}
"""The edges into a layer that has an array of this name."""

_KINDS: Final[Mapping[str, Callable[[Layer, Array | None], Connections | None]]] = {
    "matmul": _matmul,
    "elementwise": _parts,
    "recurrent": _steps,
}
"""The edges into a layer of a kind whose nodes read several values, and whose arrays do not list them."""
