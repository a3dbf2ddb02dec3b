"""A network made ready to compute: frozen, shared by every call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np

from forwardpass_server.core import exact, graph
from forwardpass_server.core.activations import ACTIVATIONS, Activation
from forwardpass_server.core.arrays import Array

PART_BYTES: Final = 2**19
"""How large the values of a layer may become before rows are computed in parts: about a core's cache."""

FAST_PART_BYTES: Final = 2**22
"""The same for a fast plan, whose taller products are quicker."""

WIDEST: Final = 2**16
"""Where more values of a row are held at once, fewer rows are computed together than the tallest block has."""

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
        columns: The weights as `(inputs, outputs)`, in memory as `blocks` wants them.
        blocks: How products of this shape are computed.
        fast: Whether those blocks are chosen for speed alone.
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
    blocks: exact.Blocks = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and bind the activation's parameters."""
        known = Activation(function=self.own) if self.own else ACTIVATIONS[self.activation]
        parameters = {**known.defaults, **self.parameters}
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "function", partial(known.function, **parameters) if parameters else known.function)
        shape = self.weights.T.shape
        blocks = exact.fast_blocks(*shape) if self.fast else exact.find_blocks(self.weights.dtype, *shape)
        columns = _frozen(self.weights.copy()).T if blocks.turned else _frozen(self.weights.T)
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "weights", columns.T)  # a view: the numbers are kept once
        object.__setattr__(self, "bias", _frozen(self.bias))
        rows = min(max(BIAS_NUMBERS // len(self.bias), 1), BIAS_ROWS)
        object.__setattr__(self, "biases", _frozen(np.tile(self.bias, (rows, 1))))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """A graph of layers, mostly a chain, behind an optional standardization.

    Attributes:
        dtype: float32 or float64, of every array and all arithmetic.
        layers: At least one, each after those that it reads, and none left over.
        groups: The width of each group of inputs, in order and covering all inputs; or empty.
        output_layers: The layers whose nodes, side by side, are the outputs; empty means the last one.
        mean: `(inputs,)`, subtracted from the inputs, or None.
        scale: `(inputs,)`, divides them after that, or None.
        output_scale: `(outputs,)`, multiplies what the layers compute, or None.
        output_shift: `(outputs,)`, is added to it after that, or None.
        fast: Whether products are left to the BLAS as they are; a row's last bits may then depend on its company.
        block: Rows are padded to a multiple of this.
        part: So many rows are computed at once; it bounds the memory that a call takes.
        steps: Each layer with its link, None where it needs none.
        keeps_inputs: Whether the inputs wait for a layer.
    """

    dtype: "np.dtype[Any]"
    layers: tuple[Dense, ...]
    groups: Mapping[str, int] = field(default_factory=dict)
    output_layers: tuple[str, ...] = ()
    mean: Array | None = None
    scale: Array | None = None
    output_scale: Array | None = None
    output_shift: Array | None = None
    fast: bool = False
    block: int = field(init=False)
    part: int = field(init=False)
    steps: tuple[tuple[Dense, graph.Link | None], ...] = field(init=False, repr=False)
    keeps_inputs: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and link the layers."""
        if self.fast:
            object.__setattr__(self, "layers", tuple(replace(layer, fast=True) for layer in self.layers))
        object.__setattr__(self, "block", 1 if self.fast else max(layer.blocks.heights[0] for layer in self.layers))
        links = graph.find_links(self.layers, self.groups, self.output_layers)
        object.__setattr__(self, "steps", tuple(zip(self.layers, links, strict=True)))
        object.__setattr__(self, "keeps_inputs", graph.reads_inputs(links))
        object.__setattr__(self, "part", self._find_part(graph.most_held(self.layers, links, self.inputs)))
        for name in ("mean", "scale", "output_scale", "output_shift"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _frozen(getattr(self, name)))

    @property
    def inputs(self) -> int:
        """How many inputs the network reads."""
        return sum(self.groups.values()) or int(self.layers[0].weights.shape[1])

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        last = (self.layers[-1].name,)
        return sum(len(layer.bias) for layer in self.layers if layer.name in (self.output_layers or last))

    @property
    def flops_per_row(self) -> int:
        """The multiplications and additions of one row's products and merges."""
        return sum(2 * layer.weights.size + graph.merge_flops(layer) for layer in self.layers)

    def _find_part(self, held: int) -> int:
        """Return how many rows to compute at once where so many values of each are held."""
        tallest = exact.CANDIDATES[-1]
        rows = (FAST_PART_BYTES if self.fast else PART_BYTES) // (held * self.dtype.itemsize) // tallest * tallest
        if held <= WIDEST:
            return max(rows, tallest)
        return max(tallest * WIDEST // held // self.block * self.block, self.block)


def _frozen(array: Array) -> Array:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
