"""Computes the layers in order."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from forwardpass.importers.progress import Progress, Step
from forwardpass.importers.reference.formulas import FORMULAS
from forwardpass.importers.reference.functions import FUNCTIONS, formula_of, function_of
from forwardpass.importers.reference.magnitudes import EXACT, size_of_value, sizes_of_sums
from forwardpass.spec import Layer, NetworkSpec
from forwardpass.spec.network import ELEMENTWISE, RECURRENT
from forwardpass.tensors import Array

_MAX_NUMBERS: Final = 1_000_000
"""Numbers of one layer in the rows that are computed together."""


class Disturbance(Protocol):
    """Puts numbers off by errors relative to the sizes of what they were added up from.

    The rows are samples of the same rows, one sample after the other; the first one is not put off.
    """

    @property
    def rows(self) -> int:
        """The number of rows of one sample."""

    def __call__(self, values: Array, sizes: Any) -> Array:
        """Return the values put off; the sizes are those of all rows, or of the first sample."""


def compute(spec: NetworkSpec, rows: Array, progress: Progress | None = None) -> Array:
    """Compute a network.

    Args:
        spec: The network.
        rows: `(rows, inputs)`; rounded to the network's dtype.
        progress: Receives how many rows are computed.

    Returns:
        `(rows, outputs)` in the network's dtype.
    """
    step = Step(name="compute the network", rows=len(rows), progress=progress)
    parts = [walk(spec, rows[part], None) for part in step.parts(rows_at_once(spec))]
    computed: Array = np.concatenate(parts or [walk(spec, rows, None)])
    return computed


def rows_at_once(spec: NetworkSpec) -> int:
    """Return the number of rows to compute together, which bounds the memory and keeps a layer in the caches."""
    widest = max([spec.inputs.width, *(max(layer.inputs, layer.outputs) for layer in spec.layers)])
    return max(1, _MAX_NUMBERS // widest)


def walk(spec: NetworkSpec, rows: Array, disturb: Disturbance | None) -> Array:
    """Compute a network, and put the result of each sum and function off where a disturbance is given."""
    with np.errstate(all="ignore"):
        values: dict[str, Array] = {"inputs": _standardized(spec, rows.astype(spec.dtype), disturb)}
        start = 0
        for group in spec.inputs.groups:
            values[group.name] = values["inputs"][:, start : start + group.width]
            start += group.width
        last = {name: place for place, layer in enumerate(spec.layers) for name in layer.from_}
        for place, layer in enumerate(spec.layers):
            parts = [values[name] for name in layer.from_]
            read = _merged(parts, layer.merge)
            if disturb is not None and layer.merge in _ADDING:
                read = disturb(read, _merged([np.abs(part) for part in parts], layer.merge))
            if disturb is not None and layer.kind == "bucketize":  # the boundaries are rounded
                read = disturb(read, np.abs(read))
            values[layer.name] = _computed(layer, read, spec.dtype, disturb)
            for name in set(layer.from_) - set(spec.output_layers):
                if last[name] == place:  # nothing else reads it, and wide layers take much memory
                    del values[name]
        return _rescaled(spec, np.concatenate([values[name] for name in spec.output_layers], axis=1), disturb)


def _computed(layer: Layer, read: Array, dtype: str, disturb: Disturbance | None) -> Array:
    sums = FORMULAS[layer.kind](read, **layer.arrays, **_settings(layer, dtype, disturb))
    if disturb is None:
        values: Array = function_of(layer.activation, dtype)(sums)
        return values
    if layer.kind not in _MOVING and layer.settings.get("reduce") not in _CHOOSING:
        sums = disturb(sums, sizes_of_sums(layer, read[: disturb.rows], sums[: disturb.rows]))
    found: Array = function_of(layer.activation, dtype, disturb)(sums)
    if layer.activation.expression or layer.activation.name in EXACT:
        return found
    return disturb(found, size_of_value(layer.activation.name, sums, found))


def _settings(layer: Layer, dtype: str, disturb: Disturbance | None) -> Mapping[str, Any]:
    if layer.kind == RECURRENT:
        return _cell_settings(layer, disturb)
    if layer.kind != ELEMENTWISE:
        return layer.settings
    expression = str(layer.settings["expression"])
    return {"parts": layer.inputs // layer.outputs, "formula": formula_of(expression, dtype, disturb)}


def _cell_settings(layer: Layer, disturb: Disturbance | None) -> Mapping[str, Any]:
    """Return the settings of a recurrent layer with its functions, which put their values off, as do the sums."""
    known = dict(layer.settings)
    names = {"gate": known.pop("gate_activation"), "state": known.pop("state_activation")}
    if disturb is None:
        return {**known, **{key: FUNCTIONS[name] for key, name in names.items()}}

    def function(name: str) -> Callable[[Array], Any]:
        return lambda z: disturb(value := FUNCTIONS[name](z), size_of_value(name, z, value))

    def off(values: Array, *parts: Array) -> Array:
        return disturb(values, np.fmax(sum(map(np.abs, parts)), np.abs(values)))

    return {**known, **{key: function(name) for key, name in names.items()}, "off": off}


def _rescaled(spec: NetworkSpec, outputs: Array, disturb: Disturbance | None) -> Array:
    sizes = np.abs(outputs)
    for column, fact in enumerate(spec.output_metadata):
        outputs[:, column] = outputs[:, column] * fact.scale + fact.shift
        sizes[:, column] = sizes[:, column] * abs(fact.scale) + abs(fact.shift)
    return outputs if disturb is None or not spec.output_metadata else disturb(outputs, sizes)


def _standardized(spec: NetworkSpec, rows: Array, disturb: Disturbance | None) -> Array:
    mean, scale = spec.inputs.mean, spec.inputs.scale
    values = rows if mean is None else rows - mean
    values = values if scale is None else values / scale
    if disturb is None or values is rows:
        return values
    sizes = np.abs(rows) if mean is None else np.abs(rows) + np.abs(mean)
    # A category has no mean and no scale, and stays what it is.
    moved = np.broadcast_to((0 if mean is None else mean != 0) | (False if scale is None else scale != 1), sizes.shape)
    return disturb(values, np.where(moved, sizes if scale is None else sizes / scale, 0.0))


def _merged(arrays: Sequence[Array], merge: str | None) -> Array:
    if merge is None:
        return arrays[0]
    return np.concatenate(arrays, axis=1) if merge == "concatenate" else _MERGES[merge](np.stack(arrays))


_MERGES: Final[Mapping[str, Callable[[Array], Any]]] = MappingProxyType(
    {
        "sum": lambda arrays: arrays.sum(axis=0),
        "multiply": lambda arrays: arrays.prod(axis=0),
        "mean": lambda arrays: arrays.mean(axis=0),
        "max": lambda arrays: arrays.max(axis=0),
    }
)

_ADDING: Final = frozenset({"sum", "multiply", "mean"})
"""Merges whose results are rounded."""

_MOVING: Final = frozenset(
    {ELEMENTWISE, RECURRENT, "embedding", "one_hot", "bucketize", "lookup", "clip", "impute", "dropout", "take"}
)
"""Layer kinds whose results are not rounded, or each operation by itself."""

_CHOOSING: Final = frozenset({"max", "min"})
"""Reductions of pools whose results are not rounded."""
