"""A network made ready to compute: frozen, shared by every call."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from forwardpass_server.core import graph
from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.batch_invariant import HEIGHTS
from forwardpass_server.core.layers import Dense, Layer

if TYPE_CHECKING:
    import numpy as np

PART_BYTES: Final = 2**19
"""How large the values of a layer may become before rows are computed in parts: about a core's cache."""

FAST_PART_BYTES: Final = 2**22
"""The same for a fast plan, whose taller products are quicker."""

WIDEST: Final = 2**16
"""Where more values of a row are held at once, fewer rows are computed together than the tallest block has."""


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
        fast: Whether the BLAS multiplies in its own order; a row's last bits may then depend on the batch composition.
        block: Rows are padded to a multiple of this.
        part: So many rows are computed at once; it bounds the memory that a call takes.
        steps: Each layer with its edges, None where the layer is part of a chain.
        keeps_inputs: Whether a layer other than the first reads the inputs.
    """

    dtype: "np.dtype[Any]"
    layers: tuple[Layer, ...]
    groups: Mapping[str, int] = field(default_factory=dict)
    output_layers: tuple[str, ...] = ()
    mean: Array | None = None
    scale: Array | None = None
    output_scale: Array | None = None
    output_shift: Array | None = None
    fast: bool = False
    block: int = field(init=False)
    part: int = field(init=False)
    steps: tuple[tuple[Layer, graph.Edges | None], ...] = field(init=False, repr=False)
    keeps_inputs: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and find the edges of the layers."""
        if self.fast:
            fast = tuple(replace(layer, fast=True) if isinstance(layer, Dense) else layer for layer in self.layers)
            object.__setattr__(self, "layers", fast)
        heights = [layer.blocking.heights[0] for layer in self.dense]
        object.__setattr__(self, "block", 1 if self.fast else max(heights, default=1))
        edges = graph.find_edges(self.layers, self.groups, self.output_layers)
        object.__setattr__(self, "steps", tuple(zip(self.layers, edges, strict=True)))
        object.__setattr__(self, "keeps_inputs", graph.reads_inputs(edges))
        object.__setattr__(self, "part", self._find_part(graph.most_held(self.layers, edges, self.inputs)))
        for name in ("mean", "scale", "output_scale", "output_shift"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The layers that are dense."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def inputs(self) -> int:
        """How many inputs the network reads."""
        return sum(self.groups.values()) or self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        last = (self.layers[-1].name,)
        return sum(layer.outputs for layer in self.layers if layer.name in (self.output_layers or last))

    @property
    def flops_per_row(self) -> int:
        """The multiplications and additions of one row."""
        return sum(layer.flops + graph.merge_flops(layer) for layer in self.layers)

    def _find_part(self, held: int) -> int:
        """Return how many rows to compute at once where so many values of each are held."""
        tallest = HEIGHTS[-1]
        rows = (FAST_PART_BYTES if self.fast else PART_BYTES) // (held * self.dtype.itemsize) // tallest * tallest
        if held <= WIDEST:
            return max(rows, tallest)
        return max(tallest * WIDEST // held // self.block * self.block, self.block)
