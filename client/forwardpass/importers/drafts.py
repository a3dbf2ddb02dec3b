"""The layers of a network while a model is read, and where each value that a model computes is found among them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forwardpass.spec.limits import DEFAULT_LIMITS

Places: TypeAlias = NDArray[Any]
"""Whole numbers that say where something is."""

INPUTS: Final = "inputs"
"""What a layer reads that reads all inputs."""

PASS: Final[Mapping[str, Any]] = {"kind": "scale_shift"}
"""A layer that computes nothing before its activation."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Values:
    """Values that a model computes of each row, in the model's own shape and order.

    Attributes:
        sources: The layers or groups of inputs that have them, each once.
        index: Of any shape: where each value is among the sources' nodes side by side.
    """

    sources: tuple[str, ...]
    index: Places

    @property
    def width(self) -> int:
        """How many values there are for each row."""
        return int(self.index.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Their shape, without the axis of rows."""
        return self.index.shape

    def reshaped(self, *shape: int) -> "Values":
        """Return the same values in another shape, read in C order."""
        return replace(self, index=self.index.reshape(shape))

    def take(self, places: Any, axis: int = 0) -> "Values":
        """Return the values at some places of an axis."""
        return replace(self, index=np.take(self.index, places, axis=axis))


class Draft:
    """Layers as `spec.parse` reads them, each after what it reads.

    Attributes:
        layers: The layers so far.
    """

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = []
        self._widths: dict[str, int] = {}

    def inputs(self, width: int, name: str = INPUTS) -> Values:
        """Note all inputs, or a group of them."""
        self._widths[name] = width
        return self.nodes(name)

    def nodes(self, name: str) -> Values:
        """Return all nodes of a layer or group."""
        return Values(sources=(name,), index=np.arange(self._widths[name]))

    def layer(
        self, hint: str, reads: Values | Sequence[Values], width: int | None = None, *, merge: str = "", **document: Any
    ) -> Values:
        """Add a layer that reads values just as they are, and return its nodes.

        Args:
            hint: Its name, as far as it is free and may be one.
            reads: What it reads, flattened in C order: values, or several that are to be merged.
            width: How many nodes it has; as many as it reads when left out.
            merge: How several become one.
            document: What else a spec says of it.
        """
        several = [reads] if isinstance(reads, Values) else list(reads)
        plain = [self._plain(values, hint, alone=len(several) == 1) for values in several]
        sources = [source for values in plain for source in values.sources]
        if len(several) == 1:
            merge = "concatenate" if len(sources) > 1 else ""
        for place, source in enumerate(sources):
            if source in sources[:place]:  # which a layer may not name twice
                sources[place] = self._add(hint, [source], "", self._widths[source], PASS).sources[0]
        return self._add(hint, sources, merge, width or several[0].width, document)

    def join(self, parts: Sequence[Values], axis: int = -1) -> Values:
        """Return values put side by side along an axis; no layer is needed for it."""
        sources = tuple(dict.fromkeys(source for part in parts for source in part.sources))
        starts = dict(zip(sources, self._starts(sources), strict=True))
        moved = []
        for part in parts:
            # Where each place among the part's own sources is among all.
            places = [np.arange(self._widths[source]) + starts[source] for source in part.sources]
            moved.append(np.concatenate(places)[part.index])
        return Values(sources=sources, index=np.concatenate(moved, axis=axis))

    def whole(self, values: Values) -> tuple[Values, Places]:
        """Return all nodes of what has the values, and where these are among them; for layers that choose."""
        values = self._without_unread(values)
        total = sum(self._widths[source] for source in values.sources)
        return Values(sources=values.sources, index=np.arange(total)), values.index.ravel()

    def settled(self, values: Values, hint: str) -> Values:
        """Return the same values as just the nodes of one layer, which is added where there is none."""
        plain = self._plain(values, hint, alone=False)
        return replace(plain, index=plain.index.reshape(values.shape))

    def free_name(self, hint: str) -> str:
        """Return a name that nothing has, as like the hint as a name may be."""
        name = safe_name(hint)
        words = (name, *(f"{name}_{number}" for number in range(2, len(self._widths) + 3)))
        return next(word for word in words if word not in self._widths and word != INPUTS)

    def _plain(self, values: Values, hint: str, *, alone: bool) -> Values:
        """Return values as all nodes of their sources in order: of one source, or of several where it stands alone."""
        values = self._without_unread(values)
        total = sum(self._widths[source] for source in values.sources)
        straight = values.width == total and bool((values.index.ravel() == np.arange(total)).all())
        if straight and (alone or len(values.sources) == 1):
            return values
        merge = "concatenate" if len(values.sources) > 1 else ""
        document = PASS if straight else {"kind": "take", "indices": values.index.ravel()}
        return self._add(f"{hint}_input", values.sources, merge, values.width, document)

    def _without_unread(self, values: Values) -> Values:
        """Leave out sources of which no node is read."""
        starts = self._starts(values.sources)
        places = np.searchsorted(starts, values.index.ravel(), side="right") - 1
        read = np.unique(places)
        if len(read) == len(values.sources):
            return values
        sources = tuple(values.sources[place] for place in read)
        moves = np.zeros(len(values.sources), dtype=np.int64)
        moves[read] = np.asarray(starts)[read] - self._starts(sources)
        return Values(sources=sources, index=values.index - moves[places].reshape(values.shape))

    def _starts(self, sources: Sequence[str]) -> list[int]:
        """Return where each source begins when they are side by side."""
        widths = [self._widths[source] for source in sources]
        return np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(int).tolist() if widths else []

    def _add(self, hint: str, sources: Sequence[str], merge: str, width: int, document: Mapping[str, Any]) -> Values:
        name = self.free_name(hint)
        self._widths[name] = width
        self.layers.append({"name": name, **document, "from": list(sources), **({"merge": merge} if merge else {})})
        return self.nodes(name)


def safe_name(hint: str) -> str:
    """Return a name that a layer may have, as like the hint as can be."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", hint).strip("_.-")[: DEFAULT_LIMITS.max_name_length - 8] or "layer"
