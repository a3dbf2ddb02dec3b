"""Einstein summation: operands one after another, each as a product of matrices."""

import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final

import numpy as np

from forwardpass.importers.onnx.linear import product
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result
from forwardpass.importers.onnx.reductions import reduced
from forwardpass.importers.onnx.reshaping import transposed
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError

_ELLIPSIS: Final = "..."
_OTHERS: Final = "αβγδεζηθικλμνξοπρστυφχψω"
"""The letters of the axes that an ellipsis stands for; the last letter is the last axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Operand:
    """A value with a letter for each axis; a tensor has no axis of the rows, but one of size 1 with their letter."""

    letters: str
    value: Constant | GraphTensor

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.letters, self.value.shape, strict=True))


def _einsum(node: NodeContext) -> Result:
    values = [node.value(place) for place in range(len(node.inputs))]
    words, result = _letters(node.attributes["equation"].decode(), [len(value.shape) for value in values])
    rows = {
        word[value.row_axis]
        for word, value in zip(words, values, strict=True)
        if isinstance(value, GraphTensor) and value.row_axis is not None
    }
    if len(rows) > 1 or rows - set(result):
        raise UnsupportedError(
            "multiplies rows with other rows, or sums over them; a network computes each row by itself"
        )
    if any(word.count(letter) > 1 for letter in rows for word in words):
        raise UnsupportedError("takes a diagonal of the rows; a network computes each row by itself")
    operands = [_Operand(letters=word, value=_of_one_row(value)) for word, value in zip(words, values, strict=True)]
    whole = _alone(node, operands[0], set(result).union(*words[1:]))
    for place, other in enumerate(operands[1:], start=2):
        keep = set(result).union(*words[place:])
        whole = _joined(node, whole, _alone(node, other, keep | set(whole.letters)), keep)
    done = transposed(node, _alone(node, whole, set(result)).value, [whole.letters.index(letter) for letter in result])
    if not isinstance(done, GraphTensor):
        raise UnsupportedError("has constants alone to compute; let the exporter fold them, or onnx-simplifier")
    return replace(done, row_axis=result.index(rows.pop()) if rows else None)


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return a letter for each axis of the operands and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(ranks):
        raise UnsupportedError(f"has the equation {equation!r} and {len(ranks)} operands")
    unnamed = [
        _OTHERS[len(_OTHERS) - (rank - len(word) + len(_ELLIPSIS)) :]
        if _ELLIPSIS in word and rank >= len(word) - 2
        else ""
        for word, rank in zip(words, ranks, strict=True)
    ]
    others = max(unnamed, key=len)
    known = [word.replace(_ELLIPSIS, axes) for word, axes in zip(words, unnamed, strict=True)]
    counts = Counter(letter for word in known for letter in word)
    alone = "".join(sorted(letter for letter, count in counts.items() if count == 1 and letter in string.ascii_letters))
    result = right.replace(_ELLIPSIS, others) if arrow else others + alone
    if any(len(word) != rank for word, rank in zip(known, ranks, strict=True)):
        raise UnsupportedError(f"has the equation {equation!r} for operands of {list(ranks)} axes")
    if len(set(result)) < len(result) or not set(result) <= set(counts):
        raise UnsupportedError(f"has the equation {equation!r}, whose result is invalid")
    return known, result


def _of_one_row(value: Constant | GraphTensor) -> Constant | GraphTensor:
    return replace(value, row_axis=None) if isinstance(value, GraphTensor) else value


def _alone(node: NodeContext, operand: _Operand, keep: set[str]) -> _Operand:
    """Take the diagonal of repeated letters, and sum over those that nothing else has."""
    letters, value = operand.letters, operand.value
    for letter in sorted(set(letters)):
        while letters.count(letter) > 1:
            first, second = letters.index(letter), letters.rindex(letter)
            if value.shape[first] != value.shape[second]:
                raise UnsupportedError(f"takes the diagonal of axes of {value.shape[first]} and {value.shape[second]}")
            value = _diagonal(value, first, second)
            letters = "".join(each for place, each in enumerate(letters) if place not in {first, second}) + letter
    axes = [place for place, letter in enumerate(letters) if letter not in keep]
    if axes and isinstance(value, GraphTensor):
        value = reduced(node, value, axes, "sum", keep=False)
    elif axes and isinstance(value, Constant):
        value = Constant(array=value.array.sum(axis=tuple(axes), dtype=value.array.dtype))
    return _Operand(letters="".join(letter for letter in letters if letter in keep), value=value)


def _diagonal(value: Constant | GraphTensor, first: int, second: int) -> Constant | GraphTensor:
    if isinstance(value, Constant):
        return Constant(array=np.diagonal(value.array, axis1=first, axis2=second))
    return replace(value, index=np.diagonal(value.index, axis1=first, axis2=second))


def _joined(node: NodeContext, left: _Operand, right: _Operand, keep: set[str]) -> _Operand:
    """Multiply two operands as matrices, a pair for each place of the axes that both have and that stay."""
    sizes = left.sizes
    for letter, size in right.sizes.items():
        if sizes.setdefault(letter, size) != size:
            raise UnsupportedError(f"multiplies axes of the lengths {sizes[letter]} and {size}")
    shared = [letter for letter in left.letters if letter in right.letters]
    batch = [letter for letter in shared if letter in keep]
    inner = [letter for letter in shared if letter not in keep]
    rows = [letter for letter in left.letters if letter not in shared]
    columns = [letter for letter in right.letters if letter not in shared]
    counts = {name: prod(sizes[letter] for letter in letters) for name, letters in (("b", batch), ("i", inner))}
    one = _matrices(node, left, batch + rows + inner, (counts["b"], -1, counts["i"]))
    other = _matrices(node, right, batch + inner + columns, (counts["b"], counts["i"], -1))
    done = product(node, one, other)
    letters = batch + rows + columns
    return _Operand(letters="".join(letters), value=_shaped(done, [sizes[letter] for letter in letters]))


def _matrices(
    node: NodeContext, operand: _Operand, order: Sequence[str], shape: Sequence[int]
) -> Constant | GraphTensor:
    turned = transposed(node, operand.value, [operand.letters.index(letter) for letter in order])
    return _shaped(turned, shape)


def _shaped(value: Constant | GraphTensor, shape: Sequence[int]) -> Constant | GraphTensor:
    if isinstance(value, Constant):
        return Constant(array=value.array.reshape(shape))
    return replace(value, index=value.index.reshape(shape))


EINSUM: Final[dict[str, NodeReader]] = {"Einsum": _einsum}
"""The reader of Einstein summation."""
