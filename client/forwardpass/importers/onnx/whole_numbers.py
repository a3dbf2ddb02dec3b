"""Whole-number arithmetic in a network of floats, where the dtype holds every number that may come up.

A result that leaves the range of its element type wraps around, as numpy and onnxruntime compute it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph.functions import EXPRESSIONS
from forwardpass.importers.graph.whole_numbers import shifted_origins
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.broadcasting import scaled
from forwardpass.importers.onnx.elementwise import applied
from forwardpass.importers.onnx.faults import Faults
from forwardpass.importers.onnx.graph_builder import OnnxGraphBuilder
from forwardpass.importers.onnx.node_context import NodeContext
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.unsupported import UnsupportedError

WHOLE: Final[Mapping[str, int]] = MappingProxyType(
    {kind: np.iinfo(kind).bits for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}
)
"""The number of bits of each element type of whole numbers."""

_MAX_BITS: Final = 53
"""The bits that float64 holds."""

_BITS: Final[Mapping[str, Callable[[int], int]]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Sub", "Div", "Abs", "Neg"), lambda bits: bits + 1),
        **dict.fromkeys(("Max", "Min", "Mod", "FMod", "Sign", "Relu", "ReduceMax", "ReduceMin"), lambda bits: bits),
        "Mul": lambda bits: 2 * bits,
    }
)
"""The bits that the result of each operator may need before it wraps around, from those of its operands."""

_MAX_SHIFT: Final = 2**31
"""The largest number that is added to a category."""

_WRAPPING: Final = frozenset({"Add", "Sub", "Div", "Abs", "Neg", "Mul", "ReduceSum", "CumSum"})
"""Operators whose result may be out of the range of its element type."""


def check_whole(node: NodeContext, op: str, tensor: GraphTensor, terms: int = 1) -> None:
    """Note the bits that an operator of whole numbers needs; float tensors need none.

    Args:
        node: The node.
        op: The name of the operator.
        tensor: The operand.
        terms: The number of elements that are added up.

    Raises:
        UnsupportedError: No dtype holds every result, or the operator is not one of whole numbers.
    """
    if tensor.kind not in WHOLE:
        return
    if op not in _BITS and op not in _WRAPPING:
        raise UnsupportedError(
            f"computes in {tensor.kind}; networks compute in float32 or float64, cast to one of them"
        )
    known = WHOLE[tensor.kind]
    bits = _BITS[op](known) if op in _BITS else known + math.ceil(math.log2(max(terms, 1)))
    if bits > _MAX_BITS:
        raise UnsupportedError(
            f"computes in {tensor.kind}, whose results may need {bits} bits; float64 holds {_MAX_BITS}, "
            "cast to a smaller type of whole numbers or to a float"
        )
    node.graph.whole_bits = max(node.graph.whole_bits, bits)


def is_shift(op: str, tensor: GraphTensor, array: Array, *, left: bool) -> bool:
    """Return whether a whole number is added to an int64, as models add offsets to the categories that they look up."""
    if tensor.kind != "int64" or op not in {"Add", "Sub"} or (op == "Sub" and left):
        return False
    return bool((np.abs(array.astype(np.float64)) <= _MAX_SHIFT).all())


def shifted(node: NodeContext, tensor: GraphTensor, numbers: Array) -> GraphTensor:
    """Add numbers to categories; `check_shifts` rejects others, of which float64 may not hold the sum."""
    done = scaled(node, tensor, shift=numbers)
    node.graph.shifts.append((node.hint, done))
    return done


def check_shifts(graph: OnnxGraphBuilder, faults: Faults) -> None:
    """Note the bits of each sum of int64, and add a fault where its elements are no inputs that something looks up."""
    for name, tensor in graph.shifts:
        origins = list(shifted_origins(graph, tensor))
        for source, place, shift in origins:
            known: Sequence[float] = graph.values.get((source, place)) or (0,)
            ends = (known[0], known[-1]) if isinstance(known, range) else (min(known), max(known))
            largest = max(abs(int(end) + added) for end in ends for added in (0, shift))
            graph.whole_bits = max(graph.whole_bits, largest.bit_length())
        if not all((source, place) in graph.values for source, place, _ in origins):
            faults.add(
                f"graph ({name})",
                f"adds to int64, whose sums may need 65 bits; float64 holds {_MAX_BITS}, cast to a smaller type of "
                "whole numbers or to a float; only categories that are inputs, and looked up, may be int64",
            )


def wrapped(node: NodeContext, op: str, tensor: GraphTensor) -> GraphTensor:
    """Return the result of an operator in the range of its element type."""
    if tensor.kind not in WHOLE:
        return tensor
    if op == "Div":  # of whole numbers it truncates
        tensor = applied(node, tensor, EXPRESSIONS["trunc"])
    return _in_range(node, tensor) if op in _WRAPPING else tensor


def _in_range(node: NodeContext, tensor: GraphTensor) -> GraphTensor:
    known = np.iinfo(tensor.kind)
    span = float(int(known.max) - int(known.min) + 1)
    if known.min == 0:
        return applied(node, tensor, "mod(x, span)", span=span)
    return applied(node, tensor, "mod(x + half, span) - half", span=span, half=-float(known.min))
