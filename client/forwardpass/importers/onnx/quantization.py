"""Quantized weights, which become the numbers that they stand for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result, front
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError

QUANTIZED: Final = "computes in whole numbers; export the model before it is quantized"


def _dequantize_linear(node: NodeContext) -> Result:
    """`(x - zero_point) * scale` of constants, along an axis or for all elements."""
    if isinstance(node.value(0), GraphTensor) or node.integer("block_size", 0):
        raise UnsupportedError(QUANTIZED)
    whole, scale = node.constant(0), node.constant(1)
    zero = node.constant(2) if node.has(2) else np.zeros((), whole.dtype)
    node.graph.budget.claim_constant(whole.size)
    if scale.size > 1:
        shape: list[Any] = [1] * whole.ndim
        shape[front(node.integer("axis", 1), whole.ndim)] = scale.size
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    numbers = (whole.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)
    return Constant(array=numbers.astype(scale.dtype).reshape(whole.shape))


QUANTIZATION: Final[Mapping[str, NodeReader]] = MappingProxyType({"DequantizeLinear": _dequantize_linear})
"""The readers of operators between whole numbers and the numbers that they stand for."""
