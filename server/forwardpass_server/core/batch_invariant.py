"""Matrix products in which no row's bits depend on the batch composition.

A BLAS adds in another order for another number of rows, so `(X @ W)[i]` and `X[i:i+1] @ W` differ in their last
bits for most rows, and a prediction would depend on the other rows of its batch. This module multiplies rows in
blocks of a few fixed heights and pads the last block with zero rows. Which heights give a row the same bits, at
every position and in every batch, depends on the kernel that the BLAS takes for the layer's shape;
`blas_probe.find_blocking` finds out. The promise holds for one type of machine and one version of numpy.
"""

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array

HEIGHTS: Final = (4, 8, 16, 32, 64, 128)
"""The block heights to choose from, in rows; each divides the next."""

SMALL_PRODUCTS: Final = 10**6
"""The multiplications up to which OpenBLAS has kernels for small matrices, which copy nothing, on AVX-512."""

MAX_K_BLOCK_NUMBERS: Final = 2**15
"""The most numbers of the products of all k-blocks that are computed in one call: those of a lone row, not of many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocking:
    """The blocks into which the matrix product of one layer is cut.

    Attributes:
        heights: The block heights, in rows, at which a row has the same bits; ascending, each divides the next.
        transposed: Whether a block is computed as `weights.T @ rows.T`. Rows are then lanes of one vector
            instruction, which treats them alike in some BLAS where the other order does not.
        k_block: How many inputs are multiplied at a time; the products of these k-blocks are added up in order.
    """

    heights: tuple[int, ...] = (1,)
    transposed: bool = False
    k_block: int = sys.maxsize

    def cuts(self, inputs: int) -> bool:
        """Return whether a layer with this number of inputs is multiplied in several k-blocks."""
        return inputs > self.k_block


def fast_blocking(inputs: int, outputs: int) -> Blocking:
    """Return the fastest blocking, without batch invariance: low blocks where a BLAS has kernels for small products."""
    is_small = inputs * outputs * HEIGHTS[-1] <= SMALL_PRODUCTS
    return Blocking(heights=(HEIGHTS[-1] if is_small else sys.maxsize,))


def pad(rows: Array, multiple: int) -> Array:
    """Append zero rows to `rows`, `(rows, width)`, up to a multiple of a height; the result is contiguous."""
    missing = -len(rows) % multiple
    if not missing:
        return np.ascontiguousarray(rows)
    padded = np.zeros((len(rows) + missing, rows.shape[1]), dtype=rows.dtype)
    padded[: len(rows)] = rows
    return padded


def matmul(rows: Array, weights: Array, blocking: Blocking, out: Array | None = None) -> Array:
    """Return `rows @ weights`, `(rows, outputs)`, where no row's bits depend on the other rows.

    Args:
        rows: `(rows, inputs)`, contiguous. The promise covers whole multiples of the lowest height only.
        weights: `(inputs, outputs)`, contiguous; for a transposed blocking its transpose is.
        blocking: From `blas_probe.find_blocking` for this shape, or from `fast_blocking`.
        out: Where to write the product, contiguous; None for a new array.
    """
    k_block = blocking.k_block
    if not blocking.cuts(rows.shape[1]):
        return _multiply_in_row_blocks(rows, weights, blocking, out)
    whole = rows.shape[1] // k_block
    if len(rows) in blocking.heights and whole * len(rows) * weights.shape[1] <= MAX_K_BLOCK_NUMBERS:
        product, done = _multiply_k_blocks(rows, weights, k_block, out), whole * k_block
    else:
        product, done = _multiply_in_row_blocks(rows[:, :k_block], weights[:k_block], blocking, out), k_block
    for start in range(done, rows.shape[1], k_block):
        end = start + k_block
        product += _multiply_in_row_blocks(rows[:, start:end], weights[start:end], blocking, None)
    return product


def _multiply_k_blocks(rows: Array, weights: Array, k_block: int, out: Array | None) -> Array:
    """Return the sum of the products of all whole k-blocks, added up in order; two calls of numpy instead of many."""
    whole = rows.shape[1] // k_block
    parts = rows[:, : whole * k_block].reshape(len(rows), whole, k_block).swapaxes(0, 1)
    products = np.matmul(parts, weights[: whole * k_block].reshape(whole, k_block, -1))
    # From -0, which changes no number, as the first of two -0 is in a sum of one after the other; numpy starts from +0.
    total: Array = np.add.reduce(products, axis=0, out=out, initial=-0.0)
    return total


def _multiply_in_row_blocks(rows: Array, weights: Array, blocking: Blocking, out: Array | None) -> Array:
    count, inputs = rows.shape
    if not blocking.transposed and (count in blocking.heights or count < blocking.heights[0]):
        product: Array = np.matmul(rows, weights, out)
        return product
    result = np.empty((count, weights.shape[1]), dtype=rows.dtype) if out is None else out
    start = 0
    for height in reversed(blocking.heights):
        end = start + (count - start) // height * height
        if end > start:
            blocks = rows[start:end].reshape(-1, height, inputs)
            target = result[start:end].reshape(len(blocks), height, -1)
            if blocking.transposed:
                target[...] = np.matmul(weights.T, blocks.swapaxes(1, 2)).swapaxes(1, 2)
            else:
                np.matmul(blocks, weights, out=target)
            start = end
    if start < count:
        np.matmul(rows[start:], weights, out=result[start:])
    return result
