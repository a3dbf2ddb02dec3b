"""Matrix products whose every row has the same bits, alone or in company.

A BLAS sums in another order for another number of rows, so `(X @ W)[i]` and `X[i:i+1] @ W`
differ in their last bits for most rows, and a prediction would depend on who else asked at
that moment. Here rows are computed in blocks of a few fixed heights, padded with zero rows.
Which heights give a row the same bits, at every place and in every company, depends on the
BLAS kernel that the machine takes for the layer's shape, so it is found by trying that shape.
The promise is for one type of machine and one version of numpy.
"""

import functools
import sys
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from forwardpass_server.core.arrays import Array

CANDIDATES: Final = (4, 8, 16, 32, 64, 128)
_LARGEST_BASE: Final = 16
"""The most rows that a lone row may be padded to, where smaller blocks agree with none."""


_TRIED_WEIGHTS: Final = 2**19
"""A larger shape is tried as one of between half and all of this many weights. At the lowest height
that is more than the million products up to which OpenBLAS has kernels for "small" matrices."""

_SMALL_PRODUCTS: Final = 10**6
"""Up to so many products OpenBLAS has kernels for small matrices, which copy nothing, on machines with AVX-512."""

_DEPTH: Final = 256
"""No deeper than OpenBLAS's own passes, so that small and large blocks add in the same order."""

_TURNED_WEIGHTS: Final = 2**14
"""Below this many weights, copying a turned product back costs more than its taller blocks save."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """How the rows of one layer are computed.

    Attributes:
        heights: Block heights at which a row has the same bits, smallest first; each divides the next.
        turned: Whether a block is computed as `weights.T @ rows.T`. Then rows are lanes of one
            vector instruction, which makes them alike in some BLAS where the other way does not.
        depth: Inputs are multiplied so many at a time, and the products added up in order.
    """

    heights: tuple[int, ...] = (1,)
    turned: bool = False
    depth: int = sys.maxsize


@functools.lru_cache(maxsize=4096)
def find_blocks(dtype: "np.dtype[Any]", inputs: int, outputs: int) -> Blocks:
    """Find the blocks in which a layer's every row has the same bits.

    Where no candidate holds, the height is 1: one row at a time is slow, and the same everywhere.
    """
    rows, weights = _probe(dtype, *_tried_shape(inputs, outputs))
    if CANDIDATES[0] * _DEPTH * outputs <= _SMALL_PRODUCTS and _has_small_kernels(rows, weights):
        # Every pass but the last has the same shape, so that two are tried for all.
        passes = _probe(dtype, _DEPTH + inputs % _DEPTH, outputs)
        for blocks in _families(*passes, Blocks(depth=_DEPTH)):
            if (blocks.heights[0], blocks.heights[-1]) == (CANDIDATES[0], CANDIDATES[-1]):
                return blocks
    found = _families(rows, weights, Blocks())
    highest = max((blocks.heights[-1] for blocks in found), default=1)
    if highest < CANDIDATES[-1] and weights.size >= _TURNED_WEIGHTS:
        found += _families(rows, np.asfortranarray(weights), Blocks(turned=True))
    # What reaches highest is the fastest for many rows; of several, the first has the least to pad.
    return max(found, key=lambda blocks: blocks.heights[-1], default=Blocks())


def fast_blocks(inputs: int, outputs: int) -> Blocks:
    """Return blocks that promise nothing and are computed quickest: small ones where a BLAS has kernels for them."""
    small = inputs * outputs * CANDIDATES[-1] <= _SMALL_PRODUCTS
    return Blocks(heights=(CANDIDATES[-1] if small else sys.maxsize,))


def pad(rows: Array, multiple: int) -> Array:
    """Return rows, shape `(rows, width)`, with zero rows below up to a multiple of a height."""
    missing = -len(rows) % multiple
    if not missing:
        return np.ascontiguousarray(rows)
    padded = np.zeros((len(rows) + missing, rows.shape[1]), dtype=rows.dtype)
    padded[: len(rows)] = rows
    return padded


def matmul(rows: Array, weights: Array, blocks: Blocks, out: Array | None = None) -> Array:
    """Return `rows @ weights`, each row's bits independent of the others.

    Args:
        rows: Shape `(rows, inputs)`, contiguous, the number of rows a multiple of the first height; rows
            beyond the last multiple are computed without a promise.
        weights: Shape `(inputs, outputs)`, contiguous; if turned, its transpose is.
        blocks: From `find_blocks` for this shape, or `fast_blocks`.
        out: Where to put the product, contiguous; None for a new array.
    """
    depth = blocks.depth
    if rows.shape[1] <= depth:
        return _product(rows, weights, blocks, out)
    product = _product(rows[:, :depth], weights[:depth], blocks, out)
    for start in range(depth, rows.shape[1], depth):
        product += _product(rows[:, start : start + depth], weights[start : start + depth], blocks, None)
    return product


def _product(rows: Array, weights: Array, blocks: Blocks, out: Array | None) -> Array:
    count, inputs = rows.shape
    if not blocks.turned and (count in blocks.heights or count < blocks.heights[0]):
        product: Array = np.matmul(rows, weights, out)
        return product
    result = np.empty((count, weights.shape[1]), dtype=rows.dtype) if out is None else out
    start = 0
    for height in reversed(blocks.heights):
        end = start + (count - start) // height * height
        if end > start:
            part = rows[start:end].reshape(-1, height, inputs)
            place = result[start:end].reshape(len(part), height, -1)
            if blocks.turned:
                place[...] = np.matmul(weights.T, part.swapaxes(1, 2)).swapaxes(1, 2)
            else:
                np.matmul(part, weights, out=place)
            start = end
    if start < count:
        np.matmul(rows[start:], weights, out=result[start:])
    return result


def _tried_shape(inputs: int, outputs: int) -> tuple[int, int]:
    """Halve the longer side until trying is quick; what remains of it by 64 picks the kernels and stays."""
    while inputs * outputs > _TRIED_WEIGHTS:
        half = max(inputs, outputs) // 128 * 64 + max(inputs, outputs) % 64
        inputs, outputs = (half, outputs) if inputs >= outputs else (inputs, half)
    return inputs, outputs


def _probe(dtype: "np.dtype[Any]", inputs: int, outputs: int) -> tuple[Array, Array]:
    """Make random rows and weights of a shape, the same ones every time."""
    random = np.random.default_rng(seed=inputs * 65_537 + outputs)
    weights = random.standard_normal((inputs, outputs)).astype(dtype)
    return random.standard_normal((2 * CANDIDATES[-1], inputs)).astype(dtype), weights


def _has_small_kernels(rows: Array, weights: Array) -> bool:
    """Say whether a lone row's block is too large for the kernels for small products, and there are such kernels.

    They add in other passes, so that a few of the outputs have other bits by themselves.
    """
    block, products = rows[: CANDIDATES[0]], CANDIDATES[0] * weights.size
    some = weights[:, : _SMALL_PRODUCTS // (len(block) * len(weights))]
    return products > _SMALL_PRODUCTS and not np.array_equal(block @ some, (block @ weights)[:, : some.shape[1]])


def _families(rows: Array, weights: Array, kind: Blocks) -> list[Blocks]:
    """Return for each height that could be the first those above that give the same bits."""
    tried = {height: replace(kind, heights=(height,)) for height in CANDIDATES}
    bits = {height: _bits(rows[: 2 * height], weights, blocks) for height, blocks in tried.items()}
    return [
        replace(
            kind, heights=tuple(height for height in CANDIDATES if height >= base and _same(bits[base], bits[height]))
        )
        for base in CANDIDATES
        if base <= _LARGEST_BASE and bits[base] is not None
    ]


def _bits(rows: Array, weights: Array, blocks: Blocks) -> Array | None:
    """Return the products of two blocks of rows, or None where they depend on place or company."""
    (height,) = blocks.heights
    expected = matmul(rows, weights, blocks)
    alone = np.zeros_like(rows[:height])
    alone[0] = rows[-1]
    if not np.array_equal(matmul(alone, weights, blocks)[0], expected[-1]):
        return None
    for shift in {1, 3, height // 2, height - 1}:
        moved = matmul(np.roll(rows, shift, axis=0), weights, blocks)
        if not np.array_equal(np.roll(moved, -shift, axis=0), expected):
            return None
    return expected


def _same(base: Array | None, other: Array | None) -> bool:
    return base is not None and other is not None and np.array_equal(base, other[: len(base)])
