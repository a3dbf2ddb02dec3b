"""The gradient of recurrent layers, by backpropagation through time (Werbos, 1990).

The steps are computed once more, and what a step needs on the way back is kept. The steps back are the same products
as those forward, with transposed weights.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass_server.core.activations import ACTIVATIONS
from forwardpass_server.core.activations import GRADIENTS as ACTIVATION_GRADIENTS
from forwardpass_server.core.arrays import Array
from forwardpass_server.core.recurrence import Recurrence, States, shared_product, state_product

_Back: TypeAlias = Callable[[States], tuple[Array, States]]
"""Takes the gradients at the states after a step; returns those at the products with its values, `(rows, gates)`, and
at the states before it."""

_Step: TypeAlias = Callable[[Array, States], tuple[States, _Back]]
"""Takes the products with the values of a step and the states before it; returns the states after it, and the way back.
"""


def recurrent_gradient(**arguments: object) -> Callable[[Array, Array], Array]:
    """Return the vector-Jacobian product of a recurrent layer."""
    layer = Recurrence(**arguments)  # type: ignore[arg-type] # the arrays and settings of the kind, which are checked
    shared, back_to_values = shared_product(layer.weights), shared_product(layer.weights.T)
    step = _CELLS[layer.cell](layer)
    units, steps = layer.units, layer.steps

    def compute(gradient: Array, values: Array) -> Array:
        rows = len(values)
        read = shared(layer.read(values)).reshape(rows, steps, len(layer.weights)) + layer.bias
        states = layer.states(values)
        ways: list[_Back] = []
        for index in range(steps):
            states, back = step(read[:, index], states)
            ways.append(back)
        at_states = tuple(np.zeros_like(state) for state in states)
        if layer.final_cell:
            at_states = (at_states[0], gradient[:, steps * units :])
        at_read = np.empty_like(read)
        for index in reversed(range(steps)):
            at_hidden = at_states[0] + gradient[:, index * units : (index + 1) * units]
            at_read[:, index], at_states = ways[index]((at_hidden, *at_states[1:]))
        at_values = back_to_values(at_read.reshape(rows * steps, -1)).reshape(rows, -1)
        has_states = values.shape[1] > at_values.shape[1]
        return np.concatenate([at_values, *at_states], axis=1) if has_states else at_values

    return compute


def _rnn(layer: Recurrence) -> _Step:
    product, back_product = state_product(layer.recurrent_weights), state_product(layer.recurrent_weights.T)
    function, slope = ACTIVATIONS[layer.state_activation], ACTIVATION_GRADIENTS[layer.state_activation]

    def step(read: Array, states: States) -> tuple[States, _Back]:
        z = product(states[0]) + read + layer.recurrent_bias

        def back(at: States) -> tuple[Array, States]:
            at_z = slope(at[0], z)
            return at_z, (back_product(at_z),)

        return (function(z),), back

    return step


def _lstm(layer: Recurrence) -> _Step:
    product, back_product = state_product(layer.recurrent_weights), state_product(layer.recurrent_weights.T)
    gate, gate_slope = ACTIVATIONS[layer.gate_activation], ACTIVATION_GRADIENTS[layer.gate_activation]
    function, slope = ACTIVATIONS[layer.state_activation], ACTIVATION_GRADIENTS[layer.state_activation]
    gates = 3 * layer.units

    def step(read: Array, states: States) -> tuple[States, _Back]:
        z = product(states[0]) + read + layer.recurrent_bias
        new = function(z[:, gates:])
        put, out, keep = np.split(gate(z[:, :gates]), 3, axis=1)
        cell = keep * states[1] + put * new
        shown = function(cell)

        def back(at: States) -> tuple[Array, States]:
            at_cell = at[1] + slope(at[0] * out, cell)
            at_gates = np.concatenate([at_cell * new, at[0] * shown, at_cell * states[1]], axis=1)
            at_z = np.concatenate([gate_slope(at_gates, z[:, :gates]), slope(at_cell * put, z[:, gates:])], axis=1)
            return at_z, (back_product(at_z), at_cell * keep)

        return (out * shown, cell), back

    return step


def _gru(layer: Recurrence) -> _Step:
    units, weights = layer.units, layer.recurrent_weights
    gates = 2 * units
    products = [state_product(part) for part in (weights[:gates], weights[gates:])]
    back_products = [state_product(part.T) for part in (weights[:gates], weights[gates:])]
    gate, gate_slope = ACTIVATIONS[layer.gate_activation], ACTIVATION_GRADIENTS[layer.gate_activation]
    function, slope = ACTIVATIONS[layer.state_activation], ACTIVATION_GRADIENTS[layer.state_activation]
    gate_bias, own = layer.recurrent_bias[:gates], layer.recurrent_bias[gates:]
    after = layer.reset == "after"

    def step(read: Array, states: States) -> tuple[States, _Back]:
        (hidden,) = states
        z = products[0](hidden) + read[:, :gates] + gate_bias
        update, reset = np.split(gate(z), 2, axis=1)
        inner = products[1](hidden if after else hidden * reset) + own
        sums = read[:, gates:] + (inner * reset if after else inner)
        new = function(sums)

        def back(at: States) -> tuple[Array, States]:
            at_sums = slope(at[0] * (1 - update), sums)
            through = back_products[1](at_sums * reset if after else at_sums)
            at_reset = at_sums * inner if after else through * hidden
            at_z = gate_slope(np.concatenate([at[0] * (hidden - new), at_reset], axis=1), z)
            at_hidden = at[0] * update + (through if after else through * reset) + back_products[0](at_z)
            return np.concatenate([at_z, at_sums], axis=1), (at_hidden,)

        return ((1 - update) * new + update * hidden,), back

    return step


_CELLS: Final[Mapping[str, Callable[[Recurrence], _Step]]] = MappingProxyType({"rnn": _rnn, "gru": _gru, "lstm": _lstm})
