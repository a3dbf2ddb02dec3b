"""Layers made ready to compute. Each has a pre-activation of what it reads, and an activation function of that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass_server.core.activations import ACTIVATIONS
from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.batch_invariant import Blocking, fast_blocking, matmul
from forwardpass_server.core.blas_probe import find_blocking
from forwardpass_server.core.operations import OPERATIONS

BIAS_NUMBERS: Final = 2**11
BIAS_ROWS: Final = 2**10
"""Up to so many numbers and rows, a bias is kept repeated: numpy adds a few long arrays sooner than many short ones."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dense:
    """A dense layer: `activation(weights x input + bias)`.

    Attributes:
        name: Unique in its network.
        weights: `(outputs, inputs)`, in the plan's dtype.
        bias: `(outputs,)`, in the plan's dtype.
        activation: A name in `ACTIVATIONS`; says nothing where there is a function of the network's own.
        parameters: A value for each parameter of the activation.
        from_: What it reads: layers, groups of inputs, or `inputs`; empty means the layer before.
        merge: How several become one input: a name that `graph.merge` knows, or None.
        function: The activation with its parameters, made from the two; called with `z`, and `out` where
            the result is to be written there.
        biases: The bias repeated, `(some rows, outputs)`.
        columns: The weights as `(inputs, outputs)`, in the memory order that `blocking` needs.
        blocking: How the product is cut into blocks.
        fast: Whether the blocking is the fastest one, without batch invariance.
        own: The activation function that the network has of its own, or None.
    """

    name: str
    weights: Array
    bias: Array
    activation: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    from_: tuple[str, ...] = ()
    merge: str | None = None
    fast: bool = False
    own: Callable[..., Array] | None = None
    function: Callable[..., Array] = field(init=False, repr=False)
    biases: Array = field(init=False, repr=False)
    columns: Array = field(init=False, repr=False)
    blocking: Blocking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and bind the activation's parameters."""
        object.__setattr__(self, "function", bind(self.activation, self.parameters, self.own))
        shape = self.weights.T.shape
        blocking = fast_blocking(*shape) if self.fast else find_blocking(self.weights.dtype, *shape)
        columns = frozen(self.weights.copy()).T if blocking.transposed else frozen(self.weights.T)
        object.__setattr__(self, "blocking", blocking)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "weights", columns.T)  # a view: the numbers are kept once
        object.__setattr__(self, "bias", frozen(self.bias))
        rows = min(max(BIAS_NUMBERS // len(self.bias), 1), BIAS_ROWS)
        object.__setattr__(self, "biases", frozen(np.tile(self.bias, (rows, 1))))

    @property
    def inputs(self) -> int:
        """How many values it reads."""
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        """How many nodes it has."""
        return len(self.bias)

    @property
    def flops(self) -> int:
        """The multiplications and additions of one row."""
        return 2 * self.weights.size

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Its numbers."""
        return self.weights, self.bias

    def pre_activation(self, values: Array, out: Array | None = None) -> Array:
        """Return `weights x value + bias`, shape `(rows, outputs)`.

        Args:
            values: Shape `(rows, inputs)`, padded to a multiple of the lowest block height.
            out: Where to put the result; None for a new array.
        """
        sums = matmul(values, self.columns, self.blocking, out)
        _add_bias(sums, self.biases)
        return sums


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation:
    """A layer of another kind than dense; `operations.py` has the formulas.

    Attributes:
        name: Unique in its network.
        kind: A name in `OPERATIONS`.
        arguments: The arrays in the plan's dtype, numbers and words of that kind.
        inputs: How many values it reads.
        outputs: How many nodes it has.
        activation: A name in `ACTIVATIONS`; says nothing where there is a function of the network's own.
        parameters: A value for each parameter of the activation.
        from_: What it reads: layers, groups of inputs, or `inputs`; empty means the layer before.
        merge: How several become one input: a name that `graph.merge` knows, or None.
        own: The activation function that the network has of its own, or None.
        function: The activation with its parameters, made from these.
        compute: The operation with its arguments, made from these.
    """

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: int
    outputs: int
    activation: str = "identity"
    parameters: Mapping[str, float] = field(default_factory=dict)
    from_: tuple[str, ...] = ()
    merge: str | None = None
    own: Callable[..., Array] | None = None
    function: Callable[..., Array] = field(init=False, repr=False)
    compute: Callable[[Array], Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and bind what the functions need."""
        arguments = {
            key: frozen(value) if isinstance(value, np.ndarray) else value for key, value in self.arguments.items()
        }
        object.__setattr__(self, "arguments", MappingProxyType(arguments))
        object.__setattr__(self, "function", bind(self.activation, self.parameters, self.own))
        object.__setattr__(self, "compute", OPERATIONS[self.kind](**arguments))

    @property
    def flops(self) -> int:
        """About how many operations one row takes."""
        windows = self.arguments.get("windows")
        return 4 * (self.inputs + self.outputs) + (0 if windows is None else int(windows.size))

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Its numbers."""
        return tuple(value for value in self.arguments.values() if isinstance(value, np.ndarray))

    def pre_activation(self, values: Array, out: Array | None = None) -> Array:
        """Return the operation of values, shape `(rows, outputs)`; takes what that of a dense layer does."""
        result = self.compute(values)
        if out is None:
            return result
        out[...] = result
        return out


Layer: TypeAlias = Dense | Operation
"""A layer of any kind."""


def bind(name: str, parameters: Mapping[str, float], own: Callable[..., Array] | None) -> Callable[..., Array]:
    """Return an activation function with its parameters bound, to be called with `z` and perhaps `out`."""
    function = own or ACTIVATIONS[name]
    return partial(function, **parameters) if parameters else function


def _add_bias(sums: Array, biases: Array) -> None:
    """Add the bias, which `biases` repeats for some rows, to every row of sums."""
    rows, together = len(sums), len(biases)
    if rows > together:
        whole = rows // together * together
        many = sums[:whole].reshape(-1, biases.size)
        many += biases.reshape(-1)
        if whole == rows:
            return
        sums = sums[whole:]
    sums += biases[: len(sums)]
