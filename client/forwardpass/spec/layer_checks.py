"""What the arrays of a layer must be to one another, and to what the layer reads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from forwardpass.spec.faults import Faults, join
from forwardpass.spec.outline import Outline
from forwardpass.tensors import Array

_Problem: TypeAlias = tuple[tuple[str | int, ...], str]


def check_layers(layers: Sequence[Any], outline: Outline, faults: Faults) -> None:
    """Note every number of a layer that does not fit others. The layers' fields are right by themselves."""
    for index, (layer, declared) in enumerate(zip(layers, outline.layers, strict=True)):
        for place, message in _CHECKS.get(str(declared.kind), _none)(layer, declared.inputs or 0):
            faults.add(join("spec", "layers", index, *place), message)


def _none(_layer: Any, _inputs: int) -> Iterator[_Problem]:
    return iter(())


def _bounds(layer: Any, _inputs: int) -> Iterator[_Problem]:
    if layer.low is not None and layer.high is not None:
        for place in np.flatnonzero(layer.high < layer.low).tolist():
            yield ("high", place), f"is {layer.high[place]:g}, which is less than the low of {layer.low[place]:g}"


def _categories(layer: Any, inputs: int) -> Iterator[_Problem]:
    places = np.zeros(len(layer.categories)) if layer.indices is None else layer.indices
    yield from _within("indices", places, inputs)
    first: dict[tuple[float, float], int] = {}
    for node, pair in enumerate(zip(places.tolist(), layer.categories.tolist(), strict=True)):
        if first.setdefault(pair, node) != node:
            yield ("categories", node), f"is the category of node {first[pair]} already, for the same value"


def _indices(layer: Any, inputs: int) -> Iterator[_Problem]:
    return _within("indices", layer.indices, inputs)


def _windows(layer: Any, inputs: int) -> Iterator[_Problem]:
    return _within("windows", layer.windows, inputs)


def _within(key: str, places: Array, inputs: int) -> Iterator[_Problem]:
    for place in np.argwhere(places >= inputs).tolist():
        yield (key, *place), f"is {places[tuple(place)]:g}; the layer reads {inputs} values, counted from 0"


_CHECKS: Final[Mapping[str, Callable[[Any, int], Iterator[_Problem]]]] = MappingProxyType(
    {"clip": _bounds, "one_hot": _categories, "take": _indices, "pool": _windows}
)
