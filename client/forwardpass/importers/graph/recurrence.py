"""Recurrent cells over the steps of a sequence, for every front end.

A front end brings the weights into ONNX's order of gates by `ordered`, and calls `recur`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, get_args

import numpy as np

from forwardpass.importers.graph.builder import GraphBuilder
from forwardpass.importers.graph.tensor_ref import TensorRef
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.layers import CellActivation
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.spec.recurrence import GATES, STATES
from forwardpass.tensors import Array

FUNCTIONS: Final[tuple[str, ...]] = get_args(CellActivation)
"""The activations that a cell may have."""

_ORDERS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "onnx": {"rnn": "h", "gru": "zrh", "lstm": "iofc"},
        "keras": {"rnn": "h", "gru": "zrh", "lstm": "ifco"},
        "pytorch": {"rnn": "h", "gru": "rzh", "lstm": "ifco"},
    }
)
"""The order of the gates of each cell, by framework: the letters are those of ONNX's documentation."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cell:
    """A recurrent cell; its arrays have the gates in ONNX's order.

    Attributes:
        kind: `rnn`, `gru` or `lstm`.
        weights: `(gates x units, features)`.
        recurrent_weights: `(gates x units, units)`.
        bias: `(gates x units,)`, or None.
        recurrent_bias: `(gates x units,)`, or None.
        gate_activation: The function of the gates.
        state_activation: The function of the new state.
        reset: Whether the reset gate of a GRU multiplies the product with the state, `after`, or the state, `before`.
    """

    kind: str
    weights: Array
    recurrent_weights: Array
    bias: Array | None = None
    recurrent_bias: Array | None = None
    gate_activation: str = "sigmoid"
    state_activation: str = "tanh"
    reset: str = "after"

    @property
    def units(self) -> int:
        """The width of a state."""
        return int(self.recurrent_weights.shape[1])

    @property
    def states(self) -> int:
        """The number of states."""
        return STATES[self.kind]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Run:
    """The states of a cell.

    Attributes:
        hidden: The hidden states in the order in which the steps were read, `(steps, units)`.
        final: The states after the last step, each `(units,)`.
    """

    hidden: TensorRef
    final: tuple[TensorRef, ...]


def ordered(kind: str, array: Array, framework: str) -> Array:
    """Return an array whose first axis has the gates of a cell, in ONNX's order instead of a framework's."""
    theirs, ours = _ORDERS[framework][kind], _ORDERS["onnx"][kind]
    parts = np.split(array, len(theirs))
    return np.concatenate([parts[theirs.index(gate)] for gate in ours])


def recur(
    graph: GraphBuilder,
    hint: str,
    cell: Cell,
    x: TensorRef,
    initial: Sequence[TensorRef] = (),
    *,
    final_cell: bool = False,
) -> Run:
    """Add a recurrent layer.

    Args:
        graph: The builder.
        hint: The preferred name of the layer.
        cell: The cell.
        x: `(steps, features)`, in the order in which the steps are read.
        initial: The initial states, each of `units` elements; none for zeros.
        final_cell: Whether the cell state of an LSTM after the last step is needed.

    Raises:
        UnsupportedError: The arrays do not fit one another, a function is none of a cell, or the layer is too large.
    """
    _check(cell, x, initial)
    steps, units = x.shape[0], cell.units
    final_cell = final_cell and cell.kind == "lstm"
    width = (steps + final_cell) * units
    if width > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(
            f"has {steps:,} steps of {units:,} units; at most {DEFAULT_LIMITS.max_width:,} nodes are allowed"
        )
    arrays = {key: array for key in ("bias", "recurrent_bias") if (array := getattr(cell, key)) is not None}
    document: dict[str, Any] = {
        "kind": "recurrent",
        "cell": cell.kind,
        "steps": steps,
        "weights": cell.weights,
        "recurrent_weights": cell.recurrent_weights,
        **arrays,
        "state_activation": cell.state_activation,
        **({} if cell.kind == "rnn" else {"gate_activation": cell.gate_activation}),
        **({"reset": cell.reset} if cell.kind == "gru" else {}),
        **({"final_cell": True} if final_cell else {}),
    }
    read = graph.concatenate([part.reshape(part.size) for part in (x, *initial)]) if initial else x
    nodes = graph.add_layer(hint, read, width, **document)
    hidden = nodes.with_index(nodes.index[: steps * units].reshape(steps, units))
    last = hidden.with_index(hidden.index[-1])
    return Run(hidden=hidden, final=(last, nodes.with_index(nodes.index[steps * units :])) if final_cell else (last,))


def _check(cell: Cell, x: TensorRef, initial: Sequence[TensorRef]) -> None:
    gates = GATES[cell.kind] * cell.units
    if len(x.shape) != 2 or cell.weights.shape != (gates, x.shape[1]):
        shape = list(cell.weights.shape)
        raise UnsupportedError(f"has weights of shape {shape} and gets rows of shape {list(x.shape)}; steps are needed")
    shapes = [cell.recurrent_weights.shape == (gates, cell.units)]
    shapes += [array is None or array.shape == (gates,) for array in (cell.bias, cell.recurrent_bias)]
    if not all(shapes) or not x.shape[0]:
        raise UnsupportedError(f"has weights that do not fit {cell.units} units")
    if initial and [state.size for state in initial] != [cell.units] * cell.states:
        sizes = [state.size for state in initial]
        raise UnsupportedError(f"gets initial states of {sizes} numbers; {cell.states} of {cell.units} are needed")
    for function in (cell.gate_activation, cell.state_activation):
        if function not in FUNCTIONS:
            raise UnsupportedError(f"has the function {function!r} in its cell; {', '.join(FUNCTIONS)} are read")
