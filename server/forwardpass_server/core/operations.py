"""The formulas of all kinds of layers but dense: a closed table of functions that return functions.

Each function takes the arrays and settings of its kind. It returns a function of values `(rows, inputs)`, contiguous,
that returns a new contiguous array `(rows, outputs)` of the same dtype. A row's bits do not depend on other rows:
everything goes value by value, or along the values of one row, which numpy sums in the same order for any number of
rows.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass_server.core.arrays import Array, canonicalize

_Function: TypeAlias = Callable[[Array], Array]


def scale_shift(*, scale: Array, shift: Array) -> _Function:
    """Compute `x * scale + shift`; both `(inputs,)`."""
    return lambda values: values * scale + shift


def batch_norm(*, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> _Function:
    """Compute `gamma * (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe & Szegedy, 2015); all `(inputs,)`."""
    wide = variance.astype(np.float64) + epsilon
    factor = (gamma / np.sqrt(wide)).astype(mean.dtype)
    return lambda values: (values - mean) * factor + beta


def layer_norm(*, gamma: Array, beta: Array, epsilon: float) -> _Function:
    """Compute `gamma * (x - m) / sqrt(v + epsilon) + beta`, m and v of the row (Ba et al., 2016); both `(inputs,)`."""

    def compute(values: Array) -> Array:
        around: Array = values - values.mean(axis=1, keepdims=True)
        variance = (around * around).mean(axis=1, keepdims=True)
        around /= np.sqrt(variance + values.dtype.type(epsilon))
        around *= gamma
        around += beta
        return around

    return compute


def embedding(*, table: Array) -> _Function:
    """Return the rows of `table`, `(categories, size)`, at the indices x, else NaN (Bengio et al., 2003)."""
    categories, size = table.shape
    rows = np.concatenate([table, np.full((1, size), np.nan, table.dtype)])

    def compute(values: Array) -> Array:
        known = (values >= 0) & (values < categories) & (values == np.floor(values))
        places = np.where(known, values, categories).astype(np.intp)
        return rows[places].reshape(len(values), -1)

    return compute


def one_hot(*, categories: Array, indices: Array) -> _Function:
    """Compute 1 where the value at an index is the category, else 0; both `(outputs,)`."""
    places = indices.astype(np.intp)
    return lambda values: (np.take(values, places, axis=1) == categories).astype(values.dtype)


def bucketize(*, boundaries: Array) -> _Function:
    """Count the boundaries, ascending `(boundaries,)`, that are less than or equal to x; NaN stays NaN."""

    def compute(values: Array) -> Array:
        counts = np.searchsorted(boundaries, values, side="right").astype(values.dtype)
        counts[np.isnan(values)] = np.nan
        return counts

    return compute


def lookup(*, keys: Array, values: Array, default: float = np.nan) -> _Function:
    """Return the value beside the key that equals x, both `(keys,)`, else the default."""
    order = np.argsort(keys)
    ordered, beside = keys[order], values[order]
    otherwise = values.dtype.type(default)

    def compute(found: Array) -> Array:
        places = np.minimum(np.searchsorted(ordered, found), len(ordered) - 1)
        return np.where(ordered[places] == found, beside[places], otherwise)

    return compute


def clip(*, low: Array | None = None, high: Array | None = None) -> _Function:
    """Compute `min(max(x, low), high)`; both `(inputs,)`."""

    def compute(values: Array) -> Array:
        clipped = values.copy() if low is None else np.maximum(values, low)
        if high is not None:
            np.minimum(clipped, high, out=clipped)
        canonicalize(clipped)
        return clipped

    return compute


def impute(*, values: Array, missing: float = np.nan) -> _Function:
    """Return x, or its number in `values`, `(inputs,)`, where x is missing."""
    if np.isnan(missing):
        return lambda found: np.where(np.isnan(found), values, found)
    absent = values.dtype.type(missing)
    return lambda found: np.where(found == absent, values, found)


def dropout(*, rate: float) -> _Function:
    """Return x: dropout happens in training only, at any rate (Srivastava et al., 2014)."""
    del rate
    return lambda values: values.copy()


def take(*, indices: Array) -> _Function:
    """Return the values at the indices, `(outputs,)`."""
    places = indices.astype(np.intp)
    return lambda values: np.take(values, places, axis=1)


def pool(*, windows: Array, reduce: str) -> _Function:
    """Reduce the values of each window; their indices are `(outputs, size)`."""
    places, reduction = windows.astype(np.intp), _REDUCTIONS[reduce]

    def compute(values: Array) -> Array:
        reduced: Array = reduction(np.take(values, places, axis=1), axis=2)
        canonicalize(reduced)
        return reduced

    return compute


_REDUCTIONS: Final[Mapping[str, Callable[..., Array]]] = MappingProxyType(
    {"max": np.max, "mean": np.mean, "sum": np.sum, "min": np.min}
)

OPERATIONS: Final[Mapping[str, Callable[..., _Function]]] = MappingProxyType(
    {
        "scale_shift": scale_shift,
        "batch_norm": batch_norm,
        "layer_norm": layer_norm,
        "embedding": embedding,
        "one_hot": one_hot,
        "bucketize": bucketize,
        "lookup": lookup,
        "clip": clip,
        "impute": impute,
        "dropout": dropout,
        "take": take,
        "pool": pool,
    }
)
"""The formula of each kind of layer but dense, by its name in a spec."""
