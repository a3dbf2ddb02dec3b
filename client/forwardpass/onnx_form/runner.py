"""Runs ONNX models by onnxruntime, or by the package onnx where onnxruntime cannot."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forwardpass.onnx_form.optional_packages import import_package
from forwardpass.onnx_form.writer import groups_of
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """A loaded model that can be computed.

    Attributes:
        name: The name of the runtime, with its version.
        run: Computes the outputs in order from the inputs by name.
    """

    name: str
    run: Callable[[Mapping[str, NDArray[Any]]], Sequence[NDArray[Any]]]


def runner(model: Any) -> Runner:
    """Load a `ModelProto` into onnxruntime, or into onnx's evaluator where onnxruntime lacks float64 operators.

    Raises:
        MissingExtraError: One of the two packages is not installed.
        Exception: The model is not valid.
    """
    onnxruntime = import_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        evaluator = import_package("onnx.reference").ReferenceEvaluator(model, new_ops=[_full_erf()])
        return Runner(
            name=f"onnx {import_package('onnx').__version__}", run=lambda feed: list(evaluator.run(None, dict(feed)))
        )
    return Runner(name=f"onnxruntime {onnxruntime.__version__}", run=lambda feed: list(session.run(None, dict(feed))))


def _full_erf() -> Any:
    """Return the operator Erf in the dtype of its input; onnx's own computes in float32."""

    class Erf(import_package("onnx.reference.op_run").OpRun):  # type: ignore[misc] # known at run time only
        op_domain = ""

        def _run(self, x: NDArray[Any]) -> tuple[NDArray[Any]]:
            return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)

    return Erf


def computed_by(found: Runner, network: NetworkSpec, rows: Array) -> Array:
    """Compute rows `(rows, inputs)` by the exported model of a network; return `(rows, outputs)` float64."""
    groups = groups_of(network)
    ends = np.cumsum([width for _, width in groups])
    parts = np.split(rows.astype(network.dtype), ends[:-1], axis=1)
    outputs = found.run({name: part for (name, _), part in zip(groups, parts, strict=True)})
    return np.concatenate(outputs, axis=1).astype(np.float64)
