"""The pre-activation of each layer kind for rows `x`, `(rows, inputs)`; formulas: docs/reference/layers.md."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.tensors import Array


def _dense(x: Array, weights: Array, bias: Array, mask: Array | None = None) -> Array:
    return x @ (weights if mask is None else weights * mask).T + bias


def _batch_norm(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    deviation: Array = np.sqrt(variance + x.dtype.type(epsilon))
    return gamma * (x - mean) / deviation + beta


def _layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float, groups: int = 1) -> Array:
    wide = x.reshape(len(x), groups, -1)
    mean, variance = wide.mean(axis=2, keepdims=True), wide.var(axis=2, keepdims=True)
    normal: Array = (wide - mean) / np.sqrt(variance + x.dtype.type(epsilon))
    return gamma * normal.reshape(x.shape) + beta


def _embedding(x: Array, table: Array) -> Array:
    found = np.full((*x.shape, table.shape[1]), np.nan, x.dtype)
    known = (x >= 0) & (x < len(table)) & (x == np.floor(x))
    found[known] = table[x[known].astype(int)]
    return found.reshape(len(x), -1)


def _one_hot(x: Array, categories: Array, indices: Array) -> Array:
    return np.stack(
        [x[:, int(place)] == category for category, place in zip(categories, indices, strict=True)], axis=1
    ).astype(x.dtype)


def _bucketize(x: Array, boundaries: Array) -> Array:
    counts = np.sum([x >= boundary for boundary in boundaries], axis=0).astype(x.dtype)
    return np.where(np.isnan(x), x, counts)


def _lookup(x: Array, keys: Array, values: Array, default: float = np.nan) -> Array:
    found = np.full_like(x, default)
    for key, value in zip(keys, values, strict=True):
        found[x == key] = value
    return found


def _clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _impute(x: Array, values: Array, missing: float = np.nan) -> Array:
    return np.where(np.isnan(x) if np.isnan(missing) else x == x.dtype.type(missing), values, x)


def _pool(x: Array, windows: Array, reduce: str) -> Array:
    places = windows.astype(int)
    return _in_parts(x, places.size, lambda part: _REDUCTIONS[reduce](part[:, places], axis=2))


def _matmul(x: Array, groups: int, rows: int, inner: int, columns: int) -> Array:
    middle = groups * rows * inner
    left = x[:, :middle].reshape(-1, groups, rows, inner)
    right = x[:, middle:].reshape(-1, groups, inner, columns)
    products: Array = left @ right
    return products.reshape(len(x), -1)


def _elementwise(x: Array, parts: int, formula: Callable[..., Any]) -> Array:
    values = np.split(x, parts, axis=1)
    result: Array = np.broadcast_to(formula(*values), values[0].shape).astype(x.dtype)
    return result


def _group_softmax(x: Array, groups: int) -> Array:
    wide = x.reshape(len(x), groups, -1)
    powers = np.exp(wide - wide.max(axis=2, keepdims=True))
    shares: Array = powers / powers.sum(axis=2, keepdims=True)
    return shares.reshape(x.shape)


def _group_sparsemax(x: Array, groups: int) -> Array:
    shares: Array = project_onto_simplex(x.reshape(len(x), groups, -1)).astype(x.dtype)
    return shares.reshape(x.shape)


def project_onto_simplex(x: Array) -> Array:
    """Return `max(x - t, 0)` along the last axis, which adds up to 1; Michelot (1986) drops what is below t."""
    wide = (x - x.max(axis=-1, keepdims=True)).astype(np.float64)
    kept, before = wide > -1, np.zeros(x.shape, bool)  # what is further below the largest has no share
    threshold: Any = 0.0
    while (kept != before).any():
        threshold = (np.where(kept, wide, 0).sum(axis=-1, keepdims=True) - 1) / kept.sum(axis=-1, keepdims=True)
        kept, before = kept & (wide > threshold), kept
    shares: Array = np.where(np.isnan(wide).any(axis=-1, keepdims=True), np.nan, np.maximum(wide - threshold, 0))
    return shares


def _conv(
    x: Array,
    weights: Array,
    bias: Array,
    input_shape: Sequence[int],
    kernel_shape: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    input_dilations: Sequence[int],
    group: int,
) -> Array:
    axes = len(kernel_shape)
    spread = [(size - 1) * gap + 1 for size, gap in zip(input_shape[1:], input_dilations, strict=True)]
    sizes = list(map(sum, zip(pads[:axes], spread, pads[axes:], strict=True)))
    known = zip(pads, spread, input_dilations, strict=False)
    inside = [slice(None), slice(None), *(slice(before, before + size, gap) for before, size, gap in known)]
    steps = list(zip(kernel_shape, dilations, strides, strict=True))
    windows = [(size - (span - 1) * gap - 1) // by + 1 for size, (span, gap, by) in zip(sizes, steps, strict=True)]
    kernels = weights.reshape(group, len(weights) // group, -1)

    def convolved(part: Array) -> Array:
        """Lay out the windows as columns, and multiply (Chellapilla et al., 2006)."""
        padded = np.zeros((len(part), input_shape[0], *sizes), part.dtype)
        padded[tuple(inside)] = part.reshape(len(part), *input_shape)
        columns = np.empty((len(part), input_shape[0], *kernel_shape, *windows), part.dtype)
        for place in np.ndindex(*kernel_shape):
            firsts = [at * gap for at, (_, gap, _) in zip(place, steps, strict=True)]
            along = [
                slice(first, first + (count - 1) * by + 1, by)
                for first, count, (_, _, by) in zip(firsts, windows, steps, strict=True)
            ]
            columns[(slice(None), slice(None), *place)] = padded[(slice(None), slice(None), *along)]
        products: Array = kernels @ columns.reshape(len(part), group, kernels.shape[2], -1)
        return (products + bias.reshape(group, -1, 1)).reshape(len(part), -1)

    return _in_parts(x, input_shape[0] * math.prod((*kernel_shape, *windows)), convolved)


def _in_parts(x: Array, numbers: int, function: Callable[[Array], Any]) -> Array:
    """Compute as many rows at a time as bounds the memory, where each row needs that many numbers in between."""
    step = max(1, _MAX_PART_NUMBERS // numbers)
    parts = [function(x[start : start + step]) for start in range(0, max(1, len(x)), step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


_MAX_PART_NUMBERS: Final = 500_000


def _recurrent(
    x: Array,
    weights: Array,
    recurrent_weights: Array,
    bias: Array,
    recurrent_bias: Array,
    cell: str,
    steps: int,
    reset: str,
    final_cell: object,
    gate: Callable[[Array], Any],
    state: Callable[[Array], Any],
    off: Callable[..., Any] = lambda values, *_: values,
) -> Array:
    """`gate` and `state` are the functions of the cell; `off` puts a sum off, given the parts that are added up."""
    units, features = recurrent_weights.shape[1], weights.shape[1]
    hidden = c = np.zeros((len(x), units), x.dtype)
    if x.shape[1] > steps * features:
        hidden, *rest = np.split(x[:, steps * features :], 2 if cell == "lstm" else 1, axis=1)
        c = rest[0] if rest else c
    found = []
    for step in range(steps):
        read = x[:, step * features : (step + 1) * features]
        one = off(read @ weights.T + bias, np.abs(read) @ np.abs(weights).T, bias)
        own = np.abs(hidden) @ np.abs(recurrent_weights).T
        two = off(hidden @ recurrent_weights.T + recurrent_bias, own, recurrent_bias)
        if cell == "rnn":
            hidden = state(off(one + two, one, two))
        elif cell == "lstm":
            i, o, f, n = np.split(off(one + two, one, two), 4, axis=1)
            kept, new = gate(f) * c, gate(i) * state(n)
            c = off(kept + new, kept, new)
            hidden = gate(o) * state(c)
        else:
            z, r = np.split(gate(off(one + two, one, two)[:, : 2 * units]), 2, axis=1)
            if reset == "before":
                rows = recurrent_weights[2 * units :]
                inner = off((r * hidden) @ rows.T + recurrent_bias[2 * units :], np.abs(r * hidden) @ np.abs(rows).T)
            else:
                inner = r * two[:, 2 * units :]
            new = state(off(one[:, 2 * units :] + inner, one[:, 2 * units :], inner))
            hidden = off((1 - z) * new + z * hidden, new, hidden)
        found.append(hidden)
    return np.concatenate([*found, c] if final_cell else found, axis=1)


_REDUCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"max": np.max, "mean": np.mean, "sum": np.sum, "min": np.min}
)

FORMULAS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "dense": _dense,
        "scale_shift": lambda x, scale, shift: x * scale + shift,
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "embedding": _embedding,
        "one_hot": _one_hot,
        "bucketize": _bucketize,
        "lookup": _lookup,
        "clip": _clip,
        "impute": _impute,
        "dropout": lambda x, **_: x,
        "take": lambda x, indices: x[:, indices.astype(int)],
        "pool": _pool,
        "matmul": _matmul,
        "elementwise": _elementwise,
        "group_softmax": _group_softmax,
        "group_sparsemax": _group_sparsemax,
        "conv": _conv,
        "recurrent": _recurrent,
    }
)
"""The formula of each layer kind, called with x and the arrays and settings of the layer; `elementwise` with the number
of its parts and a function of them instead of the expression, `recurrent` with functions instead of their names."""
