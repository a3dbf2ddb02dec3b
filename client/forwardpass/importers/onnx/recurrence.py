"""The operators RNN, GRU and LSTM over a fixed number of steps, in any direction and layout.

Formulas: https://onnx.ai/onnx/operators/onnx__LSTM.html and its kin. The rows are the operator's axis of batches.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.graph.recurrence import Cell, Run, recur
from forwardpass.importers.onnx.constant_folding import numbers_of
from forwardpass.importers.onnx.node_context import NodeContext, NodeReader, Result
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.recurrence import GATES, STATES
from forwardpass.tensors import Array

_DIRECTIONS: Final[Mapping[str, tuple[bool, ...]]] = MappingProxyType(
    {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
)
"""Whether each direction reads the steps backwards."""

_DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"rnn": ("Tanh",), "gru": ("Sigmoid", "Tanh"), "lstm": ("Sigmoid", "Tanh", "Tanh")}
)
_FUNCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "softsign": "softsign"}
)
_PARAMETERS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"hardsigmoid": (0.2, 0.5), "affine": (1.0, 0.0)}
)
"""The defaults of alpha and beta of the functions that have them."""

_SIXTH: Final = np.float32(1 / 6)


def _recurrent(node: NodeContext) -> Result:
    kind = node.op.lower()
    x, time_axis = node.float_tensor(0), 1 if node.integer("layout", 0) else 0
    if len(x.shape) != 3 or x.row_axis not in {None, 1 - time_axis}:
        raise UnsupportedError(
            "goes along the axis of the rows, each of which a network computes by itself; the axis of batches must be "
            "that of the rows"
        )
    _check_plain(node, kind, x.shape[time_axis])
    backwards = _DIRECTIONS.get(node.attributes.get("direction", b"forward").decode())
    if backwards is None:
        raise UnsupportedError(f"has the direction {node.attributes['direction']!r}")
    functions = _functions(node, kind, len(backwards))
    values = node.graph.plain(x)
    values = values if time_axis == 0 else values.with_index(values.index.swapaxes(0, 1))
    weights, own = node.constant(1), node.constant(2)
    bias = node.constant(3) if node.has(3) else None
    node.graph.budget.check_weights(len(backwards) * values.shape[1], weights[0].size + own[0].size)
    initial = [_initial(node, place, time_axis, x) for place in (5, 6)[: STATES[kind]]]
    runs: list[list[Run]] = []
    for place, is_backwards in enumerate(backwards):
        cell = _cell(node, kind, weights[place], own[place], None if bias is None else bias[place], functions[place])
        needs_cell = kind == "lstm" and len(node.used) > 2 and node.used[2]
        runs.append([])
        for batch in range(values.shape[1]):  # one, but where the tensor is all of one row
            read = values.take(batch, 1)
            read = read.with_index(read.index[::-1]) if is_backwards else read
            states = _states(node, initial, (place, batch), cell.units, x.kind)
            run = recur(node.graph, node.hint, cell, read, states, final_cell=needs_cell)
            hidden = run.hidden.with_index(run.hidden.index[::-1]) if is_backwards else run.hidden
            runs[-1].append(Run(hidden=hidden, final=run.final))
    return _outputs(node, runs, time_axis, x)


def _check_plain(node: NodeContext, kind: str, steps: int) -> None:
    """Reject attributes and inputs that change the recurrence."""
    if node.number("clip", 0.0):
        raise UnsupportedError("has the attribute clip, which no cell of a layer has; export it without")
    if node.integer("input_forget", 0):
        raise UnsupportedError("has the attribute input_forget, which couples gates; export it without")
    if kind == "lstm" and node.has(7):
        raise UnsupportedError("has peepholes, weights from the cell state to the gates, which no cell of a layer has")
    if node.has(4):
        lengths = node.constant(4).ravel()
        if (lengths != steps).any():
            raise UnsupportedError(
                f"has sequences of the lengths {lengths.tolist()[:8]}; sequences of all {steps} steps are read"
            )


def _functions(node: NodeContext, kind: str, directions: int) -> list[tuple[str, ...]]:
    """Return the functions of the cell in each direction: of the gates, and of the new state."""
    count = len(_DEFAULTS[kind])
    names = [name.decode() for name in node.attributes.get("activations", [])] or [
        *_DEFAULTS[kind] * directions,
    ]
    if len(names) != count * directions:
        raise UnsupportedError(f"has {len(names)} activations; {count * directions} are needed")
    # The lists skip functions without parameters.
    alphas, betas = (iter(node.attributes.get(f"activation_{word}", [])) for word in ("alpha", "beta"))
    known: list[str] = []
    for name in map(str.lower, names):
        defaults = _PARAMETERS.get(name)
        given = None if defaults is None else (next(alphas, defaults[0]), next(betas, defaults[1]))
        known.append(_function(name, given))
    parts = [tuple(known[start : start + count]) for start in range(0, len(known), count)]
    if any(len(part) == 3 and part[1] != part[2] for part in parts):
        raise UnsupportedError("has two functions for its cell state; one function for both is read")
    return parts


def _function(name: str, parameters: tuple[float, float] | None) -> str:
    """Return a function of a cell, given alpha and beta where it has them."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name == "hardsigmoid" and parameters is not None:
        alpha, beta = parameters
        if abs(np.float32(alpha) - _SIXTH) < 1e-7 and beta == 0.5:
            return "hard_sigmoid"
    if name == "affine" and parameters == (1.0, 0.0):
        return "identity"
    raise UnsupportedError(
        f"has the activation {name!r} in its cell; {', '.join(_FUNCTIONS)}, hardsigmoid of 1/6 and 0.5, "
        "and affine of 1 and 0 are read"
    )


def _cell(
    node: NodeContext, kind: str, weights: Array, own: Array, bias: Array | None, functions: tuple[str, ...]
) -> Cell:
    if weights.ndim != 2 or own.ndim != 2:
        raise UnsupportedError(f"has weights of shape {list(weights.shape)} for each direction")
    half = GATES[kind] * own.shape[1]
    if bias is not None and bias.shape != (2 * half,):
        raise UnsupportedError(f"has a bias of shape {list(bias.shape)}; {2 * half} numbers are needed")
    return Cell(
        kind=kind,
        weights=weights,
        recurrent_weights=own,
        bias=None if bias is None else bias[:half],
        recurrent_bias=None if bias is None else bias[half:],
        gate_activation=functions[0] if kind != "rnn" else "sigmoid",
        state_activation=functions[-1],
        reset="after" if node.integer("linear_before_reset", 0) else "before",
    )


def _initial(node: NodeContext, place: int, time_axis: int, x: GraphTensor) -> TensorRef | None:
    """Return an initial state, `(directions, batches, units)`; None for zeros."""
    if not node.has(place):
        return None
    state, rows = node.value(place), 0 if time_axis else 1
    if len(state.shape) != 3:
        raise UnsupportedError(f"has an initial state of shape {list(state.shape)}")
    if isinstance(state, Constant):
        numbers = numbers_of(state)
        if not numbers.any():
            return None
        if x.row_axis is not None:
            first = numbers.take([0], rows)
            if (numbers != first).any():
                raise UnsupportedError("has another initial state for each row; a network computes each row alike")
            numbers = first
        found: TensorRef = node.graph.nodes_of_constants(numbers, None, x.kind)
    else:
        if state.row_axis not in {None, rows} or (state.row_axis is None) != (x.row_axis is None):
            raise UnsupportedError(f"has an initial state of shape {list(state.shape)}, whose rows are another axis")
        found = node.graph.plain(state)
    return found.with_index(found.index.swapaxes(0, 1)) if time_axis else found


def _states(
    node: NodeContext, initial: Sequence[TensorRef | None], at: tuple[int, int], units: int, kind: str
) -> list[TensorRef]:
    """Return the initial states of a direction and batch, with zeros for one of two that is not given."""
    if all(state is None for state in initial):
        return []
    zeros: TensorRef = node.graph.nodes_of_constants(np.zeros(units), None, kind)
    return [zeros if state is None else state.with_index(state.index[at]) for state in initial]


def _outputs(node: NodeContext, runs: Sequence[Sequence[Run]], time_axis: int, x: GraphTensor) -> Result:
    """Return Y, Y_h and perhaps Y_c, in the operator's layout."""
    graph, has_rows = node.graph, x.row_axis is not None
    # Its axes are directions, batches, steps and units.
    sequence = graph.stack([graph.stack([run.hidden for run in batches], axis=0) for batches in runs], axis=0)
    order = (1, 2, 0, 3) if time_axis else (2, 0, 1, 3)
    whole = sequence.with_index(sequence.index.transpose(order))
    found: list[GraphTensor | None] = [graph.tensor(whole, order.index(1) if has_rows else None, x.kind)]
    for place in range(len(runs[0][0].final)):
        state = graph.stack([graph.stack([run.final[place] for run in batches], axis=0) for batches in runs], axis=0)
        state = state.with_index(state.index.swapaxes(0, 1)) if time_axis else state
        found.append(graph.tensor(state, (0 if time_axis else 1) if has_rows else None, x.kind))
    found += [None] * (len(node.makes) - len(found))
    return tuple(found[: len(node.makes)])


RECURRENCE: Final[Mapping[str, NodeReader]] = MappingProxyType(dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent))
"""The reader of each recurrent operator."""
