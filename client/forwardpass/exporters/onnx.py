"""Exports ONNX models, each compared with its spec before it is returned."""

from typing import Any, Final

import numpy as np

from forwardpass.differences import TOLERANCE, differences
from forwardpass.importers.parity import ParityError, random_rows
from forwardpass.importers.reference import compute
from forwardpass.onnx_form import computed_by, fill_values, import_package, runner, write
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array

_CATEGORICAL: Final = frozenset({"embedding", "one_hot", "lookup"})
"""Layer kinds that mostly read integers."""


def export(spec: NetworkSpec) -> Any:
    """Write a spec as a `ModelProto`, checked by onnx, and compared with the spec on up to 1,000 random rows.

    onnxruntime computes the model, or the package onnx where onnxruntime lacks float64.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed; they are in the extra `onnx`.
        ParityError: The model differs from the spec.
    """
    model = write(spec)
    import_package("onnx").checker.check_model(model, full_check=True)
    rows = _rows(spec)
    with np.errstate(all="ignore"):
        theirs = computed_by(runner(model), spec, rows)
        ours = compute(spec, np.where(np.isnan(rows), fill_values(spec), rows)).astype(np.float64)
    worst = float((differences(theirs, ours) / _sizes(ours, spec.dtype)).max())
    if not worst <= TOLERANCE[spec.dtype]:
        raise ParityError(
            f"the ONNX model does not compute what the network computes: it differs by {worst:.3g} (relative), and "
            f"{TOLERANCE[spec.dtype]:g} is allowed; nothing was written",
            relative=worst,
            tolerance=TOLERANCE[spec.dtype],
        )
    return model


def _rows(spec: NetworkSpec) -> Array:
    rows = random_rows(spec, np.empty((0, spec.inputs.width)))
    if any(layer.kind in _CATEGORICAL for layer in spec.layers):
        rows[::2] = np.floor(np.abs(rows[::2]))
    may_miss = ~np.isnan(fill_values(spec)) | spec.allow_non_finite_inputs
    rows[::7] = np.where((np.random.default_rng(1).random(rows[::7].shape) < 0.2) & may_miss, np.nan, rows[::7])
    return rows.astype(spec.dtype)


def _sizes(ours: Array, dtype: str) -> Array:
    """Return the divisor of each difference: the size of the number, or the root mean square of its output if larger.

    The rounding of a sum grows with its terms, which an output near 0 does not show.
    """
    size = np.abs(np.where(np.isfinite(ours), ours, 0.0))
    with np.errstate(over="ignore"):
        typical = np.sqrt((size**2).mean(axis=0))
    sizes: Array = np.maximum(size, np.maximum(typical, float(np.finfo(dtype).tiny)))
    return sizes
