"""Recurrent layers as ONNX nodes: the operators RNN, GRU and LSTM, or the operations of each step one after another."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.onnx_form.activations import add_activation
from forwardpass.onnx_form.graph_writer import GraphWriter
from forwardpass.spec import Activation, Layer

_FUNCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softsign": "Softsign"}
)
"""The functions of the operators that have no parameters, by their names here."""


def add_recurrent(graph: GraphWriter, layer: Layer, x: str, arrays: Mapping[str, str]) -> str:
    """Add the nodes of a recurrent layer over rows `x`, and return the name of its states, `(rows, outputs)`.

    onnxruntime has the operators in float32 alone, and they have not all functions.
    """
    functions = {layer.settings["gate_activation"], layer.settings["state_activation"]}
    if graph.dtype == "float32" and functions <= _FUNCTIONS.keys() and not layer.settings["final_cell"]:
        return _operator(graph, layer, x, arrays)
    return _Steps(graph, layer, arrays).add(x)


def _operator(graph: GraphWriter, layer: Layer, x: str, arrays: Mapping[str, str]) -> str:
    known = layer.settings
    (gates, features), units = layer.weights.shape, layer.arrays["recurrent_weights"].shape[1]
    steps, cell = known["steps"], known["cell"]
    read = _slice(graph, x, 0, steps * features)
    read = graph.add("Transpose", graph.add("Reshape", read, graph.sizes([-1, steps, features])), perm=[1, 0, 2])
    weights = graph.add("Reshape", arrays["weights"], graph.sizes([1, gates, features]))
    own = graph.add("Reshape", arrays["recurrent_weights"], graph.sizes([1, gates, units]))
    bias = graph.add("Concat", arrays["bias"], arrays["recurrent_bias"], axis=0)
    bias = graph.add("Reshape", bias, graph.sizes([1, 2 * gates]))
    states = [
        graph.add("Reshape", _slice(graph, x, start, start + units), graph.sizes([1, -1, units]))
        for start in range(steps * features, layer.inputs, units)
    ]
    gate, state = _FUNCTIONS[known["gate_activation"]], _FUNCTIONS[known["state_activation"]]
    functions = {"rnn": [state], "gru": [gate, state], "lstm": [gate, state, state]}[cell]
    options: dict[str, Any] = {"linear_before_reset": int(known["reset"] == "after")} if cell == "gru" else {}
    sequence = graph.add(
        cell.upper(),
        read,
        weights,
        own,
        bias,
        *(["", *states] if states else []),
        hidden_size=units,
        activations=functions,
        **options,
    )
    turned = graph.add("Transpose", sequence, perm=[2, 0, 1, 3])
    return graph.add("Reshape", turned, graph.sizes([-1, layer.outputs]))


class _Steps:
    """Writer of the steps of a layer, whose weights all steps share."""

    def __init__(self, graph: GraphWriter, layer: Layer, arrays: Mapping[str, str]) -> None:
        self._graph = graph
        self._layer = layer
        self._arrays = arrays
        self._units = int(layer.arrays["recurrent_weights"].shape[1])

    def add(self, x: str) -> str:
        """Add all steps, and return the name of the states side by side."""
        graph, settings = self._graph, self._layer.settings
        features, steps = self._layer.weights.shape[1], settings["steps"]
        states = self._initial(x, steps * features)
        found = []
        for step in range(steps):
            values = _slice(graph, x, step * features, (step + 1) * features)
            read = graph.add("Gemm", values, self._arrays["weights"], self._arrays["bias"], transB=1)
            states = _CELLS[settings["cell"]](self, read, states)
            found.append(states[0])
        if settings["final_cell"]:
            found.append(states[1])
        return graph.add("Concat", *found, axis=1)

    def _initial(self, x: str, start: int) -> list[str]:
        graph, units = self._graph, self._units
        if start < self._layer.inputs:
            return [_slice(graph, x, at, at + units) for at in range(start, self._layer.inputs, units)]
        first = _slice(graph, x, 0, 1)
        zero = graph.cast(graph.add("Less", first, first), graph.dtype)  # of infinity and NaN too
        zeros = graph.add("Expand", zero, graph.sizes([1, units]))
        return [zeros, zeros]

    def rnn(self, read: str, states: list[str]) -> list[str]:
        """Add a step of an Elman network."""
        return [self._state(self._graph.add("Add", read, self._product(states[0])))]

    def gru(self, read: str, states: list[str]) -> list[str]:
        """Add a step of a GRU."""
        graph, (hidden, *_) = self._graph, states
        update, reset, new = (self._part(read, place) for place in range(3))
        inner = self._product(hidden)
        update = self._gate(graph.add("Add", update, self._part(inner, 0)))
        reset = self._gate(graph.add("Add", reset, self._part(inner, 1)))
        if self._layer.settings["reset"] == "after":
            own = graph.add("Mul", reset, self._part(inner, 2))
        else:
            own = self._part(self._product(graph.add("Mul", reset, hidden)), 2)
        new = self._state(graph.add("Add", new, own))
        moved = graph.add("Mul", update, graph.add("Sub", hidden, new))
        return [graph.add("Add", new, moved)]

    def lstm(self, read: str, states: list[str]) -> list[str]:
        """Add a step of an LSTM."""
        graph, (hidden, cell) = self._graph, states
        sums = graph.add("Add", read, self._product(hidden))
        put, out, keep = (self._gate(self._part(sums, place)) for place in range(3))
        new = graph.add("Mul", put, self._state(self._part(sums, 3)))
        cell = graph.add("Add", graph.add("Mul", keep, cell), new)
        return [graph.add("Mul", out, self._state(cell)), cell]

    def _product(self, hidden: str) -> str:
        arrays = self._arrays
        return self._graph.add("Gemm", hidden, arrays["recurrent_weights"], arrays["recurrent_bias"], transB=1)

    def _part(self, gates: str, place: int) -> str:
        return _slice(self._graph, gates, place * self._units, (place + 1) * self._units)

    def _gate(self, x: str) -> str:
        return self._function("gate_activation", x)

    def _state(self, x: str) -> str:
        return self._function("state_activation", x)

    def _function(self, setting: str, x: str) -> str:
        values = self._graph.add("Identity", x)
        name = f"{values}/{setting}"
        function = Activation(name=str(self._layer.settings[setting]), parameters={})
        add_activation(self._graph, function, values, self._units, name)
        return name


_CELLS: Final[Mapping[str, Callable[[_Steps, str, list[str]], list[str]]]] = MappingProxyType(
    {"rnn": _Steps.rnn, "gru": _Steps.gru, "lstm": _Steps.lstm}
)


def _slice(graph: GraphWriter, x: str, start: int, end: int) -> str:
    return graph.add("Slice", x, graph.sizes([start]), graph.sizes([end]), graph.sizes([1]))
