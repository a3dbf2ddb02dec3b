"""Products of tensors: operations of `keras.ops`, and the layers `Dot` and `EinsumDense`."""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef, matmul_letters, multiply_all
from forwardpass.importers.keras.activations import activated
from forwardpass.importers.keras.arithmetic import operands
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, row_axis
from forwardpass.importers.keras.reductions import EPSILON, normalized
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_ELLIPSIS: Final = "..."
_OTHERS: Final = "αβγδεζηθικλμνξοπρστυφχψω"
"""The letters of the axes that an ellipsis stands for; the last letter is the last axis."""

_ROWS: Final = "multiplies rows by other rows, or sums over them; each row is computed by itself"


def _matmul(call: LayerCall) -> TensorRef:
    """Multiply matrices, of which one may be constant; a constant has at most the axes of one row."""
    one, other = operands(call, 2)
    if call.kind == "Dot" and not isinstance(other, TensorRef) and other.ndim > 2:
        raise UnsupportedError(f"multiplies by a constant of {other.ndim} axes; at most 2 are read")
    if isinstance(one, TensorRef) and isinstance(other, TensorRef):
        if len(one.shape) < 2 or call.kind == "Dot":
            raise UnsupportedError(f"{_ROWS}; use Dot or einsum")
    elif isinstance(other, TensorRef) and len(other.shape) < 2:
        raise UnsupportedError(_ROWS)
    words, repeated, result = matmul_letters(one.shape, other.shape)
    parts: list[tuple[str, TensorRef | Array]] = []
    for part, word, axes in zip((one, other), words, repeated, strict=True):
        left = "".join(letter for axis, letter in enumerate(word) if axis not in axes)
        if isinstance(part, TensorRef):
            parts.append((left, part.with_index(part.index.squeeze(tuple(axes)))))
        else:
            parts.append((left, part.squeeze(tuple(axes))))
    return multiply_all(call.graph, parts, result)


def _einsum(call: LayerCall) -> TensorRef:
    return einsum(call, call.text("subscripts", ""), list(call.arguments))


def einsum(call: LayerCall, equation: str, given: Sequence[TensorRef | Array]) -> TensorRef:
    """Multiply operands as an equation names their axes; the first axis of each tensor is that of the rows.

    Raises:
        UnsupportedError: The equation does not fit, or mixes rows.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(given) or not all(isinstance(part, TensorRef | np.ndarray) for part in given):
        raise UnsupportedError(f"has the equation {equation!r} and {len(given)} operands")
    ranks = [len(part.shape) + isinstance(part, TensorRef) for part in given]
    spread = [
        _OTHERS[len(_OTHERS) - max(rank - len(word) + len(_ELLIPSIS), 0) :] if _ELLIPSIS in word else ""
        for word, rank in zip(words, ranks, strict=True)
    ]
    known = [word.replace(_ELLIPSIS, others) for word, others in zip(words, spread, strict=True)]
    counts = Counter(letter for word in known for letter in word)
    alone = "".join(sorted(letter for letter, count in counts.items() if count == 1 and letter in string.ascii_letters))
    others = max(spread, key=len)
    result = right.replace(_ELLIPSIS, others) if arrow else others + alone
    if [len(word) for word in known] != ranks or len(set(result)) < len(result) or not set(result) <= set(counts):
        raise UnsupportedError(f"has the equation {equation!r} for operands of {ranks} axes")
    rows = {word[0] for word, part in zip(known, given, strict=True) if isinstance(part, TensorRef)}
    row = "".join(rows)
    fixed = [word for word, part in zip(known, given, strict=True) if not isinstance(part, TensorRef)]
    if (
        len(row) != 1
        or not result.startswith(row)
        or any(row in word for word in fixed)
        or counts[row] != len(known) - len(fixed)
    ):
        raise UnsupportedError(_ROWS)
    parts = [(word[1:] if isinstance(part, TensorRef) else word, part) for word, part in zip(known, given, strict=True)]
    return multiply_all(call.graph, parts, result[1:])


def _tensordot(call: LayerCall) -> TensorRef:
    one, other = operands(call, 2)
    axes = call.config.get("axes")
    if not isinstance(one, TensorRef) or isinstance(other, TensorRef):
        raise UnsupportedError(f"{_ROWS}; use Dot or einsum")
    rank, letters = len(one.shape) + 1, string.ascii_letters
    if type(axes) is int and 0 <= axes <= min(rank, other.ndim):
        axes = [list(range(rank - axes, rank)), list(range(axes))]
    pairs = [axis if isinstance(axis, list) else [axis] for axis in axes] if isinstance(axes, list) else []
    if len(pairs) != 2 or len(pairs[0]) != len(pairs[1]):
        raise UnsupportedError(f"has axes={call.config.get('axes')!r}")
    word, second = letters[: len(one.shape)], list(letters[rank : rank + other.ndim])
    for mine, its in zip(*pairs, strict=True):
        second[its] = word[row_axis(mine, len(one.shape))]
    result = "".join(letter for letter in (*word, *second) if (letter in word) != (letter in second))
    return multiply_all(call.graph, [(word, one), ("".join(second), other)], result)


def _dot(call: LayerCall) -> TensorRef:
    """Multiply two tensors, and sum over an axis of each."""
    several = call.inputs
    if len(several) != 2:
        raise UnsupportedError(f"is given {len(several)} tensors; two are needed")
    one, other = several
    first, second = (row_axis(axis, len(x.shape)) for axis, x in zip(call.integers("axes", 2), several, strict=True))
    if call.boolean("normalize", False):
        one, other = normalized(call, one, [first], 2.0, EPSILON), normalized(call, other, [second], 2.0, EPSILON)
    letters = string.ascii_letters
    word = letters[: len(one.shape)]
    its = list(letters[len(word) : len(word) + len(other.shape)])
    its[second] = word[first]
    result = "".join(letter for letter in (*word, *its) if letter != word[first])
    done = multiply_all(call.graph, [(word, one), ("".join(its), other)], result)
    return done if done.shape else done.reshape(1)


def _einsum_dense(call: LayerCall) -> TensorRef:
    """Multiply by a kernel as an equation names the axes, and add a bias of the last axes."""
    call.require("quantization_config", None, "has rounded weights; save the model before it is quantized")
    call.require("lora_rank", None, "has weights of LoRA; merge them, and save the model again")
    kernel, *bias = call.variables()
    done = einsum(call, call.text("equation", ""), [call.input, kernel])
    if bias:
        if np.broadcast_shapes(bias[0].shape, done.shape) != done.shape:
            raise UnsupportedError(f"has a bias of shape {list(bias[0].shape)} for values of {list(done.shape)}")
        with call.graph.suffixed("bias"):
            done = call.graph.scale_shift(done, None, bias[0])
    return activated(call, done, call.config.get("activation"))


PRODUCTS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {"Dot": _matmul, "Matmul": _matmul, "Einsum": _einsum, "Tensordot": _tensordot}
)
"""Operations by class name."""

MULTIPLYING: Final[Mapping[str, LayerReader]] = MappingProxyType({"Dot": _dot, "EinsumDense": _einsum_dense})
"""Layers by class name."""
