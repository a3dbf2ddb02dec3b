"""Layers that are ready to compute. Called with the values that it reads, a layer returns its activations."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass_server.core import activations, costs, operations
from forwardpass_server.core.activations import ACTIVATIONS
from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.batch_invariant import Blocking, fast_blocking, matmul
from forwardpass_server.core.blas_probe import find_blocking, has_same_dot
from forwardpass_server.core.elementwise import Elementwise
from forwardpass_server.core.operations import OPERATIONS

MAX_BIAS_NUMBERS: Final = 2**11
MAX_BIAS_ROWS: Final = 2**10
"""The most numbers and rows of a repeated bias: numpy adds a few long arrays sooner than many short ones."""

MAX_SHORT_OUTPUTS: Final = 16
"""The most outputs for which a row is multiplied by the weights of one output after the other."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _AnyLayer:
    """Base class of all layers.

    Attributes:
        name: Unique in its network.
        activation: A name in `ACTIVATIONS`; ignored where there is an expression.
        parameters: The value of each parameter of the activation.
        expression: The activation function as a compiled expression, or None for one of `ACTIVATIONS`.
        from_: What it reads: layers, groups of inputs, or `inputs`; empty for the layer before.
        merge: How several become one input: a name that `graph.merge` knows, or None.
        function: The activation with its parameters, to be called with `z` and perhaps `out`; computed.
    """

    name: str
    activation: str = "identity"
    parameters: Mapping[str, float] = field(default_factory=dict)
    expression: Elementwise | None = None
    from_: tuple[str, ...] = ()
    merge: str | None = None
    function: Callable[..., Array] = field(init=False, repr=False)

    def __call__(self, values: Array) -> Array:
        """Return the activations, `(rows, outputs)`, of values `(rows, inputs)`."""
        z = self.pre_activation(values)
        return self.function(z, out=z)

    @abstractmethod
    def pre_activation(self, values: Array, out: Array | None = None) -> Array:
        """Return the pre-activations, `(rows, outputs)`, of values `(rows, inputs)`, in a new array or in `out`."""

    def activation_gradient(self, gradient: Array, z: Array) -> Array:
        """Return the gradient at pre-activations `z` of a gradient at their activations; all `(rows, outputs)`."""
        if self.expression is not None:
            return self.expression.gradient(gradient, z)
        return activations.GRADIENTS[self.activation](gradient, z, **self.parameters)

    @abstractmethod
    def pre_activation_gradient(self, gradient: Array, values: Array) -> Array:
        """Return the gradient at the values read, `(rows, inputs)`, of one at pre-activations, `(rows, outputs)`."""

    @property
    def is_plain(self) -> bool:
        """Whether its activations are its pre-activations."""
        return self.expression is None and self.activation == "identity"

    @property
    def function_flops(self) -> int:
        """What the activation costs for one number."""
        if isinstance(self.expression, Elementwise):
            return self.expression.flops
        return costs.ACTIVATIONS.get(self.activation, costs.FUNCTION)

    @property
    def steps(self) -> int:
        """The calls of numpy of one forward pass, about."""
        return self.own_calls + (self.expression.steps + 2 if isinstance(self.expression, Elementwise) else 4)

    @property
    def own_calls(self) -> int:
        """The calls of numpy that follow from the settings of the layer, where they are many."""
        return 0

    def _bind_function(self) -> None:
        function: Callable[..., Array] = self.expression or ACTIVATIONS[self.activation]
        object.__setattr__(self, "function", partial(function, **self.parameters) if self.parameters else function)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dense(_AnyLayer):
    """A dense layer: `activation(weights x input + bias)`.

    Attributes:
        weights: `(outputs, inputs)` in the plan's dtype.
        bias: `(outputs,)` in the plan's dtype.
        fast: Whether the blocking is the fastest one, without batch invariance.
        row_by_row: Whether rows are multiplied one by one, which is faster for a lone row and slower for many.
        columns: The weights as `(inputs, outputs)`, in the memory order that the blocking needs; computed.
        biases: The bias repeated, `(some rows, outputs)`; computed.
        blocking: How the product is cut into blocks; computed.
        dots: Whether `dot` has the bits of the blocking for a lone row, for which it takes half the time; computed.
    """

    weights: Array
    bias: Array
    fast: bool = False
    row_by_row: bool = False
    columns: Array = field(init=False, repr=False)
    biases: Array = field(init=False, repr=False)
    blocking: Blocking = field(init=False, repr=False)
    dots: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays, find the blocking, and bind the activation."""
        self._bind_function()
        blocking = self._find_blocking()
        by_output = blocking.transposed or (self.row_by_row and len(self.bias) <= MAX_SHORT_OUTPUTS)
        columns = frozen(self.weights.copy()).T if by_output else frozen(self.weights.T)
        object.__setattr__(self, "blocking", blocking)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "dots", self.row_by_row and has_same_dot(columns))
        object.__setattr__(self, "weights", columns.T)  # a view: the numbers are kept once
        object.__setattr__(self, "bias", frozen(self.bias))
        rows = min(max(MAX_BIAS_NUMBERS // len(self.bias), 1), MAX_BIAS_ROWS)
        object.__setattr__(self, "biases", frozen(np.tile(self.bias, (rows, 1))))

    def _find_blocking(self) -> Blocking:
        if self.fast:
            return fast_blocking(*self.weights.T.shape)
        return Blocking() if self.row_by_row else find_blocking(self.weights.dtype, *self.weights.T.shape)

    @property
    def inputs(self) -> int:
        """The number of values that it reads."""
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        """The number of nodes."""
        return len(self.bias)

    @property
    def flops(self) -> int:
        """The operations of one row: multiplications, additions and the activation."""
        return 2 * self.weights.size + self.outputs * self.function_flops

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays of the layer."""
        return self.weights, self.bias

    def pre_activation(self, values: Array, out: Array | None = None) -> Array:
        """Return `weights x values + bias`, `(rows, outputs)`.

        Args:
            values: `(rows, inputs)`, padded to a multiple of the lowest block height.
            out: Where to write the result; None for a new array.
        """
        if self.dots and out is None and len(values) == 1:
            z: Array = values.dot(self.columns)
        else:
            z = matmul(values, self.columns, self.blocking, out)
        rows, biases = len(z), self.biases
        if rows <= len(biases):
            z += biases[:rows]
        else:
            _add_bias(z, biases)
        return z

    @property
    def gradient_blocking(self) -> Blocking:
        """How the product of a gradient with the weights is cut into blocks."""
        if self.fast:
            return fast_blocking(*self.weights.shape)
        order = "C" if self.weights.flags.c_contiguous else "F"
        return find_blocking(self.weights.dtype, *self.weights.shape, order=order)

    def pre_activation_gradient(self, gradient: Array, values: Array) -> Array:
        """Return `gradient x weights`, `(rows, inputs)`.

        Args:
            gradient: `(rows, outputs)`, padded to a multiple of the lowest block height of `gradient_blocking`.
            values: Not read.
        """
        del values
        return matmul(np.ascontiguousarray(gradient), self.weights, self.gradient_blocking)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation(_AnyLayer):
    """A layer of another kind than dense; `operations.py` has the formulas.

    Attributes:
        kind: A name in `OPERATIONS`.
        arguments: The arrays in the plan's dtype, and the settings of the kind.
        inputs: The number of values that it reads.
        outputs: The number of nodes.
        product: The operation in another order of the same products, or None for that of the kind.
        compute: The operation with its arguments; computed.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: int
    outputs: int
    product: Callable[[Array], Array] | None = None
    compute: Callable[[Array], Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays, and bind the operation and the activation."""
        self._bind_function()
        arguments = {
            key: frozen(value) if isinstance(value, np.ndarray) else value for key, value in self.arguments.items()
        }
        object.__setattr__(self, "arguments", MappingProxyType(arguments))
        object.__setattr__(self, "compute", self.product or OPERATIONS[self.kind](**arguments))

    @property
    def flops(self) -> int:
        """About the operations of one row."""
        of_input, of_output = operations.COSTS[self.kind]
        work = operations.WORK.get(self.kind)
        besides = 0 if work is None else work(self.outputs, **self.arguments)
        return self.inputs * of_input + self.outputs * (of_output + self.function_flops) + besides

    @property
    def own_calls(self) -> int:
        """The calls of numpy that follow from the settings of the layer, where they are many."""
        calls = operations.CALLS.get(self.kind)
        return 0 if calls is None else calls(**self.arguments)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays of the layer."""
        return tuple(value for value in self.arguments.values() if isinstance(value, np.ndarray))

    def pre_activation(self, values: Array, out: Array | None = None) -> Array:
        """Return the operation of values `(rows, inputs)`, `(rows, outputs)`, in a new array or in `out`."""
        result = self.compute(values)
        if out is None:
            return result
        out[...] = result
        return out

    def pre_activation_gradient(self, gradient: Array, values: Array) -> Array:
        """Return the gradient at the values read, `(rows, inputs)`, of one at the operation, `(rows, outputs)`."""
        return operations.GRADIENTS[self.kind](**self.arguments)(gradient, values)


Layer: TypeAlias = Dense | Operation
"""A layer of any kind."""


def _add_bias(z: Array, biases: Array) -> None:
    """Add the bias to more rows than `biases` has: in blocks as high as that, and to the rest."""
    rows, height = len(z), len(biases)
    whole = rows // height * height
    blocks = z[:whole].reshape(-1, biases.size)
    blocks += biases.reshape(-1)
    if whole < rows:
        rest = z[whole:]
        rest += biases[: len(rest)]
