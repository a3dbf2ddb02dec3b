"""The ONNX front end: reads graphs of operators, node by node.

Protobuf parses a file after its parts were counted, and onnxruntime computes the rows of the certificate. No code of a
model is run, and of the files that it names only those in its own folder are read.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.files import load_model
from forwardpass.importers.onnx.graph_reader import Graph, read_graph
from forwardpass.importers.onnx.labels import label_of
from forwardpass.importers.onnx.round_trip import recover_network
from forwardpass.importers.onnx.runtime import predictor
from forwardpass.importers.onnx.texts import feature_documents, sample_texts
from forwardpass.importers.source import RowSampler, Source
from forwardpass.importers.unsupported import UnsupportedError, UnsupportedModelError
from forwardpass.onnx_form import computed_by, runner
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array

__all__ = ["ALL_ONE_ROW", "load_model", "read", "read_written"]

ALL_ONE_ROW: Final = "none"
"""The axis of the rows of a graph whose inputs are one row of the network."""


def read(model: Any, outputs: Sequence[str] = (), rows_axis: int | str | None = None) -> Source:
    """Read a `ModelProto`.

    Args:
        model: The model.
        outputs: The names of the outputs that the network has; all of them when left out.
        rows_axis: The axis of the inputs that has the rows, or `ALL_ONE_ROW`; seen in the graph when left out.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    try:
        network = None if rows_axis is not None else recover_network(model)
        return _read(model, outputs, rows_axis) if network is None else _exported(model, network)
    except UnsupportedError as error:
        raise UnsupportedModelError(f"an ONNX model {error}") from None


def _exported(model: Any, network: NetworkSpec) -> Source:
    found = runner(model)
    return Source(
        framework=found.name,
        model="ONNX graph of forwardpass",
        width=network.inputs.width,
        names=network.inputs.names if network.inputs.features else (),
        mean=None,
        scale=None,
        layers=(),
        outputs=(),
        classes=(),
        compute=lambda rows: computed_by(found, network, rows),
        dtype=network.dtype,
        non_finite=network.allow_non_finite_inputs,
        network=network,
    )


def _graph(model: Any, outputs: Sequence[str], rows_axis: int | str | None) -> Graph:
    """Read a graph; a first axis of fixed size is that of the rows, if the graph treats each row by itself."""
    if rows_axis == ALL_ONE_ROW:
        return _one_row(read_graph(model, outputs=outputs))
    if isinstance(rows_axis, int):
        return read_graph(model, rows_axis=rows_axis, outputs=outputs)
    sizes = [_first_size(one) for one in model.graph.input]
    fixed = max(filter(None, sizes), default=0)
    if not fixed:
        return read_graph(model, outputs=outputs)
    try:
        return read_graph(model, rows_axis=0, outputs=outputs)
    except UnsupportedModelError:
        if fixed > 1:
            with suppress(UnsupportedModelError):
                whole = read_graph(model, outputs=outputs)
                note = f"the first axis of the inputs, of {fixed} places, is a part of each row"
                return replace(whole, notes=(*whole.notes, note))
            raise
    return read_graph(model, outputs=outputs)


def _one_row(graph: Graph) -> Graph:
    """Return a graph; its inputs must have no axis of rows.

    Raises:
        UnsupportedError: One has.
    """
    if name := next((one.name for one in graph.inputs if one.row_axis is not None), ""):
        raise UnsupportedError(
            f"has the input {name!r}, whose first axis is open; give it a size, by "
            "onnx.tools.update_model_dims.update_inputs_outputs_dims, where it is a part of a row"
        )
    return graph


def _first_size(declared: Any) -> int | None:
    """Return the fixed size of the first of several axes, or None."""
    axes = declared.type.tensor_type.shape.dim
    return axes[0].dim_value if len(axes) > 1 and axes[0].dim_value > 0 else None


def _read(model: Any, outputs: Sequence[str], rows_axis: int | str | None) -> Source:
    graph = _graph(model, outputs, rows_axis)
    try:
        framework, compute = predictor(model, graph)
    except ImportError:
        raise
    except Exception as error:
        raise UnsupportedModelError(f"onnxruntime cannot load the model: {error}") from error
    producer = f" of {model.producer_name}" if model.producer_name else ""
    return _source(graph, framework, f"ONNX graph{producer}, {len(model.graph.node)} nodes", compute)


def read_written(model: Any, *, framework: str, title: str, compute: Callable[[Array], Array]) -> Source:
    """Read a `ModelProto` that another front end wrote of its model, which computes the rows.

    Args:
        model: The graph.
        framework: As of `Source`.
        title: The model of the `Source`.
        compute: As of `Source`.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    try:
        return _source(read_graph(model), framework, title, compute)
    except UnsupportedError as error:
        raise UnsupportedModelError(f"an ONNX model {error}") from None


def _source(graph: Graph, framework: str, title: str, compute: Callable[[Array], Array]) -> Source:
    alone = len(graph.inputs) == 1
    width = sum(one.width for one in graph.inputs)
    single = not alone and all(one.width == 1 for one in graph.inputs)
    return Source(
        framework=framework,
        model=title,
        width=width,
        names=tuple(label_of(one.name) for one in graph.inputs) if single else (),
        mean=None,
        scale=None,
        layers=graph.layers,
        outputs=graph.outputs,
        classes=graph.classes,
        compute=compute,
        groups=() if alone else tuple({"name": one.group, "width": one.width} for one in graph.inputs),
        output_layers=graph.output_layers,
        features=feature_documents(graph.categories, _kinds(graph), missing=graph.missing),
        sampler=_sample(graph, width),
        dtype=graph.dtype,
        non_finite=graph.missing,
        notes=graph.notes,
    )


def _kinds(graph: Graph) -> list[str]:
    """Return the element type of each input of the network."""
    return [one.kind for one in graph.inputs for _ in range(one.width)]


def _sample(graph: Graph, width: int) -> RowSampler | None:
    """Return a sampler of rows that the model can read, or None where it takes any numbers."""
    kinds = _kinds(graph)
    if not graph.values and not graph.missing and {*kinds} <= {"float32", "float64"}:
        return None

    def sample(generator: np.random.Generator, count: int) -> Array:
        rows = generator.normal(size=(count, width))
        rows[1::2] *= 10
        for place, kind in enumerate(kinds):
            if place in graph.categories:
                rows[:, place] = sample_texts(generator, graph.categories[place], count)
            elif place in graph.values:
                rows[:, place] = generator.choice(np.array(graph.values[place], np.float64), count)
            elif kind == "bool":
                rows[:, place] = rows[:, place] > 0
            elif kind not in {"float32", "float64"}:
                rows[:, place] = np.round(np.abs(rows[:, place]) if kind.startswith("u") else rows[:, place])
            elif graph.missing:
                rows[generator.random(count) < 0.1, place] = np.nan
        return rows

    return sample
