"""The formulas of all kinds of layers but dense: a closed table of functions that return functions.

Each function takes the arrays and settings of its kind. It returns a function of values `(rows, inputs)`, contiguous,
that returns a new contiguous array `(rows, outputs)` of the same dtype. A row's bits do not depend on other rows:
everything goes value by value, or along the values of one row, which numpy sums in the same order for any number of
rows.

`GRADIENTS`, at the end, has the derivative of each kind.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core import costs
from forwardpass_server.core.activations import GRADIENTS as ACTIVATION_GRADIENTS
from forwardpass_server.core.activations import softmax, sparsemax
from forwardpass_server.core.arrays import Array, canonicalize
from forwardpass_server.core.convolution import conv, conv_gradient
from forwardpass_server.core.elementwise import Elementwise
from forwardpass_server.core.pooling import pool
from forwardpass_server.core.recurrence import NUMPY_CALLS, recurrent, recurrent_flops
from forwardpass_server.core.recurrence_gradient import recurrent_gradient

MAX_COLUMNS: Final = 32
"""The most values of a group whose softmax is computed column by column."""

_Function: TypeAlias = Callable[[Array], Array]
_Gradient: TypeAlias = Callable[[Array, Array], Array]


def scale_shift(*, scale: Array, shift: Array) -> _Function:
    """Compute `x * scale + shift`; both `(inputs,)`."""
    return lambda values: values * scale + shift


def batch_norm(*, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> _Function:
    """Compute `gamma * (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe & Szegedy, 2015); all `(inputs,)`."""
    factor = _batch_norm_factor(variance, gamma, epsilon)
    return lambda values: (values - mean) * factor + beta


def _batch_norm_factor(variance: Array, gamma: Array, epsilon: float) -> Array:
    factor: Array = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).astype(gamma.dtype)
    return factor


def layer_norm(*, gamma: Array, beta: Array, epsilon: float, groups: int = 1) -> _Function:
    """Compute `gamma * (x - m) / sqrt(v + epsilon) + beta`, m and v of the row (Ba et al., 2016); both `(inputs,)`.

    With groups, m and v are those of each group of consecutive values (Wu & He, 2018).
    """
    if groups > 1:
        return _group_norm(gamma, beta, epsilon, groups)

    normalize = _normalizer(epsilon)

    def compute(values: Array) -> Array:
        normal = normalize(values)
        normal *= gamma
        normal += beta
        return normal

    return compute


def _normalizer(epsilon: float) -> _Function:
    """Return a function that computes `(x - m) / sqrt(v + epsilon)`, m and v of the row."""

    def normalize(values: Array) -> Array:
        # As `mean` does, which takes as long again for its arguments.
        means = np.add.reduce(values, axis=1, keepdims=True)
        means /= values.shape[1]
        around: Array = values - means
        variance = np.add.reduce(around * around, axis=1, keepdims=True)
        variance /= values.shape[1]
        variance += values.dtype.type(epsilon)
        around /= np.sqrt(variance, out=variance)
        return around

    return normalize


def _group_norm(gamma: Array, beta: Array, epsilon: float, groups: int) -> _Function:
    normalize = _normalizer(epsilon)

    def compute(values: Array) -> Array:
        wide = normalize(_by_group(values, groups)).reshape(values.shape)
        wide *= gamma
        wide += beta
        return wide

    return compute


def _by_group(values: Array, groups: int) -> Array:
    """Return values `(rows, groups x size)` as `(rows x groups, size)`: a group is a row of its own."""
    return values.reshape(len(values) * groups, values.shape[1] // groups)


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


def matmul(
    *, groups: int, rows: int, inner: int, columns: int, turned: tuple[bool, bool] = (False, False)
) -> _Function:
    """Multiply for each group a matrix of rows x inner with one of inner x columns; the left ones come first.

    numpy calls the BLAS for each product alone, so that its bits depend on nothing else. They may depend on which of
    its operands are turned: transposed in memory, column by column.
    """

    def compute(values: Array) -> Array:
        left, right = _matrices(values, groups, rows, inner, columns)
        left, right = _turned(left) if turned[0] else left, _turned(right) if turned[1] else right
        product: Array = np.matmul(left, right).reshape(len(values), groups * rows * columns)
        return product

    return compute


def _turned(matrices: Array) -> Array:
    return np.ascontiguousarray(matrices.swapaxes(2, 3)).swapaxes(2, 3)


def _matrices(values: Array, groups: int, rows: int, inner: int, columns: int) -> tuple[Array, Array]:
    """Return the left matrices, `(n, groups, rows, inner)`, and the right ones, `(n, groups, inner, columns)`.

    They are views with the same strides for any number of rows: numpy chooses its algorithm by the strides, even by
    those of axes of length 1.
    """
    size, middle, width = values.itemsize, groups * rows * inner, values.shape[1]
    strides = width * size, rows * inner * size, inner * size, size
    left = np.ndarray((len(values), groups, rows, inner), values.dtype, values, 0, strides)
    strides = width * size, inner * columns * size, columns * size, size
    start = middle * size if len(values) else 0  # a view of no rows would begin beyond their end
    return left, np.ndarray((len(values), groups, inner, columns), values.dtype, values, start, strides)


def elementwise(*, formula: Elementwise, parts: int) -> _Function:
    """Compute a function of the parts of the values, which are of equal width."""

    def compute(values: Array) -> Array:
        operands = _parts(values, parts)
        return formula.compute(operands, np.empty_like(operands[0]))

    return compute


def _parts(values: Array, parts: int) -> list[Array]:
    return [values] if parts == 1 else [np.ascontiguousarray(part) for part in np.split(values, parts, axis=1)]


def group_softmax(*, groups: int) -> _Function:
    """Compute `exp(x_i) / sum_j exp(x_j)` over each group of consecutive values, shifted by the largest."""

    def compute(values: Array) -> Array:
        by_group = _by_group(values, groups)
        goes_by_column = has_softmax_of_columns(groups, by_group.shape[1])
        result = softmax_of_columns(by_group.T, None) if goes_by_column else softmax(by_group)
        return result.reshape(values.shape)

    return compute


def has_softmax_of_columns(groups: int, size: int) -> bool:
    """Return whether the softmax of groups goes column by column; numpy adds up a lone column in another order."""
    return size <= MAX_COLUMNS and groups > 1


def softmax_of_columns(turned: Array, out: Array | None) -> Array:
    """Compute the softmax of small groups column by column: numpy takes longer to begin a sum than to add a few.

    Args:
        turned: The groups, `(size, groups)`, a transposed view.
        out: Where to write the result, transposed in the same way; None to return a new array, `(groups, size)`.
    """
    columns = np.array(turned, order="C")
    columns -= np.maximum.reduce(columns)
    np.exp(columns, columns)
    sums = np.add.reduce(columns)
    if out is None:
        columns /= sums
        return np.ascontiguousarray(columns.T)
    np.divide(columns, sums, out)
    return out


def group_sparsemax(*, groups: int) -> _Function:
    """Compute the sparsemax of each group of consecutive values, `max(x - t, 0)` with a threshold of the group."""
    return lambda values: sparsemax(_by_group(values, groups)).reshape(values.shape)


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
        "matmul": matmul,
        "elementwise": elementwise,
        "group_softmax": group_softmax,
        "group_sparsemax": group_sparsemax,
        "conv": conv,
        "recurrent": recurrent,
    }
)
"""The formula of each kind of layer but dense, by its name in a spec."""


def _factor_gradient(factor: Array) -> _Gradient:
    return lambda gradient, _: gradient * factor


def _layer_norm_gradient(*, gamma: Array, beta: Array, epsilon: float, groups: int = 1) -> _Gradient:
    """Return `(h - mean(h) - n * mean(h * n)) / s` with h = gradient * gamma, the normalized n and the deviation s."""
    del beta
    if groups > 1:
        ones = np.ones(gamma.size // groups, gamma.dtype)
        alone = _layer_norm_gradient(gamma=ones, beta=ones, epsilon=epsilon)
        return lambda gradient, values: alone(_by_group(gradient * gamma, groups), _by_group(values, groups)).reshape(
            values.shape
        )

    def compute(gradient: Array, values: Array) -> Array:
        around = values - values.mean(axis=1, keepdims=True)
        deviation = np.sqrt((around * around).mean(axis=1, keepdims=True) + values.dtype.type(epsilon))
        normalized, scaled = around / deviation, gradient * gamma
        along = (scaled * normalized).mean(axis=1, keepdims=True)
        result: Array = (scaled - scaled.mean(axis=1, keepdims=True) - normalized * along) / deviation
        return np.where((gradient == 0).all(axis=1, keepdims=True), 0, result)

    return compute


def _no_gradient(**arguments: object) -> _Gradient:
    """Return 0: between its jumps, the operation is constant."""
    del arguments
    return lambda _, values: np.zeros_like(values)


def _clip_gradient(*, low: Array | None = None, high: Array | None = None) -> _Gradient:
    def compute(gradient: Array, values: Array) -> Array:
        within = np.ones(values.shape, bool) if low is None else values >= low
        return gradient * (within if high is None else within & (values <= high))

    return compute


def _impute_gradient(*, values: Array, missing: float = np.nan) -> _Gradient:
    if np.isnan(missing):
        return lambda gradient, found: gradient * ~np.isnan(found)
    absent = values.dtype.type(missing)
    return lambda gradient, found: gradient * (found != absent)


def _take_gradient(*, indices: Array) -> _Gradient:
    places = Places(indices)
    return lambda gradient, values: places.add_up(gradient, values.shape[1])


def _pool_gradient(*, windows: Array, reduce: str) -> _Gradient:
    places, indices = Places(windows.ravel()), windows.astype(np.intp)
    share = _WINDOW_SHARES[reduce]

    def compute(gradient: Array, values: Array) -> Array:
        wide = gradient[:, :, np.newaxis]
        shares = np.where(wide == 0, 0, wide * share(np.take(values, indices, axis=1)))
        return places.add_up(shares.reshape(len(values), -1), values.shape[1])

    return compute


def _matmul_gradient(*, groups: int, rows: int, inner: int, columns: int) -> _Gradient:
    """Return `g right^T` at the left matrices and `left^T g` at the right ones."""

    def compute(gradient: Array, values: Array) -> Array:
        left, right = _matrices(values, groups, rows, inner, columns)
        at_product = np.ascontiguousarray(gradient).reshape(len(values), groups, rows, columns)
        at_left = np.matmul(at_product, right.swapaxes(2, 3))
        at_right = np.matmul(left.swapaxes(2, 3), at_product)
        return np.concatenate([part.reshape(len(values), -1) for part in (at_left, at_right)], axis=1)

    return compute


def _elementwise_gradient(*, formula: Elementwise, parts: int) -> _Gradient:
    return lambda gradient, values: np.concatenate(formula.gradients(gradient, _parts(values, parts)), axis=1)


def _group_gradient(activation: str) -> Callable[..., _Gradient]:
    """Return the gradient of an activation of all nodes that a kind applies to each group."""
    of_group = ACTIVATION_GRADIENTS[activation]

    def gradient(*, groups: int) -> _Gradient:
        return lambda gradient, values: of_group(_by_group(gradient, groups), _by_group(values, groups)).reshape(
            values.shape
        )

    return gradient


class Places:
    """The indices that a layer reads, by which gradients are added up where several read the same value.

    Args:
        indices: `(reads,)`.
    """

    def __init__(self, indices: npt.NDArray[Any]) -> None:
        places = indices.astype(np.intp)
        self._order = np.argsort(places, kind="stable")
        self._read, self._starts = np.unique(places[self._order], return_index=True)

    def add_up(self, gradient: Array, inputs: int) -> Array:
        """Return the gradient at the inputs, `(rows, inputs)`, of that at the reads, `(rows, reads)`."""
        result = np.zeros((len(gradient), inputs), gradient.dtype)
        result[:, self._read] = np.add.reduceat(gradient[:, self._order], self._starts, axis=1)
        return result


def _share_of_ties(extreme: Array, windows: Array) -> Array:
    is_extreme = windows == extreme
    share: Array = (is_extreme / is_extreme.sum(axis=2, keepdims=True)).astype(windows.dtype)
    return share


_WINDOW_SHARES: Final[Mapping[str, Callable[[Array], Array]]] = MappingProxyType(
    {
        "max": lambda windows: _share_of_ties(windows.max(axis=2, keepdims=True), windows),
        "mean": lambda windows: np.full_like(windows, 1 / windows.shape[2]),
        "sum": np.ones_like,
        "min": lambda windows: _share_of_ties(windows.min(axis=2, keepdims=True), windows),
    }
)

GRADIENTS: Final[Mapping[str, Callable[..., _Gradient]]] = MappingProxyType(
    {
        "scale_shift": lambda *, scale, shift: _factor_gradient(scale),
        "batch_norm": lambda *, mean, variance, gamma, beta, epsilon: _factor_gradient(
            _batch_norm_factor(variance, gamma, epsilon)
        ),
        "layer_norm": _layer_norm_gradient,
        "embedding": _no_gradient,
        "one_hot": _no_gradient,
        "bucketize": _no_gradient,
        "lookup": _no_gradient,
        "clip": _clip_gradient,
        "impute": _impute_gradient,
        "dropout": lambda *, rate: lambda gradient, _: gradient,
        "take": _take_gradient,
        "pool": _pool_gradient,
        "matmul": _matmul_gradient,
        "elementwise": _elementwise_gradient,
        "group_softmax": _group_gradient("softmax"),
        "group_sparsemax": _group_gradient("sparsemax"),
        "conv": conv_gradient,
        "recurrent": recurrent_gradient,
    }
)
"""The vector-Jacobian product of each kind of `OPERATIONS`: it takes the same arrays and settings, and returns a
function of the gradient at the pre-activations, `(rows, outputs)`, and of the values that the layer read, `(rows,
inputs)`. That returns the gradient at those values, `(rows, inputs)`.

At kinks and ties PyTorch's choice: 1 at the bounds of clip, as `torch.clamp`; equal shares for all largest or smallest
values of a pool, as `torch.amax`. Kinds that jump have no gradient: embedding, one_hot, bucketize, lookup.
"""

JUMPS: Final = frozenset({"embedding", "one_hot", "bucketize", "lookup", "impute"})
"""The kinds whose values jump where those that they read change by little."""


def _each(inputs: int, **_: object) -> npt.NDArray[np.intp]:
    return np.arange(inputs)


ORIGINS: Final[Mapping[str, Callable[..., npt.NDArray[np.intp]]]] = MappingProxyType(
    {
        "scale_shift": _each,
        "batch_norm": _each,
        "embedding": lambda inputs, *, table: np.repeat(np.arange(inputs), table.shape[1]),
        "one_hot": lambda _, *, indices, **_arguments: indices.astype(np.intp),
        "bucketize": _each,
        "lookup": _each,
        "clip": _each,
        "impute": _each,
        "dropout": _each,
        "take": lambda _, *, indices: indices.astype(np.intp),
    }
)
"""The kinds whose nodes each read one value: from the number of values and the arguments, the index of that value of
each node, `(outputs,)`."""

COSTS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "scale_shift": (15, 0),
        "batch_norm": (60, 0),
        "layer_norm": (40, 0),
        "embedding": (160, 20),
        "one_hot": (0, 20),
        "bucketize": (200, 0),
        "lookup": (250, 0),
        "clip": (20, 0),
        "impute": (20, 0),
        "dropout": (4, 0),
        "take": (0, 10),
        "pool": (0, 20),
        "matmul": (10, 0),
        "elementwise": (10, 0),
        "group_softmax": (60, 0),
        "group_sparsemax": (600, 0),
        "conv": (0, 4),
        "recurrent": (4, 4),
    }
)
"""What a layer of each kind but dense costs for a value that it reads, and for one that it returns,
in floating-point operations (`costs.py`)."""

WORK: Final[Mapping[str, Callable[..., int]]] = MappingProxyType(
    {
        "pool": lambda outputs, *, windows, reduce: costs.WINDOW * int(windows.size),
        "matmul": lambda outputs, *, groups, rows, inner, columns: (
            groups * (costs.PRODUCT + costs.MULTIPLICATION * rows * inner * columns)
        ),
        "elementwise": lambda outputs, *, formula, parts: outputs * formula.flops,
        "conv": lambda outputs, *, weights, **_: costs.SHARED_WEIGHT * outputs * weights.shape[1],
        "recurrent": lambda outputs, **arguments: recurrent_flops(**arguments),
    }
)
"""What a layer costs besides, from the number of its nodes and its arguments, where these say more than its widths."""

CALLS: Final[Mapping[str, Callable[..., int]]] = MappingProxyType(
    {"recurrent": lambda *, steps, **_: NUMPY_CALLS * steps}
)
"""The calls of numpy of one forward pass, about, from the arguments of a layer; few of a kind that is not here."""
