"""Writes the nodes and initializers of an ONNX graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class GraphWriter:
    """Nodes and initializers in the order in which they are added.

    Attributes:
        dtype: The dtype of the network.
        nodes: The nodes, each a `NodeProto`.
        initializers: The initializers, each a `TensorProto`.
    """

    def __init__(self, onnx: Any, dtype: str) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._onnx = onnx
        self._scope = ""
        self._count = 0
        self._constants: dict[tuple[str, bytes, str], str] = {}

    def enter(self, scope: str) -> None:
        """Start a layer, after which the next tensors are named."""
        self._scope, self._count = scope, 0

    def add(self, op: str, *inputs: str, output: str = "", unread: int = 0, **attributes: Any) -> str:
        """Add a node, and return the name of its output.

        Args:
            op: The operator.
            inputs: The names of its inputs.
            output: The name of its output; a new name when left out.
            unread: The number of further outputs, which no node reads.
            attributes: The attributes of the operator.
        """
        self._count += 1
        made = output or f"{self._scope}/{self._count}"
        name = f"{self._scope}/{op}_{self._count}"
        outputs = [made, *(f"{made}/unread_{place}" for place in range(unread))]
        self.nodes.append(self._onnx.helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return made

    def call_last(self, name: str) -> None:
        """Rename the output of the last node, which no node has read yet."""
        self.nodes[-1].output[0] = name

    def keep(self, name: str, array: NDArray[Any]) -> str:
        """Add an array as an initializer, and return its name."""
        self.initializers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        """Return a constant of the network's dtype, or a boolean constant."""
        return self._constant(np.array(value, bool if isinstance(value, bool) else self.dtype), "number")

    def numbers(self, values: NDArray[Any]) -> str:
        """Return a constant array of the network's dtype."""
        return self._constant(np.asarray(values, self.dtype), "numbers")

    def sizes(self, numbers: Sequence[int]) -> str:
        """Return a constant of integers, such as a shape or axes."""
        return self._constant(np.array(numbers, np.int64), "sizes")

    def indices(self, numbers: NDArray[Any]) -> str:
        """Return a constant of indices of any shape."""
        return self._constant(np.asarray(numbers, np.int64), "indices")

    def cast(self, tensor: str, dtype: str) -> str:
        """Return a tensor of another element type."""
        return self.add("Cast", tensor, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _constant(self, array: NDArray[Any], word: str) -> str:
        key = str(array.dtype), array.tobytes(), str(array.shape)
        if key not in self._constants:
            self._constants[key] = self.keep(f"/{word}_{len(self._constants)}", array)
        return self._constants[key]
