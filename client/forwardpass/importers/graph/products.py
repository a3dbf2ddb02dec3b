"""Products of tensors: sums over the axes that two operands share, as `numpy.einsum` names them; and attention."""

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.reductions import reduce_axes
from forwardpass.importers.graph.tensor_ref import TensorRef
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

MASKED: Final = -1e30
"""Added to the score of a masked place: softmax makes 0 of it in float32 too."""


def einsum(
    graph: LayerOperations,
    one: tuple[str, TensorRef],
    other: tuple[str, TensorRef | Array],
    result: str,
) -> TensorRef:
    """Multiply two tensors and sum over the axes that the result lacks.

    Args:
        graph: The builder.
        one: A letter for each axis, and a tensor that is computed.
        other: The same of the second operand, which is computed or constant.
        result: The letters of the result, which are letters of the operands.
    """
    left_letters, left = _summed_tensor(graph, *one, keep=set(other[0]) | set(result))
    right_letters, right = _summed(graph, *other, keep=set(left_letters) | set(result))
    sizes = dict(zip(left_letters, left.shape, strict=True))
    for letter, size in zip(right_letters, right.shape, strict=True):
        if sizes.setdefault(letter, size) != size:
            raise UnsupportedError(f"multiplies axes of the lengths {sizes[letter]} and {size}")
    shared = [letter for letter in left_letters if letter in right_letters]
    batch = [letter for letter in shared if letter in result]
    inner = [letter for letter in shared if letter not in result]
    rows = [letter for letter in left_letters if letter not in shared]
    columns = [letter for letter in right_letters if letter not in shared]
    left = left.with_index(_ordered(left.index, left_letters, batch + rows + inner))
    shape = [sizes[letter] for letter in batch + rows + columns]
    if prod(shape) > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(
            f"makes {prod(shape):,} elements for each row; at most {DEFAULT_LIMITS.max_width:,} are allowed"
        )
    counts = [prod(sizes[letter] for letter in letters) for letters in (batch, rows, inner, columns)]
    if isinstance(right, TensorRef):
        right = right.with_index(_ordered(right.index, right_letters, batch + inner + columns))
        whole = _computed(graph, left, right, counts)
    else:
        whole = _constant(graph, left, _ordered(right, right_letters, batch + inner + columns), counts)
    whole = whole.reshape(*shape)
    return whole.with_index(_ordered(whole.index, "".join(batch + rows + columns), list(result)))


def multiply_all(graph: LayerOperations, operands: Sequence[tuple[str, TensorRef | Array]], result: str) -> TensorRef:
    """Multiply any number of labelled operands, of which one is computed at least, and sum as `einsum` does."""
    computed = [(letters, part) for letters, part in operands if isinstance(part, TensorRef)]
    (letters, tensor), *others = computed
    rest: list[tuple[str, TensorRef | Array]] = [*others]
    rest += [(word, part) for word, part in operands if not isinstance(part, TensorRef)]
    if not rest:
        letters, tensor = _summed_tensor(graph, letters, tensor, keep=set(result))
        return tensor.with_index(_ordered(tensor.index, letters, result))
    for place, (word, other) in enumerate(rest, start=1):
        left = {each for those, _ in rest[place:] for each in those} | set(result)
        between = result if place == len(rest) else "".join(sorted(left & (set(letters) | set(word))))
        tensor, letters = einsum(graph, (letters, tensor), (word, other), between), between
    return tensor


def matmul_letters(one: Sequence[int], other: Sequence[int]) -> tuple[list[str], list[list[int]], str]:
    """Label the axes of two operands of `numpy.matmul`, by their shapes.

    Returns:
        A letter for each axis of each operand, the axes of length 1 of each that are repeated, and the letters of the
        product.
    """
    own = ("mk" if len(one) > 1 else "k"), ("kn" if len(other) > 1 else "k")
    leads = [shape[: max(len(shape) - 2, 0)] for shape in (one, other)]
    letters = _LEADS[: max(map(len, leads))]
    words = [letters[len(letters) - len(lead) :] for lead in leads]
    sizes: dict[str, int] = {}
    for word, lead in zip(words, leads, strict=True):
        for letter, size in zip(word, lead, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size)
    repeated = [
        [axis for axis, (letter, size) in enumerate(zip(word, lead, strict=True)) if size == 1 < sizes[letter]]
        for word, lead in zip(words, leads, strict=True)
    ]
    return (
        [word + each for word, each in zip(words, own, strict=True)],
        repeated,
        letters + "".join(own).replace("k", ""),
    )


_LEADS: Final = "ABCDEFGHIJ"


def _computed(graph: LayerOperations, left: TensorRef, right: TensorRef, counts: Sequence[int]) -> TensorRef:
    groups, rows, inner, columns = counts
    if inner == 1:
        outer = [left.reshape(groups, rows, 1), right.reshape(groups, 1, columns)]
        return graph.merge(outer, "multiply")
    return graph.matmul(left.reshape(groups, rows, inner), right.reshape(groups, inner, columns))


def _constant(graph: LayerOperations, left: TensorRef, right: Array, counts: Sequence[int]) -> TensorRef:
    groups, rows, inner, columns = counts
    weights = right.reshape(groups, inner, columns)
    if groups == 1:
        return graph.dense(left.reshape(rows, inner), weights[0].T, None)
    if inner == columns == 1:
        return graph.scale_shift(left.reshape(groups, rows), weights[:, :, 0], None)
    return graph.grouped_dense(left.reshape(groups, rows, inner), weights)


def _summed(
    graph: LayerOperations, letters: str, operand: TensorRef | Array, keep: set[str]
) -> tuple[str, TensorRef | Array]:
    """Take the diagonal of repeated axes, and sum the axes that nothing else has."""
    if isinstance(operand, TensorRef):
        return _summed_tensor(graph, letters, operand, keep)
    letters, array = _diagonal(letters, operand)
    alone = tuple(place for place, letter in enumerate(letters) if letter not in keep)
    return "".join(letter for letter in letters if letter in keep), array.sum(axis=alone)


def _summed_tensor(graph: LayerOperations, letters: str, x: TensorRef, keep: set[str]) -> tuple[str, TensorRef]:
    letters, index = _diagonal(letters, x.index)
    alone = [place for place, letter in enumerate(letters) if letter not in keep]
    left = "".join(letter for letter in letters if letter in keep)
    x = x.with_index(index)
    return left, reduce_axes(graph, x, alone, "sum") if alone else x


def _diagonal(letters: str, array: Array) -> tuple[str, Array]:
    """Take the diagonal along axes with the same letter, which becomes the last axis."""
    for letter in sorted(set(letters)):
        while letters.count(letter) > 1:
            first, second = letters.index(letter), letters.rindex(letter)
            if array.shape[first] != array.shape[second]:
                raise UnsupportedError(f"takes the diagonal of axes of {array.shape[first]} and {array.shape[second]}")
            array = np.diagonal(array, axis1=first, axis2=second)
            letters = "".join(each for place, each in enumerate(letters) if place not in {first, second}) + letter
    return letters, array


def _ordered(index: Array, letters: str, order: Sequence[str]) -> Array:
    return index.transpose([letters.index(letter) for letter in order])


def attend(
    graph: LayerOperations,
    query: TensorRef,
    key: TensorRef,
    value: TensorRef,
    *,
    scale: float | None = None,
    mask: Array | None = None,
) -> tuple[TensorRef, TensorRef]:
    """Return `softmax(query @ key.T * scale + mask) @ value` and the softmax (Vaswani et al., 2017).

    Args:
        graph: The builder.
        query: `(heads, places, size)`.
        key: `(heads, others, size)`.
        value: `(heads, others, width)`.
        scale: The factor of the scores; `1 / sqrt(size)` when left out.
        mask: Added to the scores, `(places, others)` or `(heads, places, others)`; None for nothing.
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = einsum(graph, ("hqd", query), ("hkd", key), "hqk")
    scores = graph.scale_shift(scores, np.array(factor), None)
    if mask is not None:
        scores = graph.scale_shift(scores, None, np.where(np.isneginf(mask), MASKED, mask))
    weights = graph.softmax(scores, 2, "softmax")
    return einsum(graph, ("hqk", weights), ("hkv", value), "hqv"), weights
