"""Whole numbers that are looked up: of inputs, to which a constant may be added, and computed ones of known bounds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forwardpass.importers.graph.builder import GraphBuilder
from forwardpass.importers.graph.tensor_ref import TensorRef
from forwardpass.importers.unsupported import UnsupportedError

_MOVES = frozenset({"take", "scale_shift"})
_ADDS = frozenset({"name", "kind", "from", "merge", "indices", "shift"})


class WholeNumbers:
    """The inputs that are categories, and the layers that compute whole numbers from 0.

    Attributes:
        categories: The categories of each input that is looked up, by its source and place there.
        counts: A number that all numbers of a layer are below, by the layer; its numbers are whole and from 0.
        shifted: Inputs to which a constant was added, with the name of what added it; they must be looked up.
    """

    def __init__(self) -> None:
        self.categories: dict[tuple[str, int], range] = {}
        self.counts: dict[str, int] = {}
        self.shifted: list[tuple[str, TensorRef]] = []

    def note_computed(self, x: TensorRef, count: int) -> None:
        """Note that a tensor, all nodes of its sources, has whole numbers from 0 and below a count."""
        self.counts |= dict.fromkeys(x.sources, count)

    def note_look_up(self, graph: GraphBuilder, x: TensorRef, count: int) -> None:
        """Note that the numbers of a tensor choose among a count of rows of a table.

        Raises:
            UnsupportedError: A number may be no row of the table.
        """
        for source, place, shift in shifted_origins(graph, x):
            if graph.is_input(source):
                before = self.categories.get((source, place), range(count - shift))
                known = range(max(before.start, -shift), min(before.stop, count - shift))
                if not known:
                    raise UnsupportedError(f"looks up what is never from 0 to {count - 1}")
                self.categories[source, place] = known
            elif shift < 0 or source not in self.counts or self.counts[source] + shift > count:
                raise UnsupportedError(
                    f"reads categories that are computed, and may not be from 0 to {count - 1}; inputs can be "
                    "categories, with a constant added, and places such as those of argmax"
                )


def shifted_origins(graph: GraphBuilder, x: TensorRef) -> Iterator[tuple[str, int, int]]:
    """Yield the input or layer of each element, its place there, and what was added since."""
    layers = {layer["name"]: layer for layer in graph.layers}
    for origin in graph.origins(x):
        source, place, shift = *origin, 0.0
        while source in layers and _only_adds(layers[source]):
            layer = layers[source]
            shift += float(layer["shift"][place]) if "shift" in layer else 0.0
            place = int(layer["indices"][place]) if "indices" in layer else place
            source, place = _read(graph, layer["from"], place)
        if not shift.is_integer():
            raise UnsupportedError(f"reads categories to which {shift} is added, which is no whole number")
        yield source, place, int(shift)


def _only_adds(layer: Mapping[str, Any]) -> bool:
    return layer.get("kind") in _MOVES and layer.keys() <= _ADDS and layer.get("merge", "concatenate") == "concatenate"


def _read(graph: GraphBuilder, sources: Sequence[str], place: int) -> tuple[str, int]:
    """Return the source of a place among sources side by side, and the place there."""
    for source in sources:
        if place < graph.width(source):
            return source, place
        place -= graph.width(source)
    raise AssertionError("a layer reads no further than its sources")
