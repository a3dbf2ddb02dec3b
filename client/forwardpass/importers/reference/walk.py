"""Computes the layers in order."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.reference.formulas import FORMULAS
from forwardpass.importers.reference.functions import formula_of, function_of
from forwardpass.spec import Layer, NetworkSpec
from forwardpass.spec.network import ELEMENTWISE
from forwardpass.tensors import Array


def compute(spec: NetworkSpec, rows: Array) -> Array:
    """Compute a network.

    Args:
        spec: The network.
        rows: `(rows, inputs)`; rounded to the network's dtype.

    Returns:
        `(rows, outputs)` in the network's dtype.
    """
    with np.errstate(all="ignore"):
        values: dict[str, Array] = {"inputs": _standardized(spec, rows.astype(spec.dtype))}
        start = 0
        for group in spec.inputs.groups:
            values[group.name] = values["inputs"][:, start : start + group.width]
            start += group.width
        for layer in spec.layers:
            read = _merged([values[name] for name in layer.from_], layer.merge)
            sums = FORMULAS[layer.kind](read, **layer.arrays, **_settings(layer, spec.dtype))
            values[layer.name] = function_of(layer.activation, spec.dtype)(sums)
        return _rescaled(spec, np.concatenate([values[name] for name in spec.output_layers], axis=1))


def _settings(layer: Layer, dtype: str) -> Mapping[str, Any]:
    if layer.kind != ELEMENTWISE:
        return layer.settings
    expression = str(layer.settings["expression"])
    return {"parts": layer.inputs // layer.outputs, "formula": formula_of(expression, dtype)}


def _rescaled(spec: NetworkSpec, outputs: Array) -> Array:
    for column, fact in enumerate(spec.output_metadata):
        outputs[:, column] = outputs[:, column] * fact.scale + fact.shift
    return outputs


def _standardized(spec: NetworkSpec, values: Array) -> Array:
    if spec.inputs.mean is not None:
        values = values - spec.inputs.mean
    return values if spec.inputs.scale is None else values / spec.inputs.scale


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
