"""onnxruntime, which computes the rows that a network is compared on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forwardpass.importers.onnx.graph_reader import Graph
from forwardpass.importers.onnx.node_order import ordered, reads_of
from forwardpass.importers.onnx.texts import TEXT, texts_of
from forwardpass.onnx_form import Runner, import_package, runner
from forwardpass.tensors import Array

_MAX_AT_ONCE: Final = 1_000
"""Rows that the runtime computes in one run."""
_ALIKE: Final = 1e-3
"""The relative difference of the same rows in runs of different sizes; other rows differ by far more."""


def predictor(model: Any, graph: Graph) -> tuple[str, Callable[[Array], Array]]:
    """Return the name of the runtime, and a function from rows `(rows, inputs)` to outputs `(rows, outputs)` float64.

    Args:
        model: The `ModelProto`.
        graph: The graph that was read, with the names of the outputs.
    """
    fixed = next((one.fixed_rows for one in graph.inputs if one.fixed_rows), None)
    size = 1 if graph.inputs[0].row_axis is None else _MAX_AT_ONCE
    found = runner(_with_outputs(model, graph, is_open=fixed is not None))
    if fixed is None or fixed > _MAX_AT_ONCE:
        return found.name, lambda rows: _in_parts(found, graph, rows, size)
    as_in_file = runner(_with_outputs(model, graph, is_open=False))

    def compute(rows: Array) -> Array:
        first = _in_parts(as_in_file, graph, rows[:fixed], fixed, whole=True)
        # A node of the graph may know the number of rows, such as a Reshape.
        with suppress(Exception):
            computed = _in_parts(found, graph, rows, size)
            if np.allclose(computed[:fixed], first, rtol=_ALIKE, atol=_ALIKE * np.abs(first).max(), equal_nan=True):
                return computed
        return np.concatenate([first, *_parts(as_in_file, graph, rows[fixed:], fixed, whole=True)])

    return found.name, compute


def _with_outputs(model: Any, graph: Graph, *, is_open: bool) -> Any:
    """Return a copy of a model with the outputs of the network alone, and perhaps with any number of rows.

    Outputs that are no numbers, such as names of classes, are not computed.
    """
    onnx = import_package("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _remove_unread(copy.graph, graph.tensors)
    known = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
    del copy.graph.output[:]
    if not is_open:
        copy.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in graph.tensors)
        return copy
    del copy.graph.value_info[:]
    for name in graph.tensors:
        output = copy.graph.output.add(name=name)
        if name in known:
            output.type.tensor_type.elem_type = known[name].type.tensor_type.elem_type
    axes = {one.name: one.row_axis for one in graph.inputs}
    for declared in copy.graph.input:
        if (axis := axes.get(declared.name)) is not None:
            declared.type.tensor_type.shape.dim[axis].dim_param = "rows"
    return copy


def _remove_unread(graph: Any, outputs: Sequence[str]) -> None:
    """Remove the nodes that no output depends on, which the runtime may not know."""
    used, kept = set(outputs), []
    for _, node in reversed(ordered(graph.node)):
        if used.intersection(node.output):
            used.update(reads_of(node))
            kept.append(node)
    if len(kept) < len(graph.node):
        nodes = [type(node).FromString(node.SerializeToString()) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(nodes)


def _in_parts(found: Runner, graph: Graph, rows: Array, size: int, *, whole: bool = False) -> Array:
    """Compute rows a few at a time; where all parts must be whole, the last row fills up the last part."""
    return np.concatenate(list(_parts(found, graph, rows, size, whole=whole)))


def _parts(found: Runner, graph: Graph, rows: Array, size: int, *, whole: bool) -> Iterator[Array]:
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        missing = size - len(part) if whole else 0
        filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        yield _outputs(found.run(_feed(graph, filled)), graph, len(filled))[: len(part)]


def _feed(graph: Graph, rows: Array) -> dict[str, NDArray[Any]]:
    feed, start = {}, 0
    for one in graph.inputs:
        part: Any = rows[:, start : start + one.width]
        part = texts_of(part, start, graph.categories) if one.kind == TEXT else part.astype(one.kind)
        shaped = part.reshape((-1, *one.shape) if one.row_axis is not None else one.shape)
        feed[one.name] = np.moveaxis(shaped, 0, one.row_axis) if one.row_axis else shaped
        start += one.width
    return feed


def _outputs(outputs: Sequence[NDArray[Any]], graph: Graph, rows: int) -> Array:
    first = (
        np.moveaxis(output, axis, 0) if axis else output for output, axis in zip(outputs, graph.row_axes, strict=True)
    )
    return np.concatenate([output.reshape(rows, -1).astype(np.float64) for output in first], axis=1)
