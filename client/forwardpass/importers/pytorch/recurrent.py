"""Recurrent modules and cells: `torch.nn.RNN`, `GRU`, `LSTM`, of several layers, in both directions, and projected.

Formulas: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and its kin.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.graph.recurrence import Cell, Run, ordered, recur
from forwardpass.importers.pytorch.constants import array_of, one_row
from forwardpass.importers.pytorch.rows_axis import arranged, plain, whole
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def recurrent(
    graph: LayerOperations,
    x: TensorRef,
    hx: Any,
    params: Sequence[Any],
    has_biases: Any,
    num_layers: int,
    dropout: float,
    train: Any,
    bidirectional: Any,
    batch_first: Any,
    *,
    kind: str,
    function: str = "tanh",
) -> tuple[TensorRef, ...]:
    """Compute the output, `(steps, directions x units)`, and the final states of each layer and direction.

    The arguments are those of `aten.lstm` and its kin.
    """
    del dropout
    if train:
        raise UnsupportedError("is in training; call `.eval()` before")
    rows = whole(x)
    if rows.rank != 3 or rows.rows != (0 if batch_first else 1) or rows.before * rows.after > 1:
        raise UnsupportedError(
            "goes along the axis of the rows, which are apart from each other; "
            "give it rows of steps with batch_first=True, or steps of rows without"
        )
    values = plain(x)
    directions = 2 if bidirectional else 1
    count = len(params) // (num_layers * directions)
    number = 2 if kind == "lstm" else 1
    states = [_states(graph, state, values) for state in (hx if isinstance(hx, tuple | list) else [hx])]
    finals: list[tuple[TensorRef, ...]] = []
    for layer in range(num_layers):
        parts = []
        for direction in range(directions):
            place = layer * directions + direction
            arrays = [array_of(each) for each in params[place * count : (place + 1) * count]]
            initial = [state.take(place) for state in states if state is not None]
            run = _run(
                graph, kind, function, arrays, values, initial, has_biases=bool(has_biases), backwards=direction == 1
            )
            hidden = run.hidden.with_index(run.hidden.index[::-1]) if direction else run.hidden
            parts.append(hidden)
            finals.append(run.final)
        values = graph.concatenate(parts)
    axis = 0 if batch_first else 1
    output = arranged(values, np.expand_dims(values.index, axis), axis)
    stacked = (graph.stack([final[place] for final in finals], axis=0) for place in range(number))
    return output, *(arranged(state, state.index[:, np.newaxis], 1) for state in stacked)


def _states(graph: LayerOperations, state: Any, x: TensorRef) -> TensorRef | None:
    """Return initial states, `(layers x directions, units)`; None for zeros."""
    if state is None:
        return None
    if isinstance(state, TensorRef):
        return plain(state)
    numbers = one_row(array_of(state), 1)
    if not numbers.any():
        return None
    return graph.constants(x, numbers.squeeze(1))


def _run(
    graph: LayerOperations,
    kind: str,
    function: str,
    arrays: Sequence[Array],
    x: TensorRef,
    initial: Sequence[TensorRef],
    *,
    has_biases: bool,
    backwards: bool,
) -> Run:
    """Run one layer in one direction; its hidden states are in the order in which the steps are read."""
    weights, own, *rest = arrays
    biases = rest[:2] if has_biases else (None, None)
    projection = rest[2 if has_biases else 0 :]
    if projection and initial:
        raise UnsupportedError("has initial states and proj_size, which hides a part of them; start from zeros")
    if projection:
        # The states are projected where they are read: R (P h) = (R P) h.
        own = own @ projection[0]
    cell = _cell(kind, function, weights, own, *biases)
    read = x.with_index(x.index[::-1]) if backwards else x
    needs_cell = kind == "lstm"
    run = recur(graph, graph.hint, cell, read, _all_or_none(cell, initial), final_cell=needs_cell)
    if not projection:
        return run
    hidden = graph.dense(run.hidden, projection[0], None)
    return Run(hidden=hidden, final=(hidden.take(-1), *run.final[1:]))


def _all_or_none(cell: Cell, initial: Sequence[TensorRef]) -> Sequence[TensorRef]:
    if initial and len(initial) < cell.states:
        raise UnsupportedError("gets one of its two initial states as zeros; give it both, or none")
    return initial


def _cell(kind: str, function: str, weights: Array, own: Array, bias: Any, recurrent_bias: Any) -> Cell:
    known = [None if each is None else ordered(kind, array_of(each), "pytorch") for each in (bias, recurrent_bias)]
    return Cell(
        kind=kind,
        weights=ordered(kind, weights, "pytorch"),
        recurrent_weights=ordered(kind, own, "pytorch"),
        bias=known[0],
        recurrent_bias=known[1],
        state_activation=function,
    )


def cell(
    graph: LayerOperations,
    x: TensorRef,
    hx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    *,
    kind: str,
    function: str = "tanh",
) -> Any:
    """Compute the states after one step; the arguments are those of `aten.lstm_cell` and its kin."""
    if len(x.shape) != 1:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; the values of one step are needed")
    one = _cell(kind, function, array_of(w_ih), array_of(w_hh), b_ih, b_hh)
    given = hx if isinstance(hx, tuple | list) else [hx]
    states = [_state(graph, state, x) for state in given]
    initial = [state for state in states if state is not None]
    run = recur(graph, graph.hint, one, x.reshape(1, -1), _all_or_none(one, initial), final_cell=True)
    return run.final if kind == "lstm" else run.final[0]


def _state(graph: LayerOperations, state: Any, x: TensorRef) -> TensorRef | None:
    if state is None or isinstance(state, TensorRef):
        return state
    numbers = one_row(array_of(state), 0)
    return graph.constants(x, numbers.reshape(-1)) if numbers.any() else None


def read_module(call: Callable[..., Any], module: Any, x: TensorRef, hx: Any = None) -> Any:
    """Read a module of several steps; its outputs are those of `forward`."""
    name = module.mode.lower()
    params = [each for layer in module.all_weights for each in layer]
    options = module.bias, module.num_layers, 0.0, False, module.bidirectional, module.batch_first
    output, *states = call(name, x, hx, params, *options)
    return output, (tuple(states) if name == "lstm" else states[0])


def read_cell(call: Callable[..., Any], module: Any, x: TensorRef, hx: Any = None) -> Any:
    """Read a module of one step."""
    kind = type(module).__name__.removesuffix("Cell").lower()
    name = f"rnn_{module.nonlinearity}_cell" if kind == "rnn" else f"{kind}_cell"
    return call(name, x, hx, module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh)


RECURRENT: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "lstm": partial(recurrent, kind="lstm"),
        "gru": partial(recurrent, kind="gru"),
        **{f"rnn_{name}": partial(recurrent, kind="rnn", function=name) for name in ("tanh", "relu")},
        "lstm_cell": partial(cell, kind="lstm"),
        "gru_cell": partial(cell, kind="gru"),
        **{f"rnn_{name}_cell": partial(cell, kind="rnn", function=name) for name in ("tanh", "relu")},
    }
)
"""The function for each operation, by its name in torch."""

RECURRENT_MODULES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("RNN", "GRU", "LSTM"), read_module),
        **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), read_cell),
    }
)
"""The reader of each module, by its class."""
