"""Matrix products whose every row has the same bits, alone or in company.

A BLAS sums in another order for another number of rows, so `(X @ W)[i]` and `X[i:i+1] @ W`
differ in their last bits for most rows, and a prediction would depend on who else asked at
that moment. Here rows are computed in blocks of a few fixed heights, padded with zero rows.
Which heights give a row the same bits, at every place and in every company, depends on the
BLAS kernel that the machine takes for the layer's shape, so it is found by trying that shape.
The promise is for one type of machine and one version of numpy.
"""

import functools
from typing import Any, Final

import numpy as np

from forwardpass_server.core.arrays import Array

CANDIDATES: Final = (4, 8, 16, 32, 64, 128)
_LARGEST_BASE: Final = 16
"""The most rows that a lone row may be padded to, where smaller blocks agree with none."""


@functools.lru_cache(maxsize=4096)
def block_heights(dtype: "np.dtype[Any]", inputs: int, outputs: int) -> tuple[int, ...]:
    """Find the block heights at which a layer's every row has the same bits, smallest first.

    Each height divides the next. Where no candidate holds, the answer is `(1,)`: one row at
    a time is slow, and the same everywhere.
    """
    random = np.random.default_rng(seed=inputs * 65_537 + outputs)
    weights = random.standard_normal((inputs, outputs)).astype(dtype)
    rows = random.standard_normal((2 * CANDIDATES[-1], inputs)).astype(dtype)
    bits = {height: _bits(rows[: 2 * height], weights, height) for height in CANDIDATES}
    families = [
        tuple(height for height in CANDIDATES if height >= base and _same(bits[base], bits[height]))
        for base in CANDIDATES
        if base <= _LARGEST_BASE and bits[base] is not None
    ]
    # The family that reaches highest is the fastest for many rows; of two, the one for fewer rows.
    return max(families, key=lambda family: family[-1], default=(1,))


def pad(rows: Array, multiple: int) -> Array:
    """Return rows, shape `(rows, width)`, with zero rows below up to a multiple of a height."""
    missing = -len(rows) % multiple
    if not missing:
        return np.ascontiguousarray(rows)
    padded = np.zeros((len(rows) + missing, rows.shape[1]), dtype=rows.dtype)
    padded[: len(rows)] = rows
    return padded


def matmul(rows: Array, weights: Array, heights: tuple[int, ...]) -> Array:
    """Return `rows @ weights`, each row's bits independent of the others.

    Args:
        rows: Shape `(rows, inputs)`, contiguous, the number of rows a multiple of the first height.
        weights: Shape `(inputs, outputs)`, contiguous.
        heights: From `block_heights` for this shape.
    """
    count, inputs = rows.shape
    result = np.empty((count, weights.shape[1]), dtype=rows.dtype)
    start = 0
    for height in reversed(heights):
        end = start + (count - start) // height * height
        if end > start:
            blocks = rows[start:end].reshape(-1, height, inputs)
            np.matmul(blocks, weights, out=result[start:end].reshape(len(blocks), height, -1))
            start = end
    return result


def _bits(rows: Array, weights: Array, height: int) -> Array | None:
    """Return the products of two blocks of rows, or None where they depend on place or company."""
    expected = matmul(rows, weights, (height,))
    alone = np.zeros_like(rows[:height])
    alone[0] = rows[-1]
    if not np.array_equal(matmul(alone, weights, (height,))[0], expected[-1]):
        return None
    for shift in {1, 3, height // 2, height - 1}:
        moved = matmul(np.roll(rows, shift, axis=0), weights, (height,))
        if not np.array_equal(np.roll(moved, -shift, axis=0), expected):
            return None
    return expected


def _same(base: Array | None, other: Array | None) -> bool:
    return base is not None and other is not None and np.array_equal(base, other[: len(base)])
