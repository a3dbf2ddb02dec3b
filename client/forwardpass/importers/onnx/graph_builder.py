"""The builder of layers for ONNX graphs, whose tensors may have a function that is not computed yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.pending_operations import PendingOperations
from forwardpass.importers.graph.whole_numbers import shifted_origins
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.size_budget import SizeBudget
from forwardpass.importers.onnx.texts import TEXT, KnownTexts
from forwardpass.importers.onnx.values import GraphTensor
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits

_MAX_GROUPS: Final = 64
"""The most layers of one node; a file of a few bytes could ask for more."""


class OnnxGraphBuilder(PendingOperations):
    """A builder within a size budget, which also collects what the nodes say of the inputs and outputs.

    Attributes:
        budget: The elements that the graph may still make.
        kinds: The float types that nodes compute in.
        narrowed: Whether a node casts float64 to float32.
        values: The numbers that an input may have where a node looks them up, by group and place.
        missing: Whether a node fills in missing values.
        classes: The labels of the classes, or empty.
        texts: The texts that nodes know of the inputs.
        whole_bits: The bits of the widest whole numbers that nodes compute with.
        bfloat16: Whether a constant was widened from bfloat16.
        fixed_rows: The size of the axis of the rows in the file, or None where it is open.
        shifts: The int64 tensors to which numbers were added, and the name of each.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self.budget = SizeBudget(limits)
        self.max_groups = _MAX_GROUPS
        self.kinds: set[str] = set()
        self.narrowed = False
        self.values: dict[tuple[str, int], Sequence[float]] = {}
        self.missing = False
        self.classes: tuple[str, ...] = ()
        self.fixed_rows: int | None = None
        self.texts = KnownTexts()
        self.whole_bits = 0
        self.bfloat16 = False
        self.shifts: list[tuple[str, GraphTensor]] = []
        self._numbers_by_bits: dict[int, tuple[str, int]] = {}
        self._zeros: str | None = None
        self._max_layers = 4 * limits.max_layers  # fusion leaves fewer

    def check_size(self, elements: int) -> None:
        """Claim the elements of a tensor from the budget."""
        self.budget.claim_elements(elements)

    def check_windows(self, windows: int, size: int) -> None:
        """Check the size of windows, which a small file may ask for."""
        self.budget.check_weights(windows, size, expanded=True)

    def note_kind(self, kind: str) -> None:
        """Note an element type that a node computes in."""
        if kind in {"float32", "float64"}:
            self.kinds.add(kind)

    def note_values(self, tensor: GraphTensor, values: Sequence[float]) -> None:
        """Note the numbers that a node expects of a tensor's elements, where these are inputs."""
        if tensor.pending is None:
            for source, place in self.origins(tensor):
                if self.is_input(source):
                    self.values.setdefault((source, place), values)

    def note_categories(self, tensor: GraphTensor, count: int) -> None:
        """Note that a tensor's elements are from 0 and below a count, where these are inputs with a number added.

        Raises:
            UnsupportedError: An input has no number that each look-up of it finds.
        """
        if tensor.pending is not None:
            return
        for source, place, shift in shifted_origins(self, tensor):
            if self.is_input(source):
                before = self.values.get((source, place))
                known = range(max(0, -shift), count - shift)
                if isinstance(before, range):
                    known = range(max(before.start, known.start), min(before.stop, known.stop))
                if not known:
                    raise UnsupportedError(f"looks up what is never from 0 to {count - 1}")
                self.values[source, place] = known

    def note_texts(self, tensor: GraphTensor, texts: Sequence[str], *, others: bool) -> list[list[float]]:
        """Note the texts that a node knows of each element of a tensor, and return their indices for each element."""
        self.budget.claim_constant(tensor.size * len(texts))
        found = []
        for origin in self.origins(tensor):
            if tensor.kind != TEXT or not self.is_input(origin[0]):
                raise UnsupportedError("looks up texts that are no inputs of the graph")
            found.append(self.texts.note(origin, texts, others=others))
        return found

    def all_of(self, tensor: GraphTensor) -> GraphTensor:
        """Return all nodes of a tensor's sources, as a tensor of one axis."""
        width = sum(self.width(source) for source in tensor.sources)
        return replace(tensor, index=np.arange(width), row_axis=None, pending=None)

    def plain(self, tensor: GraphTensor) -> TensorRef:
        """Return a tensor with nothing pending, as one of all its axes, that of the rows among them."""
        done = self.without_pending(tensor)
        return TensorRef(sources=done.sources, index=done.index)

    def layer(
        self, hint: str, tensors: Sequence[GraphTensor], width: int, *, merge: str | None = None, **document: Any
    ) -> str:
        """Add a layer and return its name; see `add_layer`."""
        return self.add_layer(hint, tensors, width, merge=merge or "", **document).sources[0]

    def nodes(self, name: str, shape: Sequence[int], row_axis: int | None, kind: str) -> GraphTensor:
        """Return all nodes of a layer as a tensor."""
        index = np.arange(self.width(name)).reshape(shape)
        return GraphTensor(sources=(name,), index=index, row_axis=row_axis, kind=kind)

    def tensor(self, ref: TensorRef, row_axis: int | None, kind: str) -> GraphTensor:
        """Return a tensor of all its axes as one of the graph."""
        return GraphTensor(sources=ref.sources, index=ref.index, pending=ref.pending, row_axis=row_axis, kind=kind)

    def constants(self, like: TensorRef, numbers: Array) -> TensorRef:  # noqa: ARG002 - any tensor is like them
        """Return numbers that are the same for every row; each number is one node."""
        return self.nodes_of_constants(np.asarray(numbers, np.float64), None, "float64")

    def like(self, name: str, tensor: GraphTensor, kind: str = "") -> GraphTensor:
        """Return all nodes of a layer as a tensor of the shape of another one."""
        return self.nodes(name, tensor.shape, tensor.row_axis, kind or tensor.kind)

    def nodes_of_constants(self, numbers: Array, row_axis: int | None, kind: str) -> GraphTensor:
        """Return numbers that are the same for every row, as nodes of layers; each number is one node.

        Args:
            numbers: The numbers, `(...)`, with 1 for the axis of the rows.
            row_axis: The axis of the rows, or None.
            kind: The element type.
        """
        self.budget.claim_elements(numbers.size)
        bits, places = np.unique(numbers.astype(np.float64).ravel().view(np.int64), return_inverse=True)
        new = [number for number in bits.tolist() if number not in self._numbers_by_bits]
        values = np.array(new, np.int64).view(np.float64)
        for is_alike, expression in _NOT_FINITE.items():
            if (alike := is_alike(values)).any():
                name = self._add("constant", [self._zero()], "", 1, {**PASS, "activation": {"expression": expression}})
                self._numbers_by_bits.update({new[place]: (name, 0) for place in np.flatnonzero(alike).tolist()})
        finite = np.flatnonzero(np.isfinite(values))
        if finite.size:
            table = values[finite][None]
            name = self._add("constant", [self._zero()], "", finite.size, {"kind": "embedding", "table": table})
            self._numbers_by_bits.update({new[place]: (name, node) for node, place in enumerate(finite.tolist())})
        nodes = [self._numbers_by_bits[number] for number in bits.tolist()]
        sources = tuple(dict.fromkeys(source for source, _ in nodes))
        starts = dict(zip(sources, self._starts(sources), strict=True))
        index = np.array([starts[source] + node for source, node in nodes])[places].reshape(numbers.shape)
        return GraphTensor(sources=sources, index=index, row_axis=row_axis, kind=kind)

    def _zero(self) -> str:
        """Return a layer of one node that is 0 for every row."""
        if self._zeros is None:
            first = replace(self.nodes_of(self.first_group()), index=np.zeros(1, np.intp))
            self._zeros = self.add_layer(
                "zero", first, 1, kind="lookup", keys=[0.0], values=[0.0], default=0.0
            ).sources[0]
        return self._zeros

    def _add(self, hint: str, sources: Sequence[str], merge: str, width: int, document: Mapping[str, Any]) -> str:
        if len(self.layers) >= self._max_layers:
            raise UnsupportedError(f"needs one layer more than the {len(self.layers):,} before it, which are too many")
        self.budget.claim_elements(width)
        return super()._add(hint, sources, merge, width, document)


_NOT_FINITE: Final[Mapping[Callable[[Array], Array], str]] = MappingProxyType(
    {np.isneginf: "log(x)", np.isposinf: "-log(x)", np.isnan: "log(x - 1)"}
)
"""The expression of 0 for each number that no spec holds."""


def columns_of(tensor: GraphTensor, numbers: Array) -> Array:
    """Return the number of a constant for each element of a row, broadcast as ONNX does it."""
    return np.broadcast_to(numbers, tensor.shape).ravel()
