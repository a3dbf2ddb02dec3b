"""From operations on rows to the layers of a spec. It knows numpy and the kinds of layers, and no framework."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.importers.pytorch.rows import Indices, Rows, all_of
from forwardpass.importers.pytorch.tidying import PLAIN
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

Function: TypeAlias = str | Mapping[str, Any]
"""An activation as a spec has it."""

_MAX_NAME: Final = 100


class RefusedError(Exception):
    """What an operation does cannot be said by layers; the message says why and what to do."""


class Builder:
    """Adds the layers of one network.

    What an operation reads is `Rows`, and so is what it returns. Its layers are called after `at`, which the caller
    sets to the operation's place.

    Attributes:
        at: The place.
        layers: What was added, each after what it reads.
        categories: How many categories an input may be, where it is looked up, by its source and place there.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.at = "layer"
        self.layers: list[dict[str, Any]] = []
        self.categories: dict[tuple[str, int], int] = {}
        self._inputs = frozenset(inputs)
        self._names = {"inputs", *inputs}
        self._taken: dict[tuple[str, bytes], str] = {}

    def take(self, rows: Rows) -> str:
        """Return a source that has these numbers in this order and no others."""
        if rows.is_source:
            return rows.source
        key = rows.source, rows.index.astype(np.int64).tobytes()
        if key not in self._taken:
            self._taken[key] = self._add([rows.source], kind="take", indices=rows.index.ravel().tolist())
        return self._taken[key]

    def function(self, rows: Rows, function: Function) -> Rows:
        """Apply a function to each number."""
        rows = self._in_order(rows)
        return self._like(rows, self._add([rows.source], kind=PLAIN, activation=function))

    def scale_shift(self, rows: Rows, scale: Array | None, shift: Array | None) -> Rows:
        """Compute `rows * scale + shift`, numbers of the shape of one row or one that widens it."""
        shapes = [array.shape for array in (scale, shift) if array is not None]
        rows = self._in_order(rows.moved(np.broadcast_to(rows.index, _common(rows.shape, *shapes))))
        numbers = {
            key: _in_source(rows, array) for key, array in (("scale", scale), ("shift", shift)) if array is not None
        }
        return self._like(rows, self._add([rows.source], kind=PLAIN, **numbers))

    def clip(self, rows: Rows, low: Array | None, high: Array | None) -> Rows:
        """Bound each number by numbers of a shape that fits."""
        rows = self._in_order(rows)
        bounds = {key: _in_source(rows, array) for key, array in (("low", low), ("high", high)) if array is not None}
        return self._like(rows, self._add([rows.source], kind="clip", **bounds))

    def merge(self, operands: Sequence[Rows], merge: str) -> Rows:
        """Merge numbers one by one; shapes that differ are widened as numpy does it."""
        shape = _common(*(rows.shape for rows in operands))
        wide = [rows.moved(np.broadcast_to(rows.index, shape)) for rows in operands]
        if all(rows.is_permutation and np.array_equal(rows.index, wide[0].index) for rows in wide):
            sources, like = [rows.source for rows in wide], wide[0]
        else:
            sources, like = [self.take(rows) for rows in wide], all_of("", shape)
        return self._like(like, self._add(self._different(sources), kind=PLAIN, merge=merge))

    def join(self, parts: Sequence[Rows], put: Callable[[list[Indices]], Indices]) -> Rows:
        """Put arrays together, `put` doing so with arrays of indices: `numpy.concatenate` or `numpy.stack`."""
        sources = [self.take(rows) for rows in parts]
        ends = np.cumsum([rows.size for rows in parts])
        index = put([all_of("", rows.shape).index + end - rows.size for rows, end in zip(parts, ends, strict=True)])
        if len(parts) == 1:
            return Rows(source=sources[0], width=parts[0].size, index=index)
        name = self._add(self._different(sources), kind=PLAIN, merge="concatenate")
        return Rows(source=name, width=int(ends[-1]), index=index)

    def dense(self, rows: Rows, weights: Array, bias: Array | None, mask: Array | None = None) -> Rows:
        """Compute `weights @ x + bias` of the last axis, `(outputs, inputs)`; places on other axes each for itself."""
        outputs, inputs = weights.shape
        if not rows.shape or rows.shape[-1] != inputs:
            raise RefusedError(f"reads {inputs} numbers and gets rows of shape {list(rows.shape)}")
        places = rows.size // inputs
        if places > 1:
            if places**2 * weights.size > DEFAULT_LIMITS.max_parameters:
                raise RefusedError(f"is computed at {places} places of each row, which makes too large a layer")
            each = np.eye(places, dtype=weights.dtype)
            weights, mask = np.kron(each, weights), None if mask is None else np.kron(each, mask)
            bias = None if bias is None else np.tile(bias, places)
        numbers = {"weights": weights, "bias": bias, "mask": mask}
        name = self._add([self.take(rows)], **{key: array for key, array in numbers.items() if array is not None})
        return all_of(name, (*rows.shape[:-1], outputs))

    def batch_norm(self, rows: Rows, *, epsilon: float, **numbers: Array | None) -> Rows:
        """Normalize by `mean`, `variance`, `gamma` and `beta`, each of the shape of one row or one that fits."""
        rows = self._in_order(rows)
        given = {key: _in_source(rows, array) for key, array in numbers.items() if array is not None}
        return self._like(rows, self._add([rows.source], kind="batch_norm", epsilon=epsilon, **given))

    def layer_norm(self, rows: Rows, axes: int, gamma: Array | None, beta: Array | None, epsilon: float) -> Rows:
        """Normalize over the last axes, each place on the others for itself."""
        numbers = {key: array.ravel() for key, array in (("gamma", gamma), ("beta", beta)) if array is not None}

        def whole(source: str) -> str:
            return self._add([source], kind="layer_norm", epsilon=epsilon, **numbers)

        flat = rows.index.reshape(*rows.shape[: len(rows.shape) - axes], -1)
        done = self._by_place(rows.moved(flat), whole)
        return done.moved(done.index.reshape(rows.shape))

    def softmax(self, rows: Rows, axis: int, function: Function) -> Rows:
        """Apply a function that reads numbers together, those along an axis."""
        last = rows.moved(np.moveaxis(rows.index, axis, -1))
        done = self._by_place(last, lambda source: self._add([source], kind=PLAIN, activation=function))
        return done.moved(np.moveaxis(done.index, -1, axis))

    def pool(self, rows: Rows, windows: Indices, reduce: str) -> Rows:
        """Reduce windows, `(..., size)` of places in the flat row, to one number each."""
        inputs = rows.index.ravel()[windows].reshape(-1, windows.shape[-1])
        name = self._add([rows.source], kind="pool", windows=inputs.tolist(), reduce=reduce)
        return all_of(name, windows.shape[:-1])

    def embedding(self, rows: Rows, table: Array) -> Rows:
        """Replace each category by its row of a table, `(categories, size)`."""
        self._note_categories(rows, len(table))
        name = self._add([self.take(rows)], kind="embedding", table=table)
        return all_of(name, (*rows.shape, table.shape[1]))

    def one_hot(self, rows: Rows, categories: int) -> Rows:
        """Replace each category by as many numbers as there are categories, all 0 but one."""
        self._note_categories(rows, categories)
        known, places = np.tile(np.arange(categories), rows.size), np.repeat(np.arange(rows.size), categories)
        name = self._add([self.take(rows)], kind="one_hot", categories=known.astype(float), indices=places.tolist())
        return all_of(name, (*rows.shape, categories))

    def output(self, rows: Rows, others: Sequence[str]) -> str:
        """Return a layer that has these numbers, and is none of the others."""
        source = self.take(rows)
        if source in others or all(layer["name"] != source for layer in self.layers):
            return self._add([source], kind=PLAIN)
        return source

    def _note_categories(self, rows: Rows, count: int) -> None:
        if rows.source not in self._inputs:
            raise RefusedError("reads categories that are computed; only the model's inputs can be categories")
        for place in rows.index.ravel().tolist():
            key = rows.source, place
            self.categories[key] = min(count, self.categories.get(key, count))

    def _in_order(self, rows: Rows) -> Rows:
        """Return rows whose numbers are all of their source's, taken out of it where need be."""
        return rows if rows.is_permutation else all_of(self.take(rows), rows.shape)

    def _by_place(self, rows: Rows, add: Callable[[str], str]) -> Rows:
        """Add a layer for each place on all axes but the last, and put their numbers together."""
        places = rows.index.reshape(-1, rows.shape[-1])
        parts = [all_of(add(self.take(rows.moved(place))), place.shape) for place in places]
        joined = self.join(parts, np.stack)
        return joined.moved(joined.index.reshape(rows.shape))

    def _different(self, sources: Sequence[str]) -> list[str]:
        """Let no source be named twice, which a layer's `from` does not allow."""
        different: list[str] = []
        for source in sources:
            different.append(self._add([source], kind=PLAIN) if source in different else source)
        return different

    def _like(self, rows: Rows, source: str) -> Rows:
        return Rows(source=source, width=rows.width, index=rows.index)

    def _add(self, sources: Sequence[str], **document: Any) -> str:
        name = self._name()
        self.layers.append({"name": name, "from": list(sources), **document})
        return name

    def _name(self) -> str:
        """Return a name for a layer, after the operation that it is made for."""
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", self.at)[-_MAX_NAME:].lstrip(".-") or "layer"
        base = f"layer_{base}" if base[0].isdigit() else base
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}.{count}"
        self._names.add(name)
        return name


def _common(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise RefusedError(f"gets shapes that do not fit: {', '.join(str(list(shape)) for shape in shapes)}") from None


def _in_source(rows: Rows, numbers: Array) -> Array:
    """Return numbers for the row's shape as numbers for the nodes of its source."""
    wide = np.broadcast_to(numbers, rows.shape).ravel()
    ordered = np.empty(rows.width, wide.dtype)
    ordered[rows.index.ravel()] = wide
    return ordered
