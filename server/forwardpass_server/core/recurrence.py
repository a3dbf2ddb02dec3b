"""Recurrent cells over the steps of a sequence, as ONNX's operators RNN, GRU and LSTM, and the gradients of these.

The products with the values of all steps are one product, if that is small; those with the state follow one another, a
product for each step. The first is cut into the blocks in which a row has the same bits in every batch
(`batch_invariant.py`), the others are products of each row by itself.

Where the gates have a sigmoid, it is computed as `(1 + tanh(z / 2)) / 2`, with the halves in the weights: tanh of all
gates is one call of numpy. At a lone row, a step takes as long as these calls do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from forwardpass_server.core import costs
from forwardpass_server.core.activations import ACTIVATIONS
from forwardpass_server.core.arrays import Array, canonicalize, frozen
from forwardpass_server.core.batch_invariant import matmul, pad
from forwardpass_server.core.blas_probe import find_blocking, has_same_dot

States: TypeAlias = tuple[Array, ...]
"""The hidden state, and the cell state of an LSTM; each `(rows, units)`."""

_Step: TypeAlias = Callable[[Array, States], States]
"""A function of the products with the values of a step, `(rows, gates)`, and of the states before it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recurrence:
    """The arrays and settings of a recurrent layer.

    Attributes:
        weights: `(gates, features)`, the rows of one gate after those of another.
        recurrent_weights: `(gates, units)`.
        bias: `(gates,)`.
        recurrent_bias: `(gates,)`.
        cell: A name in `_CELLS`.
        steps: The number of steps.
        gate_activation: The activation of the gates.
        state_activation: The activation of the new state.
        reset: Whether the reset gate of `gru` multiplies the product with the state, `after`, or the state, `before`.
        final_cell: Whether the last cell state follows the hidden states.
    """

    weights: Array
    recurrent_weights: Array
    bias: Array
    recurrent_bias: Array
    cell: str
    steps: int
    gate_activation: str = "sigmoid"
    state_activation: str = "tanh"
    reset: str = "after"
    final_cell: bool = False

    @property
    def units(self) -> int:
        """The width of a state."""
        return int(self.recurrent_weights.shape[1])

    @property
    def features(self) -> int:
        """The number of values of a step."""
        return int(self.weights.shape[1])

    def states(self, values: Array) -> States:
        """Return the initial states, which follow the values of the steps, or zeros."""
        given = values[:, self.steps * self.features :]
        count = 2 if self.cell == "lstm" else 1
        if not given.shape[1]:
            return (np.zeros((len(values), self.units), values.dtype),) * count
        return tuple(np.ascontiguousarray(part) for part in np.split(given, count, axis=1))

    def read_step(self, values: Array, step: int) -> Array:
        """Return the values of one step, `(rows, features)`."""
        return np.ascontiguousarray(values[:, step * self.features : (step + 1) * self.features])

    def read(self, values: Array) -> Array:
        """Return the values of the steps, `(rows x steps, features)`."""
        read = np.ascontiguousarray(values[:, : self.steps * self.features])
        return read.reshape(len(values) * self.steps, self.features)


def shared_product(weights: Array) -> Callable[[Array], Array]:
    """Return the product `rows @ weights.T` for many rows, in the blocks in which a row has the same bits."""
    blocking = find_blocking(weights.dtype, *weights.T.shape, order="C")
    columns, multiple = frozen(weights.T), blocking.heights[0]
    return lambda rows: matmul(pad(rows, multiple), columns, blocking)[: len(rows)]


def state_product(weights: Array) -> Callable[[Array], Array]:
    """Return the product `rows @ weights.T`, row by row: a lone row takes a third of the time of a padded block."""
    columns = frozen(weights.T)
    dots = has_same_dot(columns)

    def multiply(rows: Array) -> Array:
        if dots and len(rows) == 1:
            product: Array = rows.dot(columns)
            return product
        products: Array = np.matmul(rows[:, np.newaxis], columns)[:, 0]
        return products

    return multiply


def recurrent(**arguments: object) -> Callable[[Array], Array]:
    """Return the hidden states after each step, `(rows, steps x units)`, and perhaps the last cell state."""
    layer = Recurrence(**arguments)  # type: ignore[arg-type] # the arrays and settings of the kind, which are checked
    shared, step = _CELLS[layer.cell](layer)
    units, steps, gates = layer.units, layer.steps, len(layer.weights)
    width = (steps + layer.final_cell) * units

    def compute(values: Array) -> Array:
        rows = len(values)
        at_once = rows * steps * gates <= MAX_SHARED_NUMBERS
        read = shared(layer.read(values)).reshape(rows, steps, gates) if at_once else None
        states = layer.states(values)
        result = np.empty((rows, width), values.dtype)
        for index in range(steps):
            sums = shared(layer.read_step(values, index)) if read is None else read[:, index]
            states = step(sums, states)
            result[:, index * units : (index + 1) * units] = states[0]
        if layer.final_cell:
            result[:, steps * units :] = states[1]
        canonicalize(result)  # which NaN a sum of two has depends on their position
        return result

    return compute


def recurrent_flops(*, weights: Array, recurrent_weights: Array, steps: int, cell: str, **_: object) -> int:
    """Return the operations of one row: the products, and the functions of each gate and of the cell state."""
    functions = len(weights) + (recurrent_weights.shape[1] if cell == "lstm" else 0)
    return steps * (2 * (weights.size + recurrent_weights.size) + costs.FUNCTION * functions)


MAX_SHARED_NUMBERS: Final = 2**18
"""The most products with the values of all steps that are computed at once: 1 MiB of float32, about a core's cache.
More are computed step by step, which takes no more time, and less memory."""

NUMPY_CALLS: Final = 12
"""The calls of numpy of a step, about."""

_Compiled: TypeAlias = tuple[Callable[[Array], Array], _Step]
"""The product with the values of some steps, and a step."""


def _with_bias(weights: Array, bias: Array) -> Callable[[Array], Array]:
    product = shared_product(weights)

    def compute(rows: Array) -> Array:
        sums = product(rows)
        sums += bias
        return sums

    return compute


def _rnn(layer: Recurrence) -> _Compiled:
    """Return `f(W x + R h + b)` (Elman, 1990)."""
    product, function = state_product(layer.recurrent_weights), ACTIVATIONS[layer.state_activation]

    def step(read: Array, states: States) -> States:
        z = product(states[0])
        z += read
        return (function(z, out=z),)

    return _with_bias(layer.weights, layer.bias + layer.recurrent_bias), step


def _lstm(layer: Recurrence) -> _Compiled:
    """Return `c = f * c + i * g` and `h = o * tanh(c)` (Hochreiter & Schmidhuber, 1997; Gers et al., 2000)."""
    gates = 3 * layer.units
    halves, activate_gates = _gates(layer, gates)
    product, function = state_product(layer.recurrent_weights * halves), ACTIVATIONS[layer.state_activation]
    # All gates go through tanh together where that is the function of the new state too.
    together = activate_gates is None and layer.state_activation == "tanh"
    first, second, third = slice(0, layer.units), slice(layer.units, 2 * layer.units), slice(2 * layer.units, gates)

    def step(read: Array, states: States) -> States:
        z = product(states[0])
        z += read
        new = z[:, gates:]
        if together:
            np.tanh(z, out=z)
            _finish_sigmoid(z[:, :gates])
        else:
            function(new, out=new)
            _activate(z[:, :gates], activate_gates)
        cell = z[:, third] * states[1]
        new *= z[:, first]
        cell += new
        hidden = function(cell)
        hidden *= z[:, second]
        return hidden, cell

    shared = _with_bias(layer.weights * halves, (layer.bias + layer.recurrent_bias) * halves[:, 0])
    return shared, step


def _gru(layer: Recurrence) -> _Compiled:
    """Return `h = (1 - z) * n + z * h` (Cho et al., 2014), with the reset gate after or before the product."""
    units = layer.units
    gates = 2 * units
    halves, activate_gates = _gates(layer, gates)
    function = ACTIVATIONS[layer.state_activation]
    weights, bias = layer.recurrent_weights * halves, layer.recurrent_bias * halves[:, 0]
    after = layer.reset == "after"
    product = state_product(weights if after else weights[:gates])
    inner = product if after else state_product(weights[gates:])
    own = frozen(bias[gates:])
    shared_bias = layer.bias * halves[:, 0] + bias
    if after:
        shared_bias[gates:] = layer.bias[gates:]

    def step(read: Array, states: States) -> States:
        hidden = states[0]
        z = product(hidden)
        z[:, :gates] += read[:, :gates]
        _activate(z[:, :gates], activate_gates)
        update, reset = z[:, :units], z[:, units:gates]
        if after:
            new = z[:, gates:]
            new += own
            new *= reset
        else:
            new = inner(hidden * reset)
        new += read[:, gates:]
        function(new, out=new)
        moved = hidden - new
        moved *= update
        moved += new
        return (moved,)

    return _with_bias(layer.weights * halves, shared_bias), step


_CELLS: Final[Mapping[str, Callable[[Recurrence], _Compiled]]] = MappingProxyType(
    {"rnn": _rnn, "gru": _gru, "lstm": _lstm}
)


def _gates(layer: Recurrence, gates: int) -> tuple[Array, Callable[..., Array] | None]:
    """Return the factors of the weights, `(all gates, 1)`, and the function of the gates; None for a halved sigmoid."""
    halves = np.ones((len(layer.weights), 1), layer.weights.dtype)
    if layer.gate_activation != "sigmoid":
        return halves, ACTIVATIONS[layer.gate_activation]
    halves[:gates] = 0.5
    return halves, None


def _activate(z: Array, function: Callable[..., Array] | None) -> None:
    """Apply the function of the gates in place."""
    if function is None:
        np.tanh(z, out=z)
        _finish_sigmoid(z)
    else:
        function(z, out=z)


def _finish_sigmoid(z: Array) -> None:
    z *= _HALF[z.dtype.char]
    z += _HALF[z.dtype.char]


_HALF: Final = {code: np.array(0.5, code) for code in "fd"}
