"""A network that is ready to compute: frozen, and shared by all requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from forwardpass_server.core import costs
from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.batch_invariant import HEIGHTS
from forwardpass_server.core.fusion import fuse
from forwardpass_server.core.graph import INPUTS, Edges, find_edges, max_held_values, merge_flops, reads_inputs
from forwardpass_server.core.graph_steps import GraphSteps, compile_graph
from forwardpass_server.core.layers import Dense, Layer, Operation

if TYPE_CHECKING:
    import numpy as np

STEP_BYTES: Final = 2**19
"""The size of a layer's values from which rows are computed in several steps: about a core's cache."""

FAST_STEP_BYTES: Final = 2**22
"""The same for a fast plan, whose taller products are quicker."""

MAX_VALUES_OF_FULL_STEPS: Final = 2**16
"""The most values of a row held at once for which a step has at least as many rows as the highest block."""

MAX_DENSE_SHARE: Final = 0.2
"""The most operations of dense layers, as a share of those of convolutions, for which rows are multiplied one by one.

A lone row is then not padded to a block, whose 16 rows of a wide layer cost as much as the convolutions. Many rows take
twice as long as in blocks, which is a small part of the whole. Layers in k-blocks stay in blocks: those are of 4 rows,
which cost no more than a lone one.
"""


_UNPADDED: Final = frozenset({"conv", "recurrent"})
"""The kinds that take so long for a row that rows of padding are left out before them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """A chain or graph of layers, with an optional standardization of inputs and scaling of outputs.

    Attributes:
        dtype: float32 or float64, of every array and all arithmetic.
        layers: At least one; each after those that it reads, and all of them read.
        groups: The width of each group of inputs, in order and covering all inputs; or empty.
        output_layers: The layers whose nodes, side by side, are the outputs; empty for the last layer.
        mean: `(inputs,)`, subtracted from the inputs, or None.
        scale: `(inputs,)`, divides them after that, or None.
        output_scale: `(outputs,)`, multiplies what the layers compute, or None.
        output_shift: `(outputs,)`, is added to it after that, or None.
        fast: Whether the BLAS multiplies in its own order; a row's last bits may then depend on the batch composition.
        row_multiple: Rows are padded to a multiple of this number; computed.
        max_step_rows: The most rows that are computed at once, which bounds the memory of a call; computed.
        edges: The edges of each layer, None for a layer that is like one of a chain; computed.
        is_chain: Whether no layer has edges; computed.
        keeps_inputs: Whether a layer reads the inputs by an edge; computed.
        leading: The layers before the first dense one where a convolution or a recurrent layer is among them, else 0:
            they compute each row by itself, so that their rows are not padded; computed.
        leading_rows: How many rows of the leading layers of a chain are computed at once; computed.
        leading_steps: What computes the leading layers of a chain, several of them in one step where that gives the
            same bits; computed.
        graph_steps: What computes the leading layers of a graph, or None; computed.
        trailing: The layers after the leading ones, each with its edges; computed.
        flops_per_call: What a forward pass costs beside its rows, in floating-point operations; 0 where that is little;
            computed.
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
    row_multiple: int = field(init=False)
    max_step_rows: int = field(init=False)
    edges: tuple[Edges | None, ...] = field(init=False, repr=False)
    is_chain: bool = field(init=False, repr=False)
    keeps_inputs: bool = field(init=False, repr=False)
    leading: int = field(init=False, repr=False)
    leading_rows: int = field(init=False, repr=False)
    leading_steps: tuple[Callable[[Array], Array], ...] = field(init=False, repr=False)
    graph_steps: GraphSteps | None = field(init=False, repr=False)
    trailing: tuple[tuple[Layer, Edges | None], ...] = field(init=False, repr=False)
    flops_per_call: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Freeze the arrays, find the edges, and size the steps."""
        object.__setattr__(self, "layers", self._choose_products())
        heights = [layer.blocking.heights[0] for layer in self.dense]
        object.__setattr__(self, "row_multiple", 1 if self.fast else max(heights, default=1))
        edges = find_edges(self.layers, self.groups, self.output_layers)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "is_chain", not any(edges))
        object.__setattr__(self, "keeps_inputs", reads_inputs(edges))
        leading = self._find_leading()
        widest = max((max(layer.inputs, layer.outputs) for layer in leading), default=1)
        object.__setattr__(self, "leading", len(leading))
        object.__setattr__(self, "leading_rows", max(STEP_BYTES // (widest * self.dtype.itemsize), 1))
        object.__setattr__(self, "leading_steps", fuse(leading) if self.is_chain else ())
        object.__setattr__(self, "graph_steps", None)
        if leading and not self.is_chain:
            graph_steps, operations = self._compile_graph(leading)
            object.__setattr__(self, "graph_steps", graph_steps)
            object.__setattr__(self, "layers", (*operations, *self.layers[len(leading) :]))
        trailing = tuple(zip(self.layers, edges, strict=True))[len(leading) :]
        object.__setattr__(self, "trailing", trailing)
        steps = sum(layer.steps for layer in self.layers)
        object.__setattr__(self, "flops_per_call", costs.STEP * steps if steps >= costs.MIN_COUNTED_STEPS else 0)
        held = max_held_values(self.layers, edges, self.inputs)
        if self.graph_steps is not None:
            held = max(held, self.graph_steps.max_held_values)
        object.__setattr__(self, "max_step_rows", self._find_max_step_rows(held))
        for name in ("mean", "scale", "output_scale", "output_shift"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The dense layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return sum(self.groups.values()) or self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        last = (self.layers[-1].name,)
        return sum(layer.outputs for layer in self.layers if layer.name in (self.output_layers or last))

    @property
    def flops_per_row(self) -> int:
        """The operations of one row: multiplications, additions, and what else costs as much time as they do."""
        return sum(layer.flops + merge_flops(layer) for layer in self.layers)

    def _choose_products(self) -> tuple[Layer, ...]:
        """Return the layers, the dense ones with the products that suit the plan."""
        convolutions = sum(layer.flops for layer in self.layers if _is_convolution(layer))
        row_by_row = not self.fast and sum(layer.flops for layer in self.dense) < convolutions * MAX_DENSE_SHARE
        if not (self.fast or row_by_row):
            return self.layers
        return tuple(
            replace(layer, fast=self.fast, row_by_row=row_by_row and not layer.blocking.cuts(layer.inputs))
            if isinstance(layer, Dense)
            else layer
            for layer in self.layers
        )

    def _compile_graph(self, leading: tuple[Operation, ...]) -> tuple[GraphSteps, tuple[Layer, ...]]:
        rest = self.edges[len(leading) :]
        names = {name for edges in rest if edges is not None for name, _ in edges.sources}
        names |= set(self.output_layers) if self.edges[-1] is not None and self.edges[-1].is_kept else set()
        return compile_graph(
            leading,
            self.edges[: len(leading)],
            self.inputs,
            self.dtype,
            read_by_name=[name for name in (INPUTS, *(layer.name for layer in leading)) if name in names],
            reads_last=not rest or rest[0] is None or not rest[0].sources,
        )

    def _find_leading(self) -> tuple[Operation, ...]:
        dense = (index for index, layer in enumerate(self.layers) if isinstance(layer, Dense))
        before = self.layers[: next(dense, len(self.layers))]
        leading = tuple(layer for layer in before if isinstance(layer, Operation))
        return leading if any(layer.kind in _UNPADDED for layer in leading) else ()

    def _find_max_step_rows(self, held: int) -> int:
        """Return how many rows to compute at once, given how many values of each row are held."""
        highest = HEIGHTS[-1]
        size = FAST_STEP_BYTES if self.fast else STEP_BYTES
        rows = size // (held * self.dtype.itemsize) // highest * highest
        if held <= MAX_VALUES_OF_FULL_STEPS:
            return max(rows, highest)
        multiple = self.row_multiple
        return max(highest * MAX_VALUES_OF_FULL_STEPS // held // multiple * multiple, multiple)


def _is_convolution(layer: Layer) -> bool:
    return isinstance(layer, Operation) and layer.kind == "conv"
