"""The layers of a network while its graph is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.functions import Function, X, scaled
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.values import Flow
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits

PASS: Final[Mapping[str, Any]] = {"kind": "scale_shift"}
"""A layer that computes nothing before its activation."""

MAX_ELEMENTS: Final = 8_388_608
"""How many elements all tensors of a graph may have for one row; it bounds the time that reading takes."""


MAX_MADE: Final = 1_048_576
"""How many weights or windows a layer may have that the file has not as numbers."""

MAX_CONSTANTS: Final = 1_048_576
"""How many elements constants may have together that are made of others, besides a few times those of the file."""


class Draft:
    """Layers as `spec.parse` reads them, each with what it reads.

    Attributes:
        layers: The layers so far.
        kinds: The element types that something is computed in.
        narrowed: Whether float64 was cast to float32 somewhere.
        values: The numbers that an input may have, by group and place, where something looks them up.
        missing: Whether something fills in what is missing.
        classes: What the graph calls its classes, or empty.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.layers: list[dict[str, Any]] = []
        self.kinds: set[str] = set()
        self.narrowed = False
        self.values: dict[tuple[str, int], Sequence[float]] = {}
        self.missing = False
        self.classes: tuple[str, ...] = ()
        self._limits = limits
        self._groups: set[str] = set()
        self._widths: dict[str, int] = {}
        self._settled: dict[tuple[Any, ...], str] = {}
        self._elements = 0
        self._constants = MAX_CONSTANTS

    def inputs(self, name: str, width: int) -> None:
        """Note a group of inputs, or all inputs."""
        self._groups.add(name)
        self._widths[name] = width

    def width(self, source: str) -> int:
        """Return how many nodes a layer has, or inputs a group."""
        return self._widths[source]

    def is_input(self, source: str) -> bool:
        """Whether a source is a group of inputs, or all of them."""
        return source in self._groups

    def computes(self, kind: str) -> None:
        """Note the element type that something is computed in."""
        if kind in {"float32", "float64"}:
            self.kinds.add(kind)

    def all_of(self, flow: Flow) -> Flow:
        """Return all that a tensor's sources have, as a tensor of one axis."""
        width = sum(self._widths[source] for source in flow.sources)
        return replace(flow, index=np.arange(width), rows=None, function=None)

    def among(self, flow: Flow, values: Sequence[float]) -> None:
        """Note which numbers something expects of a tensor's elements, where they are inputs."""
        places = [(source, place) for source in flow.sources for place in range(self._widths[source])]
        for column in flow.columns.tolist():
            if flow.function is None and places[column][0] in self._groups:
                self.values.setdefault(places[column], values)

    def named(self, hint: str) -> str:
        """Return a name that no layer has, as like the hint as a name may be."""
        most = self._limits.max_name_length - 8
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", hint[: 2 * most]).strip("_.")[:most] or "layer"
        words = chain([name], (f"{name}_{number}" for number in count(2)))
        return next(word for word in words if word != "inputs" and word not in self._widths)

    def claim(self, elements: int) -> None:
        """Judge a tensor's size before it is made.

        Raises:
            Refused: It is too large, or all are together.
        """
        if elements < 1:
            raise Refused("makes a tensor of no elements")
        if elements > self._limits.max_width:
            raise Refused(f"has {elements:,} elements for each row; at most {self._limits.max_width:,} are allowed")
        self._elements += elements
        if self._elements > MAX_ELEMENTS:
            raise Refused(f"is one tensor too many: together they have more than {MAX_ELEMENTS:,} elements for a row")

    def claim_weights(self, outputs: int, inputs: int, *, made: bool = False) -> None:
        """Judge a layer's weights or windows before they are made.

        Args:
            outputs: How many nodes the layer has.
            inputs: How many weights each has.
            made: Whether they are more than the file has numbers.
        """
        most = MAX_MADE if made else self._limits.max_parameters
        if outputs * inputs > most:
            raise Refused(f"would be a layer of {outputs:,} x {inputs:,} weights; at most {most:,} are allowed")

    def allow_constant(self, elements: int) -> None:
        """Note a constant of the file, which may be computed with a few times."""
        self._constants += 4 * elements

    def claim_constant(self, elements: int) -> None:
        """Judge a constant's size before it is made of others."""
        self._constants -= elements
        if self._constants < 0:
            raise Refused(f"makes a constant of {elements:,} elements, with which all are too many")

    def layer(self, hint: str, flows: Sequence[Flow], width: int, *, merge: str | None = None, **document: Any) -> str:
        """Add a layer that reads tensors just as they are, and return its name.

        Args:
            hint: What the graph calls it.
            flows: What it reads: one tensor, or several to be merged.
            width: How many nodes it has.
            merge: How several become one; a single tensor's sources are put side by side.
            document: What else a spec says of it.
        """
        sources = [source for flow in flows for source in self._sources(flow, hint)]
        if merge is not None:
            sources = self._distinct(sources, hint)
        elif len(sources) > 1:
            merge = "concatenate"
        return self._add(hint, sources, merge, width, document)

    def nodes(self, name: str, shape: Sequence[int], rows: int | None, kind: str) -> Flow:
        """Return all nodes of a layer as a tensor."""
        index = np.arange(self._widths[name]).reshape(shape)
        return Flow(sources=(name,), index=index, rows=rows, kind=kind)

    def like(self, name: str, flow: Flow, kind: str = "") -> Flow:
        """Return all nodes of a layer as a tensor of another one's shape."""
        return self.nodes(name, flow.shape, flow.rows, kind or flow.kind)

    def settle(self, flow: Flow, hint: str) -> Flow:
        """Return a tensor as just the nodes of one layer, which is made where there is none."""
        if flow.function is None and len(flow.sources) == 1 and self._is_straight(flow):
            return flow
        function = None if flow.function is None else flow.function.tree
        key = flow.sources, flow.columns.tobytes(), function
        if key not in self._settled:
            self._settled[key] = self._make(flow, flow.name or hint)
        return self.like(self._settled[key], flow)

    def is_plain(self, flow: Flow) -> bool:
        """Whether a tensor is its sources' nodes side by side, with nothing left to compute."""
        return flow.function is None and self._is_straight(flow)

    def _make(self, flow: Flow, hint: str) -> str:
        scaling = None if flow.function is None or flow.function.activation else scaled(flow.function)
        if scaling is not None:
            scale, shift, activation = scaling
            given = {"scale": scale, "shift": shift}
            numbers = {key: np.full(flow.index.size, value) for key, value in given.items() if value is not None}
            plain = replace(flow, function=None)
            whole: dict[str, Any] = {"kind": "scale_shift", **numbers, "activation": activation}
            return self.layer(hint, [plain], flow.index.size, **whole)
        document: dict[str, Any] = dict(PASS)
        if not self._is_straight(flow):
            document = {"kind": "take", "indices": flow.columns.tolist()}
        if flow.function is not None:
            document["activation"] = flow.function.document()
        merge = "concatenate" if len(flow.sources) > 1 else None
        return self._add(hint, list(flow.sources), merge, flow.index.size, document)

    def _sources(self, flow: Flow, hint: str) -> tuple[str, ...]:
        return flow.sources if self.is_plain(flow) else self.settle(flow, hint).sources

    def _distinct(self, sources: list[str], hint: str) -> list[str]:
        """Read a layer that is named twice through a copy."""
        for place, source in enumerate(sources):
            if source in sources[:place]:
                sources[place] = self._add(hint, [source], None, self._widths[source], PASS)
        return sources

    def _is_straight(self, flow: Flow) -> bool:
        width = sum(self._widths[source] for source in flow.sources)
        return flow.index.size == width and bool((flow.columns == np.arange(width)).all())

    def _add(
        self, hint: str, sources: Sequence[str], merge: str | None, width: int, document: Mapping[str, Any]
    ) -> str:
        if len(self.layers) >= 4 * self._limits.max_layers:  # some of them will be fused
            raise Refused(f"needs one layer more than the {len(self.layers):,} before it, which are too many")
        self.claim(width)
        name = self.named(hint)
        self._widths[name] = width
        self.layers.append(
            {"name": name, **document, "from": list(sources), **({} if merge is None else {"merge": merge})}
        )
        return name


def with_function(flow: Flow, function: Function, kind: str = "") -> Flow:
    """Return a tensor of whose elements a function is still to be computed."""
    return replace(flow, function=None if function.tree == X else function, kind=kind or flow.kind)


def columns_of(flow: Flow, numbers: Array) -> Array:
    """Return a constant's number for each element of a row, broadcast as ONNX does it."""
    return np.broadcast_to(numbers, flow.shape).ravel()
