"""Reductions of axes by ONNX's names, moments, and the place of the largest element; axes are not negative."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.tensor_ref import TensorRef, places_of
from forwardpass.importers.unsupported import UnsupportedError

Reduce: TypeAlias = Callable[..., TensorRef]
"""Reduces axes of a tensor; gets the builder, the tensor, the axes, and whether these stay with a length of 1."""


def reduce_axes(
    graph: LayerOperations, x: TensorRef, axes: Sequence[int], reduce: str, *, keepdims: bool = False
) -> TensorRef:
    """Reduce axes by `sum`, `mean`, `max` or `min`."""
    if not axes:
        return x
    moved = np.moveaxis(places_of(x.shape), axes, range(-len(axes), 0))
    windows = moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)
    return _arranged(graph.pool(x, windows, reduce), axes, keepdims=keepdims)


def _pooled(reduce: str, each: str = "", last: str = "") -> Reduce:
    """Return a reduction of a function of each element, and a function of the result."""

    def apply(graph: LayerOperations, x: TensorRef, axes: Sequence[int], *, keepdims: bool = False) -> TensorRef:
        done = reduce_axes(graph, graph.function(x, each) if each else x, axes, reduce, keepdims=keepdims)
        return graph.function(done, last) if last else done

    return apply


def _product(graph: LayerOperations, x: TensorRef, axes: Sequence[int], *, keepdims: bool = False) -> TensorRef:
    """Multiply elements by halves."""
    last = range(-len(axes), 0)
    x = x.with_index(np.moveaxis(x.index, axes, last))
    x = x.reshape(*x.shape[: len(x.shape) - len(axes)], -1)
    while (length := x.shape[-1]) > 1:
        half = length // 2
        graph.check_size(x.size)
        both = graph.merge([x.take(range(half), -1), x.take(range(half, 2 * half), -1)], "multiply")
        rest = [x.take(range(2 * half, length), -1)] if length % 2 else []
        x = graph.concatenate([both, *rest], -1)
    return _arranged(x.with_index(x.index[..., 0]), axes, keepdims=keepdims)


def _log_sum_exp(graph: LayerOperations, x: TensorRef, axes: Sequence[int], *, keepdims: bool = False) -> TensorRef:
    """Return `log(sum(exp(x)))`, by the exponentials of the differences from the largest element if that is finite."""
    if not axes:
        return x
    x = graph.without_pending(x)
    largest = reduce_axes(graph, x, axes, "max", keepdims=True)
    level = graph.without_pending(graph.function(largest, "where(x - x == 0, x, 0)"))
    total = reduce_axes(graph, graph.elementwise("exp(x - y)", x, level), axes, "sum", keepdims=True)
    whole = graph.elementwise("log(x) + y", total, level)
    return whole if keepdims else whole.with_index(whole.index.squeeze(tuple(axes)))


REDUCTIONS: Final[Mapping[str, Reduce]] = MappingProxyType(
    {
        **{name: _pooled(name) for name in ("sum", "mean", "max", "min")},
        "l1": _pooled("sum", each="abs(x)"),
        "l2": _pooled("sum", each="x * x", last="sqrt(x)"),
        "sum_square": _pooled("sum", each="x * x"),
        "log_sum": _pooled("sum", last="log(x)"),
        "log_sum_exp": _log_sum_exp,
        "prod": _product,
    }
)
"""The reductions of axes, as ONNX's operators `Reduce...` define them."""


def norm(
    graph: LayerOperations, x: TensorRef, axes: Sequence[int], order: float, *, keepdims: bool = False
) -> TensorRef:
    """Return the p-norm along axes: the root of the sum of powers, or the largest size."""
    if order in _NORMS:
        return _NORMS[order](graph, x, axes, keepdims=keepdims)
    if order <= 0 or not np.isfinite(order):
        raise UnsupportedError(f"has the norm of order {order:g}; a finite one above 0 is needed, or infinity")
    powers = _pooled("sum", each=f"abs(x) ** {order!r}", last=f"x ** {1 / order!r}")
    return powers(graph, x, axes, keepdims=keepdims)


_NORMS: Final[Mapping[float, Reduce]] = MappingProxyType(
    {1.0: REDUCTIONS["l1"], 2.0: REDUCTIONS["l2"], np.inf: _pooled("max", each="abs(x)")}
)


def moments(
    graph: LayerOperations, x: TensorRef, axes: Sequence[int], *, correction: float = 0, keepdims: bool = False
) -> tuple[TensorRef, TensorRef]:
    """Return the variance, which divides by the number of elements less a correction, and the mean along axes."""
    count = prod(x.shape[axis] for axis in axes)
    if count <= correction:
        raise UnsupportedError(f"divides the squares of {count} elements by {count - correction}")
    x = graph.without_pending(x)
    mean = reduce_axes(graph, x, axes, "mean", keepdims=True)
    squares = graph.elementwise("(x - y) * (x - y)", x, mean)
    variance = reduce_axes(graph, squares, axes, "mean", keepdims=keepdims)
    if correction:
        variance = graph.scale_shift(variance, np.array(count / (count - correction)), None)
    return variance, mean if keepdims else mean.with_index(mean.index.squeeze(tuple(axes)))


def place_of_extreme(
    graph: LayerOperations, x: TensorRef, axis: int, *, largest: bool = True, last: bool = False, keepdims: bool = False
) -> TensorRef:
    """Return the place of the first or last largest or smallest element along an axis; NaN where an element is."""
    x = graph.without_pending(x)
    length = x.shape[axis]
    best = reduce_axes(graph, x, [axis], "max" if largest else "min", keepdims=True)
    others = graph.elementwise("where(x == y, 0, where(y == y, 1, y))", x, best)
    # Of the elements that are not the best, the places are out of range.
    away = np.array(float(-length if last else length))
    counted = graph.scale_shift(others, away, places_along(axis, x.shape))
    return reduce_axes(graph, counted, [axis], "max" if last else "min", keepdims=keepdims)


def hardmax(graph: LayerOperations, x: TensorRef, axis: int) -> TensorRef:
    """Return 1 for the first largest element along an axis, else 0."""
    place = place_of_extreme(graph, x, axis, keepdims=True)
    distance = graph.scale_shift(place, None, -places_along(axis, x.shape))
    return graph.function(distance, "where(x == 0, 1, where(x == x, 0, x))")


def places_along(axis: int, shape: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the places along an axis, in a shape that broadcasts with others."""
    return np.arange(float(shape[axis])).reshape(-1, *[1] * (len(shape) - axis - 1))


def _arranged(x: TensorRef, axes: Sequence[int], *, keepdims: bool) -> TensorRef:
    return x.with_index(np.expand_dims(x.index, tuple(axes))) if keepdims else x
