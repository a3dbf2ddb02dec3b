"""An ONNX graph while it is written."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class GraphWriter:
    """GraphWriter and initializers in the order in which they are written.

    Attributes:
        dtype: The network's.
        nodes: Each a `NodeProto`.
        initializers: Each a `TensorProto`.
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
        """Begin with what comes next for one layer, by which its tensors are named."""
        self._scope, self._count = scope, 0

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return what that is called.

        Args:
            op: The operator.
            inputs: What it reads.
            output: What its output is called; a new name when left out.
            attributes: Of the operator.
        """
        self._count += 1
        made = output or f"{self._scope}/{self._count}"
        name = f"{self._scope}/{op}_{self._count}"
        self.nodes.append(self._onnx.helper.make_node(op, list(inputs), [made], name=name, **attributes))
        return made

    def call_last(self, name: str) -> None:
        """Give the output of the last node another name; nothing has read it yet."""
        self.nodes[-1].output[0] = name

    def keep(self, name: str, array: NDArray[Any]) -> str:
        """Add an array under a name, and return this."""
        self.initializers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        """Return a single number of the network's dtype; True and False stay what they are."""
        return self._constant(np.array(value, bool if isinstance(value, bool) else self.dtype), "number")

    def sizes(self, numbers: Sequence[int]) -> str:
        """Return whole numbers, as shapes and axes are."""
        return self._constant(np.array(numbers, np.int64), "sizes")

    def cast(self, tensor: str, dtype: str) -> str:
        """Return a tensor of another element type."""
        return self.add("Cast", tensor, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _constant(self, array: NDArray[Any], word: str) -> str:
        key = str(array.dtype), array.tobytes(), str(array.shape)
        if key not in self._constants:
            self._constants[key] = self.keep(f"/{word}_{len(self._constants)}", array)
        return self._constants[key]
