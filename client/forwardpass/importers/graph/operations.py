"""Layer operations on tensor references. They know numpy and the kinds of layers, and no framework."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.importers.graph import functions
from forwardpass.importers.graph.builder import PASS, GraphBuilder
from forwardpass.importers.graph.convolution import conv_layer, transposed_conv_layer
from forwardpass.importers.graph.tensor_ref import Indices, TensorRef
from forwardpass.importers.graph.whole_numbers import WholeNumbers
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

MAX_REPEATED_WEIGHTS: Final = 2**12
"""The most weights of a dense layer that repeats a matrix for each place; of more, a convolution shares the matrix."""

IN_GROUPS: Final[Mapping[str, str]] = MappingProxyType({"softmax": "group_softmax", "sparsemax": "group_sparsemax"})
"""The kind of a layer that applies an activation to each of several groups."""

Activation: TypeAlias = str | Mapping[str, Any]
"""An activation in the form of a spec."""


class LayerOperations(GraphBuilder):
    """A builder whose methods are the operations of a network.

    Operations read tensors and return tensors. Those that compute each element by itself work on the nodes of a layer
    in the order in which they stand, so that a permutation needs no `take`.

    Attributes:
        hint: The preferred name of the layers that are added next; the caller sets it for each operation.
        dtype: The dtype that the model computes in.
        batch: The number of rows that the model is traced for, None where that may be any.
        max_groups: The most layers of one operation that computes groups of elements.
        whole: The inputs that are categories, and the layers of whole numbers that may be looked up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hint = "layer"
        self.dtype = "float64"
        self.batch: int | None = None
        self.max_groups = DEFAULT_LIMITS.max_layers
        self.whole = WholeNumbers()

    @contextmanager
    def suffixed(self, word: str) -> Iterator[None]:
        """Name the layers that are added meanwhile after the hint and a word, if there is one."""
        hint, self.hint = self.hint, f"{self.hint}_{word}" if word else self.hint
        try:
            yield
        finally:
            self.hint = hint

    def activation(self, x: TensorRef, activation: Activation) -> TensorRef:
        """Apply an activation to each element."""
        return self._elementwise(self._permuted(x), **PASS, activation=activation)

    def function(self, x: TensorRef, expression: str, **parameters: float) -> TensorRef:
        """Compute an expression of each element and of parameters."""
        return self.activation(x, functions.expression(expression, **parameters))

    def scale_shift(self, x: TensorRef, scale: Array | None, shift: Array | None) -> TensorRef:
        """Compute `x * scale + shift`, by numbers of the shape of one row or of one that broadcasts with it."""
        numbers = {key: np.asarray(array) for key, array in (("scale", scale), ("shift", shift)) if array is not None}
        shape = _common_shape(x.shape, *(array.shape for array in numbers.values()))
        return self.by_element(x.with_index(np.broadcast_to(x.index, shape)), **PASS, **numbers)

    def clip(self, x: TensorRef, low: Array | None, high: Array | None) -> TensorRef:
        """Bound each element by numbers of a shape that broadcasts to one row."""
        bounds = {key: np.asarray(array) for key, array in (("low", low), ("high", high)) if array is not None}
        return self.by_element(x, kind="clip", **bounds)

    def batch_norm(self, x: TensorRef, *, epsilon: float, **numbers: Array | None) -> TensorRef:
        """Normalize by `mean`, `variance`, `gamma` and `beta`, each of a shape that broadcasts to one row."""
        given = {key: np.asarray(array) for key, array in numbers.items() if array is not None}
        return self.by_element(x, kind="batch_norm", epsilon=epsilon, **given)

    def by_element(self, x: TensorRef, **document: Any) -> TensorRef:
        """Add a layer that computes each element by itself, with arrays of the shape of one row."""
        x = self._permuted(x)
        given = {
            key: self._by_node(x, each) if isinstance(each, np.ndarray) else each for key, each in document.items()
        }
        return self._elementwise(x, **given)

    def merge(self, tensors: Sequence[TensorRef], merge: str) -> TensorRef:
        """Merge tensors element by element; different shapes broadcast."""
        wide = self._broadcast(tensors)
        first = wide[0]
        if all(self.is_permutation(x) and np.array_equal(x.index, first.index) for x in wide):
            sources = self._distinct(self.hint, [x.sources[0] for x in wide])
            return TensorRef(sources=(self._add(self.hint, sources, merge, first.size, PASS),), index=first.index)
        return self.add_layer(self.hint, wide, merge=merge, **PASS).reshape(*first.shape)

    def dense(self, x: TensorRef, weights: Array, bias: Array | None, mask: Array | None = None) -> TensorRef:
        """Compute `weights @ x + bias` along the last axis, `(outputs, inputs)`, at each place of the other axes."""
        outputs, inputs = weights.shape
        if not x.shape or x.shape[-1] != inputs:
            raise UnsupportedError(f"reads {inputs} numbers and gets rows of shape {list(x.shape)}")
        places = x.size // inputs
        if places > 1 and places**2 * weights.size > MAX_REPEATED_WEIGHTS:
            known = weights if mask is None else np.where(mask, weights, 0).astype(weights.dtype)
            return self._shared(x.reshape(places, inputs), known, bias).reshape(*x.shape[:-1], outputs)
        if places > 1:
            each = np.eye(places, dtype=weights.dtype)
            weights, mask = np.kron(each, weights), None if mask is None else np.kron(each, mask)
            bias = None if bias is None else np.tile(bias, places)
        numbers = {key: array for key, array in (("bias", bias), ("mask", mask)) if array is not None}
        return self._from_one(x, len(weights), kind="dense", weights=weights, **numbers).reshape(*x.shape[:-1], outputs)

    def _shared(self, x: TensorRef, weights: Array, bias: Array | None) -> TensorRef:
        """Multiply the numbers at each place, `(places, inputs)`, by the same weights: windows of one place each."""
        channels = x.with_index(x.index.T)
        if self.is_straight(channels):
            kernel: tuple[int, ...] = (1,)
            rows = channels
        else:
            kernel, rows = (1, x.shape[1]), x.reshape(1, *x.shape)
        document, shape = conv_layer(
            rows.shape,
            weights.reshape(len(weights), -1, *kernel),
            bias,
            strides=[1] * len(kernel),
            pads=[(0, 0)] * len(kernel),
            dilations=[1] * len(kernel),
        )
        done = self._from_one(rows, math.prod(shape), **document).reshape(len(weights), -1)
        return done.with_index(done.index.T)

    def grouped_dense(self, x: TensorRef, weights: Array) -> TensorRef:
        """Multiply matrices `(groups, rows, inner)` by the weights of each group, `(groups, inner, columns)`."""
        groups, rows, inner = x.shape
        columns = weights.shape[-1]
        if (groups * rows) ** 2 * inner * columns <= MAX_REPEATED_WEIGHTS:
            blocks = np.zeros((groups, rows, columns, groups, rows, inner), weights.dtype)
            for group, row in np.ndindex(groups, rows):
                blocks[group, row, :, group, row] = weights[group].T
            flat = self.dense(x.reshape(-1), blocks.reshape(groups * rows * columns, -1), None)
            return flat.reshape(groups, rows, columns)
        filters = weights.swapaxes(1, 2).reshape(groups * columns, inner, 1)
        channels = x.with_index(x.index.swapaxes(1, 2)).reshape(groups * inner, rows)
        done = self.conv(channels, filters, None, strides=[1], pads=[(0, 0)], dilations=[1], group=groups)
        done = done.reshape(groups, columns, rows)
        return done.with_index(done.index.swapaxes(1, 2))

    def conv(
        self,
        x: TensorRef,
        weights: Array,
        bias: Array | None,
        *,
        strides: Sequence[int],
        pads: Sequence[tuple[int, int]],
        dilations: Sequence[int],
        group: int,
    ) -> TensorRef:
        """Convolve rows `(channels, *sizes)` by weights `(filters, channels of a group, *kernel)`; see `conv_layer`."""
        document, shape = conv_layer(
            x.shape, weights, bias, strides=strides, pads=pads, dilations=dilations, group=group
        )
        return self._from_one(x, math.prod(shape), **document).reshape(*shape)

    def transposed_conv(
        self,
        x: TensorRef,
        weights: Array,
        bias: Array | None,
        *,
        strides: Sequence[int],
        pads: Sequence[tuple[int, int]],
        output_padding: Sequence[int],
        dilations: Sequence[int],
        group: int,
    ) -> TensorRef:
        """Convolve transposed by weights `(channels, filters of a group, *kernel)`; see `transposed_conv_layer`."""
        document, shape, taken = transposed_conv_layer(
            x.shape,
            weights,
            bias,
            strides=strides,
            pads=pads,
            output_padding=output_padding,
            dilations=dilations,
            group=group,
        )
        done = self._from_one(x, math.prod(shape), **document).reshape(*shape)
        return done.with_index(done.index[taken])

    def layer_norm(self, x: TensorRef, axes: int, gamma: Array | None, beta: Array | None, epsilon: float) -> TensorRef:
        """Normalize over the last axes, at each place of the other axes."""
        numbers = {key: array.ravel() for key, array in (("gamma", gamma), ("beta", beta)) if array is not None}
        groups = int(np.prod(x.shape[: len(x.shape) - axes], dtype=int))
        document: dict[str, Any] = {"groups": groups} if groups > 1 else {}
        document |= {key: np.tile(array, groups) for key, array in numbers.items()}
        return self._from_one(x, x.size, kind="layer_norm", epsilon=epsilon, **document).reshape(*x.shape)

    def group_norm(self, x: TensorRef, groups: int, epsilon: float) -> TensorRef:
        """Normalize each of several groups of consecutive elements of a row by its own moments."""
        return self._from_one(x, x.size, kind="layer_norm", epsilon=epsilon, groups=groups).reshape(*x.shape)

    def softmax(self, x: TensorRef, axis: int, activation: Activation) -> TensorRef:
        """Apply an activation that reads the elements along an axis together."""
        last = x.with_index(np.moveaxis(x.index, axis, -1))
        groups = x.size // last.shape[-1]
        kind = IN_GROUPS.get(activation) if isinstance(activation, str) else None
        if kind is not None and groups > 1:
            done = self._from_one(last, last.size, kind=kind, groups=groups).reshape(*last.shape)
        else:
            done = self._along_last(last, lambda part: self._from_one(part, part.size, **PASS, activation=activation))
        return done.with_index(np.moveaxis(done.index, -1, axis))

    def pool(self, x: TensorRef, windows: Indices, reduce: str) -> TensorRef:
        """Reduce windows, `(..., size)` of places in the flat row, to one element each."""
        if not windows.size:
            raise UnsupportedError("reduces no elements")
        self.check_windows(windows.size // windows.shape[-1], windows.shape[-1])
        nodes, places = self.all_nodes(x)
        inputs = places[windows].reshape(-1, windows.shape[-1])
        pooled = self.add_layer(self.hint, nodes, len(inputs), kind="pool", windows=inputs.tolist(), reduce=reduce)
        return pooled.reshape(*windows.shape[:-1])

    def matmul(self, left: TensorRef, right: TensorRef) -> TensorRef:
        """Multiply matrices `(groups, rows, inner)` by others, `(groups, inner, columns)`."""
        groups, rows, inner = left.shape
        columns = right.shape[-1]
        operands = [left.reshape(-1), right.reshape(-1)]
        if not set(left.sources) & set(right.sources):  # each is moved alone, if at all
            operands = [self.materialize(each, f"{self.hint}_input") for each in operands]
        flat = self.concatenate(operands)
        sizes: dict[str, Any] = {"groups": groups, "rows": rows, "inner": inner, "columns": columns}
        return self.add_layer(self.hint, flat, groups * rows * columns, kind="matmul", **sizes).reshape(
            groups, rows, columns
        )

    def elementwise(self, expression: str, *tensors: TensorRef) -> TensorRef:
        """Compute an expression over x, y and z, which are one to three tensors that broadcast."""
        wide = self._broadcast(tensors)
        if all(np.array_equal(x.index, wide[0].index) and x.sources == wide[0].sources for x in wide):
            alone = re.sub(r"\b[yz]\b", "x", expression)
            return self.activation(wide[0], {"expression": alone})
        flat = self.concatenate([x.reshape(-1) for x in wide])
        return self.add_layer(self.hint, flat, wide[0].size, kind="elementwise", expression=expression).reshape(
            *wide[0].shape
        )

    def constants(self, like: TensorRef, numbers: Array) -> TensorRef:
        """Return numbers that are the same for every row, by layers that read an element of a tensor."""
        flat = np.asarray(numbers, np.float64).ravel()
        first = like.with_index(np.repeat(like.columns[:1], flat.size))
        zeros = self._from_one(first, flat.size, kind="lookup", keys=[0.0], values=[0.0], default=0.0)
        return self._from_one(zeros, flat.size, **PASS, shift=flat).reshape(*np.shape(numbers))

    def embedding(self, x: TensorRef, table: Array) -> TensorRef:
        """Replace each category by its row of a table, `(categories, size)`."""
        self.whole.note_look_up(self, x, len(table))
        size = table.shape[1]
        return self._from_one(x, x.size * size, kind="embedding", table=table).reshape(*x.shape, size)

    def one_hot(self, x: TensorRef, categories: int) -> TensorRef:
        """Replace each category by one number for every category: 1 for that category, else 0."""
        self.whole.note_look_up(self, x, categories)
        known, places = np.tile(np.arange(categories), x.size), np.repeat(np.arange(x.size), categories)
        document = {"kind": "one_hot", "categories": known.astype(float), "indices": places.tolist()}
        return self._from_one(x, x.size * categories, **document).reshape(*x.shape, categories)

    def output(self, x: TensorRef, others: Sequence[str]) -> str:
        """Return a layer that has the elements of a tensor in C order and is not among the others."""
        source = self.materialize(x, self.hint).sources[0]
        if source in others or self.is_input(source):
            return self._add(self.hint, [source], "", x.size, PASS)
        return source

    def _broadcast(self, tensors: Sequence[TensorRef]) -> list[TensorRef]:
        """Return tensors with nothing pending in one shape."""
        plain = [self.without_pending(x) for x in tensors]
        shape = _common_shape(*(x.shape for x in plain))
        return [x.with_index(np.broadcast_to(x.index, shape)) for x in plain]

    def _permuted(self, x: TensorRef) -> TensorRef:
        x = self.without_pending(x)
        return x if self.is_permutation(x) else self.materialize(x, f"{self.hint}_input")

    def _elementwise(self, x: TensorRef, **document: Any) -> TensorRef:
        """Add a layer that computes each node of a permutation by itself, and return the same permutation of it."""
        return TensorRef(sources=(self._add(self.hint, x.sources, "", x.size, document),), index=x.index)

    def _by_node(self, x: TensorRef, numbers: Array) -> Array:
        """Return numbers for the elements of a permutation in the order of the nodes."""
        wide = np.broadcast_to(numbers, x.shape).ravel()
        ordered = np.empty(x.size, wide.dtype)
        ordered[x.columns] = wide
        return ordered

    def _from_one(self, x: TensorRef, width: int, **document: Any) -> TensorRef:
        """Add a layer that reads one source, all of its nodes in order."""
        return self.add_layer(self.hint, self.materialize(x, f"{self.hint}_input"), width, **document)

    def _along_last(self, x: TensorRef, compute: Callable[[TensorRef], TensorRef]) -> TensorRef:
        """Compute the elements along the last axis together, by one layer for each place of the other axes."""
        groups = x.size // x.shape[-1]
        if groups > self.max_groups:
            raise UnsupportedError(
                f"is computed for {groups:,} groups of elements in each row, a layer for each; at most "
                f"{self.max_groups} are read"
            )
        parts = [compute(x.with_index(place)) for place in x.index.reshape(-1, x.shape[-1])]
        return self.stack(parts, 0).reshape(*x.shape)


def _common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = ", ".join(str(list(shape)) for shape in shapes)
        raise UnsupportedError(f"gets shapes that do not fit: {shown}") from None
