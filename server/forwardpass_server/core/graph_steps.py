"""Steps that compute the leading layers of a graph without the copies between them, as those of attention.

A product over tokens returns a matrix of tokens x filters, which its layer has as filters x tokens; a `take` turns it;
a `matmul` multiplies matrices of two such layers, side by side. Here a `take` is no step: what it returns has a place
among the values of an earlier step. Products of the same tokens are one product, and matrices are read where they are.

Every bit is that of the layers alone, as a trace computes them. A BLAS adds in another order for transposed operands,
so `compile_graph` returns layers that transpose theirs in the same way. Which products have the same bits side by side,
or as a part of a wider matrix, is tried with random numbers; what has not stays by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.graph import INPUTS, Edges, merge
from forwardpass_server.core.layers import Layer, Operation
from forwardpass_server.core.operations import has_softmax_of_columns, matmul, softmax_of_columns
from forwardpass_server.core.places import Grid, Indices, copier, find_grid, is_matrix, is_turned, whole_grid
from forwardpass_server.core.scratch import Allocate, Scratch
from forwardpass_server.core.tokens import TokenProduct, find_stacks, random_rows, stack, token_product

_Slots: TypeAlias = list[Any]
"""The values that steps return, `(rows, width)` contiguous each; None before that, and after the last step that reads
them."""

_Run: TypeAlias = Callable[..., Array]
"""A function of some arrays and `out`, an array to write to and return, or None for a new one."""

_MAX_ROW_BYTES: Final = 2**18
"""The most bytes of all slots of a row for which each thread keeps them; views are a small part of a larger row."""

_MAX_ROW_STEPS: Final = 64
"""The most steps for which each thread keeps the slots of a row; views take about 0.4 KB for a step."""

_slots_of_a_row: Final = Scratch()

_Sources: TypeAlias = Sequence[tuple[str, slice | None]]

_MAX_WIDTH_OF_PLACES = 4
"""How many times as wide as kept values their slot may be; they are copied from a wider one, which is then freed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """A step, which writes a slot.

    Attributes:
        run: The function that computes it.
        reads: The slots that it reads.
        views: A function for each slot that returns a view of its values, or None where the values are read whole.
        width: The number of values of a row that it writes.
        view_out: A function of the slot that it writes that returns a view for `out`, or None for the slot itself.
        frees: The slots that no later step reads.
    """

    run: _Run
    reads: tuple[int, ...]
    views: tuple[Callable[[Array], Array] | None, ...]
    width: int
    view_out: Callable[[Array], Array] | None = None
    frees: tuple[int, ...] = ()

    def operands(self, slots: _Slots) -> list[Array]:
        """Return the arrays that it reads."""
        read = zip(self.reads, self.views, strict=True)
        return [slots[slot] if view is None else view(slots[slot]) for slot, view in read]


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphSteps:
    """The steps of the leading layers of a graph.

    Attributes:
        inputs: The number of inputs, which are slot 0.
        dtype: The plan's dtype.
        steps: The steps; the first writes slot 1, the next one slot 2.
        results: The layers that are read by name after the steps, and the slot of each.
        last: The slot of the last layer where the next layer reads it, else None.
        max_held_values: The most values of a row that the slots hold at once.
        is_small: Whether each thread keeps slots for a lone row; computed.
        runs: The function of each step; computed.
        key: Of the slots that each thread keeps; computed.
    """

    inputs: int
    dtype: "np.dtype[Any]"
    steps: tuple[_Step, ...]
    results: tuple[tuple[str, int], ...]
    last: int | None
    max_held_values: int
    is_small: bool = field(init=False)
    runs: tuple[_Run, ...] = field(init=False, repr=False)
    key: object = field(init=False, repr=False, default_factory=object)

    def __post_init__(self) -> None:
        """Find out what a lone row needs."""
        numbers = self.inputs + sum(step.width for step in self.steps)
        is_small = numbers * self.dtype.itemsize <= _MAX_ROW_BYTES and len(self.steps) <= _MAX_ROW_STEPS
        object.__setattr__(self, "is_small", is_small)
        object.__setattr__(self, "runs", tuple(step.run for step in self.steps))

    def compute(self, values: Array) -> tuple[Array, dict[str, Array]]:
        """Return the activations of the last layer, and those that later layers read by name.

        Where no layer reads the last one as the layer before, the inputs are in its place.

        Args:
            values: The standardized inputs, `(rows, inputs)`, contiguous.
        """
        if self.is_small and len(values) == 1:
            return self._compute_row(values)
        slots: _Slots = [values]
        for step in self.steps:
            slots.append(step.run(*step.operands(slots), None).reshape(-1, step.width))
            for slot in step.frees:
                slots[slot] = None
        kept = {}
        for name, slot in self.results:
            kept[name] = slots[slot]
        return values if self.last is None else slots[self.last], kept

    def _compute_row(self, values: Array) -> tuple[Array, dict[str, Array]]:
        """Compute a lone row in slots of which each thread makes all views once: that takes as long as the steps do."""
        slots, arrays = _slots_of_a_row.views(self.key, self._make_slots)
        slots[0][...] = values
        for (operands, out), run in zip(arrays, self.runs, strict=True):
            run(*operands, out)
        # Copies, since the next row is computed in the same slots.
        kept = {}
        for name, slot in self.results:
            kept[name] = slots[slot].copy() if slot else values
        return slots[self.last].copy() if self.last else values, kept

    def _make_slots(self, allocate: Allocate) -> tuple[list[Array], list[tuple[list[Array], Array]]]:
        slots = [allocate((1, width), self.dtype) for width in (self.inputs, *(step.width for step in self.steps))]
        written = zip(self.steps, slots[1:], strict=True)
        outs = [slot if step.view_out is None else step.view_out(slot) for step, slot in written]
        return slots, [(step.operands(slots), out) for step, out in zip(self.steps, outs, strict=True)]


def compile_graph(
    layers: Sequence[Operation],
    edges: Sequence[Edges | None],
    inputs: int,
    dtype: "np.dtype[Any]",
    *,
    read_by_name: Sequence[str],
    reads_last: bool,
) -> tuple[GraphSteps, tuple[Layer, ...]]:
    """Return the steps of the leading layers of a graph, and these layers, some with transposed operands.

    Args:
        layers: The leading layers.
        edges: Their edges.
        inputs: The number of inputs.
        dtype: The plan's dtype.
        read_by_name: The layers among them, and perhaps `INPUTS`, that later layers read by name.
        reads_last: Whether the next layer reads the last of them as the layer before.
    """
    builder, result, previous = _Builder(inputs, dtype), list[Layer](), INPUTS
    names = [layer.name for layer in layers]
    sources = dict(zip(names, _sources_of(names, edges), strict=True))
    stacks = find_stacks([(layer, _key(*sources[layer.name][0])) for layer in layers])
    for layer, one in zip(layers, edges, strict=True):
        result.append(builder.add(layer, sources[layer.name], stacks.get(layer.name, (layer,))))
        if one is not None and one.is_kept:
            builder.narrow(layer.name)
        previous = layer.name
    return builder.finish(read_by_name, previous if reads_last else None), tuple(result)


def _sources_of(names: Sequence[str], edges: Sequence[Edges | None]) -> list[_Sources]:
    before = (INPUTS, *names)
    return [one.sources if one is not None and one.sources else ((before[at], None),) for at, one in enumerate(edges)]


def _key(name: str, columns: slice | None) -> tuple[Any, ...]:
    """Return a source as a key of a dict, which a slice is not before Python 3.12."""
    return (name,) if columns is None else (name, columns.start, columns.stop)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Place:
    """Where the values of a layer are.

    Attributes:
        slot: A slot.
        indices: The index of each value within a row of the slot, `(width,)`.
    """

    slot: int
    indices: Indices


class _Builder:
    """Makes the steps, layer after layer."""

    def __init__(self, inputs: int, dtype: "np.dtype[Any]") -> None:
        self._dtype = dtype
        self._places = {INPUTS: _Place(slot=0, indices=np.arange(inputs))}
        self._widths = [inputs]
        self._steps: list[_Step] = []
        self._stacked: dict[str, Layer] = {}

    def add(self, layer: Operation, sources: _Sources, stacked: Sequence[Operation]) -> Layer:
        """Add the steps of a layer, and of others that are stacked with it; return the layer to trace in its place."""
        if layer.name in self._stacked:  # with an earlier one
            return self._stacked[layer.name]
        if layer.kind == "take" and layer.is_plain and layer.merge is None:
            read = self._place(sources[0])
            taken = read.indices[layer.arguments["indices"].astype(np.intp)]
            self._places[layer.name] = replace(read, indices=taken)
            return layer
        if layer.kind == "matmul" and layer.merge == "concatenate":
            multiplied = self._multiply_matrices(layer, sources)
            if multiplied is not None:
                return multiplied
        place, product = self._read(layer, sources), token_product(layer)
        if product is not None:
            multiplied = self._multiply_tokens(layer, product, place, stacked)
            if multiplied is not None:
                return multiplied
        reads = (self._contiguous(place),)
        if layer.kind == "group_softmax" and layer.is_plain:
            slot = self._append_softmax(layer, reads)
        else:
            slot = self._append_whole(layer.compute if layer.is_plain else layer, reads, layer.outputs)
        self._places[layer.name] = self._whole(slot)
        return layer

    def narrow(self, name: str) -> None:
        """Add a step that copies the values of a layer where these would keep a much wider slot from being freed."""
        place = self._places[name]
        # Slot 0 is held by the caller.
        if place.slot and self._widths[place.slot] > _MAX_WIDTH_OF_PLACES * len(place.indices):
            self._contiguous(place)

    def finish(self, read_by_name: Sequence[str], last: str | None) -> GraphSteps:
        """Return the steps, and what is read after them."""
        results = tuple((name, self._contiguous(self._places[name])) for name in read_by_name)
        last_slot = None if last is None else self._contiguous(self._places[last])
        stay = {last_slot, *(slot for _, slot in results)}
        last_step = {slot: index for index, step in enumerate(self._steps) for slot in step.reads if slot not in stay}
        steps = tuple(
            replace(step, frees=tuple(slot for slot, last in last_step.items() if last == index))
            for index, step in enumerate(self._steps)
        )
        return GraphSteps(
            inputs=self._widths[0],
            dtype=self._dtype,
            steps=steps,
            results=results,
            last=last_slot,
            max_held_values=self._max_held_values([step.frees for step in steps]),
        )

    def _max_held_values(self, frees: Sequence[tuple[int, ...]]) -> int:
        """Return the most values of a row that are held at once, given the slots that each step frees."""
        held = most = self._widths[0]
        for width, slots in zip(self._widths[1:], frees, strict=True):  # each step writes one slot, in their order
            held += width
            most = max(most, held)
            held -= sum(self._widths[slot] for slot in slots)
        return most

    def _append(self, step: _Step) -> int:
        """Add a step, and return the slot that it writes."""
        self._steps.append(step)
        self._widths.append(step.width)
        return len(self._widths) - 1

    def _append_whole(self, compute: Callable[..., Array], reads: tuple[int, ...], width: int) -> int:
        """Add a step that returns new rows of rows, and return the slot that it writes."""

        def run(*arrays: Array | None) -> Array:
            *read, out = arrays
            result = compute(*read)
            if out is None:
                return result
            out[...] = result
            return out

        return self._append(_Step(run=run, reads=reads, views=(None,) * len(reads), width=width))

    def _append_softmax(self, layer: Operation, reads: tuple[int, ...]) -> int:
        """Add the step of a softmax of groups, and return the slot that it writes."""
        groups, width = int(layer.arguments["groups"]), layer.outputs
        size = width // groups
        if not has_softmax_of_columns(groups, size):
            return self._append_whole(layer.compute, reads, width)

        def turn(rows: Array) -> Array:
            return rows.reshape(-1, size).T

        return self._append(_Step(run=softmax_of_columns, reads=reads, views=(turn,), width=width, view_out=turn))

    def _whole(self, slot: int) -> _Place:
        return _Place(slot=slot, indices=np.arange(self._widths[slot]))

    def _place(self, source: tuple[str, slice | None]) -> _Place:
        name, columns = source
        place = self._places[name]
        return place if columns is None else replace(place, indices=place.indices[columns])

    def _read(self, layer: Operation, sources: _Sources) -> _Place:
        """Return the place of what a layer reads, after a step that merges several sources."""
        if layer.merge is None:
            return self._place(sources[0])
        reads, how = tuple(self._contiguous(self._place(source)) for source in sources), layer.merge
        return self._whole(self._append_whole(lambda *arrays: merge(arrays, how), reads, layer.inputs))

    def _contiguous(self, place: _Place) -> int:
        """Return a slot that has the values of a place and no others, after a step that copies them if none does."""
        read = place.slot
        if np.array_equal(place.indices, np.arange(self._widths[read])):
            return read
        copy = copier(place.indices, self._widths[read], self._dtype)
        slot = self._append_whole(copy, (read,), len(place.indices))
        for name, other in self._places.items():
            if other.slot == read and np.array_equal(other.indices, place.indices):
                self._places[name] = self._whole(slot)
        return slot

    def _multiply_tokens(
        self, layer: Operation, product: TokenProduct, place: _Place, layers: Sequence[Operation]
    ) -> Layer | None:
        """Add the step of a product of tokens, and return the layer to trace.

        Return None where the product needs a copy in another order. The step computes the layers that are stacked with
        this one, too.
        """
        parts = [one for one in map(token_product, layers) if one is not None]
        whole = stack(parts)
        grid, read = find_grid(place.indices[product.order]), place.slot
        if grid is None or not self._is_same(whole, read, grid):
            if product.by_channel:
                return None
            grid, read = whole_grid(product.order.shape), self._contiguous(place)
        multiply, width = whole.multiply, whole.tokens * whole.filters
        view = grid.reader(self._widths[read], self._dtype)
        function = None if layer.is_plain else layer.function

        def run(tokens: Array, out: Array | None) -> Array:
            sums = multiply(tokens, out)
            return sums if function is None else function(sums.reshape(-1, width), out=sums.reshape(-1, width))

        view_out = whole_grid((whole.tokens, whole.filters)).reader(width, self._dtype)
        slot, start = self._append(_Step(run=run, reads=(read,), views=(view,), width=width, view_out=view_out)), 0
        places = np.arange(width).reshape(whole.tokens, whole.filters).T
        for one, part in zip(layers, parts, strict=True):
            self._places[one.name] = _Place(slot=slot, indices=places[start : start + part.filters].ravel())
            # A view: the layer has the bits of the step, and the numbers are kept once.
            same = replace(part, weights=whole.weights[:, start : start + part.filters])
            self._stacked[one.name] = replace(one, product=same.operation)
            start += part.filters
        return self._stacked[layer.name]

    def _is_same(self, product: TokenProduct, slot: int, grid: Grid) -> bool:
        """Try whether tokens that are read where they are have the same sums as in an array of their own."""
        if grid == whole_grid(grid.shape):
            return True
        if not is_matrix(grid) or is_turned(grid):
            return False
        tokens = grid.reader(self._widths[slot], self._dtype)(random_rows(self._dtype, 2, self._widths[slot]))
        return np.array_equal(np.matmul(tokens, product.weights), np.matmul(tokens.copy(), product.weights))

    def _multiply_matrices(self, layer: Operation, sources: _Sources) -> Layer | None:
        """Add the step of a product of two matrices that are read where they are, and return the layer to trace.

        Return None where they cannot be read so.
        """
        groups, rows, inner, columns = (int(layer.arguments[key]) for key in ("groups", "rows", "inner", "columns"))
        shapes = (groups, rows, inner), (groups, inner, columns)
        places = [self._place(source) for source in sources]
        if min(rows, inner, columns) < 2 or [len(one.indices) for one in places] != [*map(prod, shapes)]:
            return None
        (left, left_slot), (right, right_slot) = map(self._matrices, places, shapes)
        turned = is_turned(left), is_turned(right)
        operation = matmul(groups=groups, rows=rows, inner=inner, columns=columns, turned=turned)
        read_left = left.reader(self._widths[left_slot], self._dtype)
        read_right = right.reader(self._widths[right_slot], self._dtype)
        tried = {slot: random_rows(self._dtype, 2, self._widths[slot]) for slot in (left_slot, right_slot)}
        matrices = read_left(tried[left_slot]), read_right(tried[right_slot])
        together = np.concatenate([one.reshape(2, -1) for one in matrices], axis=1)
        if not np.array_equal(np.matmul(*matrices).reshape(2, -1), operation(together)):
            return None
        function, width = None if layer.is_plain else layer.function, layer.outputs

        def run(left: Array, right: Array, out: Array | None) -> Array:
            products: Array = np.matmul(left, right, out, order="C")
            if function is None:
                return products
            z = products.reshape(-1, width)
            return function(z, out=z)

        reads, views = (left_slot, right_slot), (read_left, read_right)
        view_out = whole_grid((groups, rows, columns)).reader(width, self._dtype)
        slot = self._append(_Step(run=run, reads=reads, views=views, width=width, view_out=view_out))
        self._places[layer.name] = self._whole(slot)
        return replace(layer, product=operation)

    def _matrices(self, place: _Place, shape: tuple[int, ...]) -> tuple[Grid, int]:
        """Return the grid of matrices, and the slot that they are in, after a step that copies them where it must."""
        grid = find_grid(place.indices.reshape(shape))
        if grid is not None and is_matrix(grid):
            return grid, place.slot
        return whole_grid(shape), self._contiguous(place)
