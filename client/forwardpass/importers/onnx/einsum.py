"""Einstein summation: the letters of an equation."""

import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

from forwardpass.importers.onnx.linear import labelled
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result
from forwardpass.importers.unsupported import UnsupportedError

_ELLIPSIS: Final = "..."
_OTHERS: Final = "αβγδεζηθικλμνξοπρστυφχψω"
"""The letters of the axes that an ellipsis stands for; the last letter is the last axis."""


def _einsum(node: NodeContext) -> Result:
    values = [node.value(place) for place in range(len(node.inputs))]
    words, result = _letters(node.attributes["equation"].decode(), [len(value.shape) for value in values])
    return labelled(node, list(zip(words, values, strict=True)), result)


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


EINSUM: Final[dict[str, NodeReader]] = {"Einsum": _einsum}
"""The reader of Einstein summation."""
