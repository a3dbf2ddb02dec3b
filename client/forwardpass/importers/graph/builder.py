"""The builder of a network's layers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final, TypeVar

import numpy as np

from forwardpass.importers.graph.tensor_ref import Indices, TensorRef
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS

INPUTS: Final = "inputs"
"""The source of a layer that reads all inputs."""

PASS: Final[Mapping[str, Any]] = {"kind": "scale_shift"}
"""A layer that passes on what it reads; only its activation computes."""

_MAX_NAME: Final = DEFAULT_LIMITS.max_name_length - 8
"""Leaves room for the number that makes a name unique."""

_MAX_PLACES: Final = 64 * DEFAULT_LIMITS.max_width
"""The most places in all windows of a layer."""

Ref = TypeVar("Ref", bound=TensorRef)


class GraphBuilder:
    """Adds the layers of one network, in the form that `spec.parse` reads, each after the layers that it reads.

    Attributes:
        layers: The builder of the layers.
    """

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = []
        self._widths: dict[str, int] = {}
        self._groups: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._gathered: dict[tuple[object, ...], str] = {}

    def add_inputs(self, width: int, name: str = INPUTS) -> TensorRef:
        """Declare all inputs, or a group of them, and return them."""
        self._widths[name] = width
        self._groups.add(name)
        return self.nodes_of(name)

    def width(self, source: str) -> int:
        """Return the number of nodes of a layer, or of inputs of a group."""
        return self._widths[source]

    def is_input(self, source: str) -> bool:
        """Return whether a source is a group of inputs, or all of them."""
        return source in self._groups

    def first_group(self) -> str:
        """Return the group of inputs that was declared first."""
        return next(source for source in self._widths if source in self._groups)

    def nodes_of(self, source: str) -> TensorRef:
        """Return all nodes of a layer or group, `(width,)`."""
        return TensorRef(sources=(source,), index=np.arange(self._widths[source]))

    def origins(self, tensor: TensorRef) -> list[tuple[str, int]]:
        """Return the source of each element and its place there, in C order."""
        nodes = [(source, place) for source in tensor.sources for place in range(self._widths[source])]
        return [nodes[column] for column in tensor.columns.tolist()]

    def add_layer(
        self,
        hint: str,
        reads: TensorRef | Sequence[TensorRef],
        width: int | None = None,
        *,
        merge: str = "",
        **document: Any,
    ) -> TensorRef:
        """Add a layer and return its nodes, `(width,)`.

        Args:
            hint: The preferred name; the name is this one as far as it is valid and free.
            reads: The tensor that the layer reads, flattened in C order, or several that are merged.
            width: The number of nodes; that of the elements read when left out.
            merge: The merge of several tensors.
            document: The other fields of the layer in a spec.
        """
        tensors = [reads] if isinstance(reads, TensorRef) else list(reads)
        plain = [self._gather(tensor, f"{hint}_input", alone=len(tensors) == 1) for tensor in tensors]
        sources = [source for tensor in plain for source in tensor.sources]
        if len(tensors) == 1:
            merge = "concatenate" if len(sources) > 1 else ""
        name = self._add(hint, self._distinct(hint, sources), merge, width or tensors[0].size, document)
        return self.nodes_of(name)

    def concatenate(self, tensors: Sequence[TensorRef], axis: int = -1) -> TensorRef:
        """Return tensors joined along an axis that they have; no layer is added."""
        self.check_size(sum(tensor.size for tensor in tensors))
        sources, indices = self.side_by_side(tensors)
        return TensorRef(sources=sources, index=np.concatenate(indices, axis=axis))

    def stack(self, tensors: Sequence[TensorRef], axis: int = -1) -> TensorRef:
        """Return tensors joined along a new axis; no layer is added."""
        sources, indices = self.side_by_side(tensors)
        return TensorRef(sources=sources, index=np.stack(indices, axis=axis))

    def all_nodes(self, tensor: Ref) -> tuple[Ref, Indices]:
        """Return all nodes of a tensor's sources, and the place of each element among them, `(size,)`.

        For layers that select what they read, such as `one_hot`, `take` and `pool`.
        """
        tensor = self._without_unread(self.without_pending(tensor))
        total = sum(self._widths[source] for source in tensor.sources)
        return replace(tensor, index=np.arange(total)), tensor.columns

    def materialize(self, tensor: Ref, hint: str) -> Ref:
        """Return a tensor as all nodes of one layer in C order; the layer is added where there is none."""
        plain = self._gather(tensor, hint, alone=False)
        return plain.with_index(plain.index.reshape(tensor.shape))

    def without_pending(self, tensor: Ref) -> Ref:
        """Return a tensor whose functions are computed; a builder without pending functions has no others."""
        return tensor

    def is_straight(self, tensor: TensorRef) -> bool:
        """Return whether a tensor is all nodes of its sources side by side, in C order."""
        total = sum(self._widths[source] for source in tensor.sources)
        return tensor.size == total and bool((tensor.columns == np.arange(total)).all())

    def is_permutation(self, x: TensorRef) -> bool:
        """Return whether the elements are all nodes of one source, each once, in any order."""
        if len(x.sources) != 1 or x.size != self.width(x.sources[0]):
            return False
        return bool((np.sort(x.index, axis=None) == np.arange(x.size)).all())

    def check_size(self, elements: int) -> None:
        """Reject more elements in a row of a tensor than a layer may have, before they are made.

        Raises:
            UnsupportedError: There are more.
        """
        if elements > DEFAULT_LIMITS.max_width:
            raise UnsupportedError(
                f"has {elements:,} elements for each row; at most {DEFAULT_LIMITS.max_width:,} are allowed"
            )

    def check_windows(self, windows: int, size: int) -> None:
        """Reject more windows, or places in them, than a layer may have, before they are made.

        Raises:
            UnsupportedError: There are more.
        """
        self.check_size(windows)
        if windows * size > _MAX_PLACES:
            raise UnsupportedError(f"has windows that are too many or too large, {windows:,} of {size:,} places")

    def free_name(self, hint: str) -> str:
        """Return a name that no layer or group has, as like the hint as a name may be."""
        name = safe_name(hint)
        if name != INPUTS and name not in self._widths:
            return name
        for number in count(self._numbers.get(name, 2)):
            if (numbered := f"{name}_{number}") not in self._widths:
                self._numbers[name] = number
                return numbered
        raise AssertionError("numbers do not end")

    def _gather(self, tensor: Ref, hint: str, *, alone: bool) -> Ref:
        """Return a tensor as all nodes of its sources in order: of one source, or of several where it stands alone."""
        tensor = self._without_unread(tensor)
        straight = self.is_straight(tensor)
        if straight and (alone or len(tensor.sources) == 1):
            return tensor
        columns = tensor.columns.astype(np.int32)  # half the bytes; no tensor has 2^31 elements
        key = tensor.sources, columns.tobytes()
        if key not in self._gathered:
            merge = "concatenate" if len(tensor.sources) > 1 else ""
            document = PASS if straight else {"kind": "take", "indices": columns}
            self._gathered[key] = self._add(hint, tensor.sources, merge, tensor.size, document)
        return replace(tensor, sources=(self._gathered[key],), index=np.arange(tensor.size))

    def _without_unread(self, tensor: Ref) -> Ref:
        """Leave out the sources that no element comes from."""
        starts = self._starts(tensor.sources)
        places = np.searchsorted(starts, tensor.columns, side="right") - 1
        read = np.unique(places)
        if len(read) == len(tensor.sources):
            return tensor
        sources = tuple(tensor.sources[place] for place in read)
        moves = np.zeros(len(tensor.sources), dtype=np.int64)
        moves[read] = np.asarray(starts)[read] - self._starts(sources)
        return replace(tensor, sources=sources, index=tensor.index - moves[places].reshape(tensor.shape))

    def side_by_side(self, tensors: Iterable[TensorRef]) -> tuple[tuple[str, ...], list[Indices]]:
        """Return the sources of several tensors, and the index of each tensor among all of these."""
        tensors = [self.without_pending(tensor) for tensor in tensors]
        sources = tuple(dict.fromkeys(source for tensor in tensors for source in tensor.sources))
        starts = dict(zip(sources, self._starts(sources), strict=True))
        indices = []
        for tensor in tensors:
            places = [np.arange(self._widths[source]) + starts[source] for source in tensor.sources]
            indices.append(np.concatenate(places)[tensor.index])
        return sources, indices

    def _starts(self, sources: Sequence[str]) -> list[int]:
        """Return the first node of each source when they stand side by side."""
        widths = [self._widths[source] for source in sources]
        return np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(int).tolist() if widths else []

    def _distinct(self, hint: str, sources: Sequence[str]) -> list[str]:
        """Replace repeated sources by layers that copy them, since a layer may name a source once only."""
        distinct: list[str] = []
        for source in sources:
            if source in distinct:
                source = self._add(hint, [source], "", self._widths[source], PASS)  # noqa: PLW2901 - its copy
            distinct.append(source)
        return distinct

    def _add(self, hint: str, sources: Sequence[str], merge: str, width: int, document: Mapping[str, Any]) -> str:
        """Add a layer of the given fields and return its name."""
        name = self.free_name(hint)
        self._widths[name] = width
        self.layers.append({"name": name, **document, "from": list(sources), **({"merge": merge} if merge else {})})
        return name


def safe_name(hint: str) -> str:
    """Return a valid layer name as like the hint as can be; of a long hint, the end, which differs most."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", hint[-_MAX_NAME:]).strip("_.-")
    return name or "layer"
