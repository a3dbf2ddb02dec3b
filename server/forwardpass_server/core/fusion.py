"""Layers that one step computes: a convolution, an activation that never falls, and a pool of maxima or minima.

A sum with a constant and such an activation keep the order of the values, and rounding does too. So the largest value
of a window is computed from the largest product: the bias and the activation are applied to a number for each window,
not to each value of it. Every bit stays the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize_nan, frozen
from forwardpass_server.core.convolution import products
from forwardpass_server.core.layers import Layer, Operation
from forwardpass_server.core.lone_row import Views, lone_row
from forwardpass_server.core.pooling import REDUCTIONS, Run, find_runs, reducer
from forwardpass_server.core.scratch import Allocate, copies

_RISING: Final = frozenset({"identity", "relu"})
_ORDERED: Final = frozenset({"max", "min"})


def fuse(layers: Sequence[Layer]) -> tuple[Callable[[Array], Array], ...]:
    """Return functions that compute a chain of layers one after the other, some of them several layers."""
    steps: list[Callable[[Array], Array]] = []
    for before, layer in zip((None, *layers), layers, strict=False):
        fused = None if before is None else _fused(before, layer)
        if fused is None:
            steps.append(layer)
        else:
            steps[-1] = fused
    return tuple(steps)


def _fused(before: Layer, layer: Layer) -> Callable[[Array], Array] | None:
    """Return a function that computes a convolution and the pool after it, or None for other layers."""
    if not (isinstance(before, Operation) and isinstance(layer, Operation)):
        return None
    if (before.kind, layer.kind) != ("conv", "pool") or layer.arguments["reduce"] not in _ORDERED:
        return None
    if before.expression is not None or before.activation not in _RISING:
        return None
    settings = {**before.arguments}
    bias = settings.pop("bias")
    filters = layer.arguments["windows"].astype(np.intp) // (before.outputs // len(bias))
    if (filters != filters[:, :1]).any():
        return None
    multiply, reduce = products(**settings), reducer(**layer.arguments)
    reduce_alone, outputs = _lone_row_reducer(settings, layer), before.outputs
    biases = frozen(bias[filters[:, 0]] + bias.dtype.type(0))  # without -0, so that no sum is -0
    rise = None if before.is_plain else before.function
    function = None if layer.is_plain else layer.function

    def compute(values: Array) -> Array:
        if reduce_alone is not None and len(values) == 1:
            z = reduce_alone(values)
        else:
            z = reduce(multiply(values).reshape(-1, outputs))
        z += biases
        if rise is not None:
            rise(z, out=z)
        canonicalize_nan(z)
        return z if function is None else function(z, out=z)

    return compute


def _lone_row_reducer(settings: dict[str, Any], layer: Operation) -> Callable[[Array], Array] | None:
    """Return a function of a lone row that returns the reduced sums of a convolution; None where that is no faster."""
    row, runs = lone_row(**settings), find_runs(windows=layer.arguments["windows"])
    if row is None or runs is None:
        return None
    ufunc, key = REDUCTIONS[layer.arguments["reduce"]], object()

    def make(allocate: Allocate) -> tuple[Views, tuple[Run, ...], Array]:
        views = row.views(allocate)
        return views, *runs.views(views.sums.reshape(1, -1), allocate)

    def compute(values: Array) -> Array:
        views, reductions, reduced = copies.views(key, make)
        row.multiply(values, views)
        for one, other, out in reductions:
            ufunc(one, other, out=out)
        return np.array(reduced, order="C").reshape(1, -1)

    return compute
