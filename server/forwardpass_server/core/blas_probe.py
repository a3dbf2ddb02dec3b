"""Probe the BLAS for the blockings in which a product's rows have the same bits.

No BLAS documents in which order it adds, so each shape of a layer is tried once, with random numbers, when a network
is compiled.
"""

import functools
import threading
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
from numpy.random import default_rng  # at the start: numpy loads it late, which takes a descriptor

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.batch_invariant import HEIGHTS, SMALL_PRODUCTS, Blocking, matmul

_MAX_LOWEST_HEIGHT: Final = 16
"""The most rows that a lone row may be padded to, where no lower blocks agree with the others."""

_MAX_PROBED_WEIGHTS: Final = 2**19
"""A larger shape is probed as one of between half and all of this many weights. At the lowest height that is more
than the million products up to which OpenBLAS has kernels for "small" matrices."""

_K_BLOCK: Final = 256
"""No deeper than the k-blocks of OpenBLAS itself, so that low and high row blocks add in the same order."""

_MIN_TRANSPOSED_WEIGHTS: Final = 2**14
"""Below this many weights, copying a transposed product back costs more than its higher blocks save."""


_PROBING: Final = threading.Lock()
"""Held while a shape is probed, which takes up to a second and 5 KiB for each input or output."""


@functools.lru_cache(maxsize=4096)
def find_blocking(
    dtype: "np.dtype[Any]", inputs: int, outputs: int, order: Literal["C", "F"] | None = None
) -> Blocking:
    """Find the fastest blocking in which each row of a layer's product has the same bits in every batch.

    Where no height passes, the height is 1: one row at a time is slow, and the same everywhere. Threads probe one after
    the other, so that several networks that are compiled at once take no more memory than one.

    Args:
        dtype: Of rows and weights.
        inputs: The number of values of a row.
        outputs: The number of values of a row of the product.
        order: The memory order of the weights, where they are given in one; else they get the order of the blocking.
    """
    with _PROBING:
        return _probe(dtype, inputs, outputs, order)


@functools.lru_cache(maxsize=4096)  # for those who waited while another thread probed their shape
def _probe(dtype: "np.dtype[Any]", inputs: int, outputs: int, order: Literal["C", "F"] | None) -> Blocking:
    rows, weights = _random_operands(dtype, *_probed_shape(inputs, outputs), order)
    if HEIGHTS[0] * _K_BLOCK * outputs <= SMALL_PRODUCTS and _has_small_kernels(rows, weights):
        # All k-blocks but the last have the same shape, so two are probed for all.
        two_blocks = _random_operands(dtype, _K_BLOCK + inputs % _K_BLOCK, outputs, order)
        for blocking in _invariant_blockings(*two_blocks, Blocking(k_block=_K_BLOCK)):
            if (blocking.heights[0], blocking.heights[-1]) == (HEIGHTS[0], HEIGHTS[-1]):
                return blocking
    found = _invariant_blockings(rows, weights, Blocking())
    highest = max((blocking.heights[-1] for blocking in found), default=1)
    if order != "C" and highest < HEIGHTS[-1] and weights.size >= _MIN_TRANSPOSED_WEIGHTS:
        found += _invariant_blockings(rows, np.asfortranarray(weights), Blocking(transposed=True))
    # The highest blocks are the fastest for many rows; of several, the first has the least to pad.
    return max(found, key=lambda blocking: blocking.heights[-1], default=Blocking())


def has_same_dot(columns: Array) -> bool:
    """Try whether `dot` gives a lone row the bits of `matmul`: both call the same function of the BLAS for it.

    Args:
        columns: Weights, `(inputs, outputs)`, in their memory order.
    """
    row = default_rng(seed=columns.size).standard_normal((1, len(columns))).astype(columns.dtype)
    with np.errstate(all="ignore"):
        return np.array_equal(row.dot(columns), np.matmul(row, columns), equal_nan=True)


def _probed_shape(inputs: int, outputs: int) -> tuple[int, int]:
    """Halve the longer side until probing is quick; its remainder by 64 selects the kernels and stays."""
    while inputs * outputs > _MAX_PROBED_WEIGHTS:
        half = max(inputs, outputs) // 128 * 64 + max(inputs, outputs) % 64
        inputs, outputs = (half, outputs) if inputs >= outputs else (inputs, half)
    return inputs, outputs


def _random_operands(
    dtype: "np.dtype[Any]", inputs: int, outputs: int, order: Literal["C", "F"] | None
) -> tuple[Array, Array]:
    """Make random rows and weights of a shape, the same ones every time."""
    random = default_rng(seed=inputs * 65_537 + outputs)
    weights = random.standard_normal((inputs, outputs)).astype(dtype, order=order or "C", copy=False)
    return random.standard_normal((2 * HEIGHTS[-1], inputs)).astype(dtype, copy=False), weights


def _has_small_kernels(rows: Array, weights: Array) -> bool:
    """Return whether a lone row's block is too large for the kernels for small products, and there are such kernels.

    They add in other k-blocks, so that some of the outputs have other bits when computed without the rest.
    """
    block, products = rows[: HEIGHTS[0]], HEIGHTS[0] * weights.size
    some = weights[:, : SMALL_PRODUCTS // (len(block) * len(weights))]
    return products > SMALL_PRODUCTS and not np.array_equal(block @ some, (block @ weights)[:, : some.shape[1]])


def _invariant_blockings(rows: Array, weights: Array, template: Blocking) -> list[Blocking]:
    """Return, for each height that may be the lowest, the blocking of all heights that give the same bits."""
    single = {height: replace(template, heights=(height,)) for height in HEIGHTS}
    products = {
        height: _invariant_product(rows[: 2 * height], weights, blocking) for height, blocking in single.items()
    }
    return [
        replace(
            template,
            heights=tuple(
                height for height in HEIGHTS if height >= lowest and _is_same(products[lowest], products[height])
            ),
        )
        for lowest in HEIGHTS
        if lowest <= _MAX_LOWEST_HEIGHT and products[lowest] is not None
    ]


def _invariant_product(rows: Array, weights: Array, blocking: Blocking) -> Array | None:
    """Return the first rows of the product of two blocks, as many as are compared with those of other heights.

    None where a row's bits depend on its position or on other rows.
    """
    (height,) = blocking.heights
    expected = matmul(rows, weights, blocking)
    alone = np.zeros_like(rows[:height])
    alone[0] = rows[-1]
    if not np.array_equal(matmul(alone, weights, blocking)[0], expected[-1]):
        return None
    del alone
    for shift in {1, 3, height // 2, height - 1}:
        # One block at a time, since the rows of a wide network are large.
        product = matmul(np.concatenate([rows[-shift:], rows[: height - shift]]), weights, blocking)
        if not np.array_equal(product[:shift], expected[-shift:]):
            return None
        if not np.array_equal(product[shift:], expected[: height - shift]):
            return None
        second = slice(height - shift, 2 * height - shift)
        if not np.array_equal(matmul(rows[second], weights, blocking), expected[second]):
            return None
    return expected[: 2 * _MAX_LOWEST_HEIGHT].copy()


def _is_same(lower: Array | None, higher: Array | None) -> bool:
    return lower is not None and higher is not None and np.array_equal(lower, higher[: len(lower)])
