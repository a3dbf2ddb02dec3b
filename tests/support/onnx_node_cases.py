"""The node tests that the package onnx ships, as graphs that the importer is given.

A case is a model of one operator (or of the nodes that it stands for), inputs and outputs. Where a case gives
parameters as inputs, they become constants; each way is tried, with the first axis as rows, and as part of one row.
"""

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass.importers import UnsupportedModelError
from forwardpass.importers.onnx.function_bodies import FUNCTIONS
from forwardpass.importers.onnx.graph_reader import Graph, read_graph
from forwardpass.importers.onnx.operators import OPERATORS
from forwardpass.tensors import Array

from tests.support.onnx_models import graph_document


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A case that the importer could read.

    Attributes:
        graph: What was read.
        network: The same as a spec.
        rows: `(rows, inputs)` of the case.
        outputs: `(rows, outputs)` that are right.
        labels: The class of each row that is right, or None.
    """

    graph: Graph
    network: spec.NetworkSpec
    rows: Array
    outputs: Array | None
    labels: list[str] | None


@cache
def cases() -> tuple[Any, ...]:
    """Return every case all of whose operators are in the importer's table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of overflows that the cases are about
        from onnx.backend.test.case.node import collect_testcases

        return tuple(filter(_is_read, collect_testcases(None)))


@cache
def some_cases() -> tuple[Any, ...]:
    """Return a few cases of each operator, of the modules of onnx that take no seconds to make theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case import node

        operators = {op.lower() for _, op in READ} - _SLOW
        for module in pkgutil.iter_modules(node.__path__):
            if module.name.replace("_", "") in operators:
                importlib.import_module(f"{node.__name__}.{module.name}")
        made = list(filter(_is_read, node._NodeTestCases))
    by_operator: dict[str, list[Any]] = {}
    for case in made:
        by_operator.setdefault(operator(case), []).append(case)
    return tuple(case for alike in by_operator.values() for case in alike[:_FEW])


def _is_read(case: Any) -> bool:
    wrong = _WRONG if onnx.__version__.startswith("1.17.") else frozenset()
    return _operators(case) <= READ and case.name not in wrong


READ = frozenset({*OPERATORS, *(("", op) for op in FUNCTIONS)})
"""The domain and name of every operator that the importer reads."""

_FEW = 3
_SLOW = frozenset({"averagepool", "maxpool"})
"""Modules that compute their large cases by loops of Python."""

_WRONG = frozenset({"test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True"})
"""What onnx 1.17 expects otherwise than later versions and onnxruntime: it counts places after the padding too."""


def operator(case: Any) -> str:
    """Return the operator that a case is of; of the nodes that one stands for, the one that its name begins with."""
    names = {name for _, name in _operators(case)}
    return "several nodes" if "_expanded" in case.name or len(names) > 1 else names.pop()


def _operators(case: Any) -> set[tuple[str, str]]:
    return {(node.domain, node.op_type) for node in case.model.graph.node} or {("", "none")}


def read(case: Any) -> Read | str:
    """Read a case in the first way that the importer accepts, or return why it accepts none."""
    inputs, outputs = ([_array(value) for value in values] for values in case.data_sets[0])
    reason = ""
    for constants, batched in _ways(len(inputs)):
        model = _model(case.model, inputs, constants, batched=batched)
        if model is None:
            continue
        try:
            graph = read_graph(model)
            network = spec.parse(graph_document(graph, allow_non_finite_inputs=True))
        except UnsupportedModelError as error:
            if len(constants) >= len(inputs) - 1 and 0 not in constants:  # what comes first is mostly no parameter
                reason = str(error.faults[0].message)
            continue
        except InvalidNetworkError as error:
            raise AssertionError(f"{case.name}: {error}") from error
        given = [value for place, value in enumerate(inputs) if place not in constants]
        count = len(given[0]) if batched else 1
        rows = _rows(_without_texts(given, graph, count), count)
        expected = dict(zip((output.name for output in model.graph.output), outputs, strict=True))
        numbers = [expected[name] for name in graph.tensors if name in expected]
        labels = [value for name, value in expected.items() if name not in graph.tensors]
        return Read(
            graph=graph,
            network=network,
            rows=rows,
            outputs=_rows(numbers, count) if numbers else None,
            labels=list(map(str, labels[0].ravel().tolist())) if labels else None,
        )
    return reason


def _ways(count: int) -> Iterator[tuple[set[int], bool]]:
    """Say which inputs are constants, and whether the first axis is that of rows."""
    everything = set(range(count))
    others = [everything - {place} for place in range(count)] if count > 1 else []
    singles = [{place} for place in range(count)] if count > 2 else []
    for constants in [set(), *others, *singles]:
        yield constants, False
        yield constants, True


def _model(original: Any, values: list[Array], constants: set[int], *, batched: bool) -> Any | None:
    model = onnx.ModelProto()
    model.CopyFrom(original)
    inputs = list(model.graph.input)
    for place in constants:
        model.graph.initializer.append(onnx.numpy_helper.from_array(values[place], inputs[place].name))
        model.graph.input.remove(inputs[place])
    for value in model.graph.input if batched else ():
        axes = value.type.tensor_type.shape.dim
        if not axes:
            return None
        axes[0].dim_param = "rows"
    return model


def _array(value: Any) -> Array:
    array: Array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return array


def _without_texts(arrays: list[Array], graph: Graph, count: int) -> list[Array]:
    """Replace texts by their indices among the categories of their column."""
    found, start = [], 0
    for array in arrays:
        flat: Any = array.reshape(count, -1)
        if array.dtype.kind not in "biuf":
            known = [graph.categories[start + column].categories for column in range(flat.shape[1])]
            flat = np.array(
                [
                    [names.index(text) if text in names else np.nan for names, text in zip(known, row, strict=True)]
                    for row in flat.tolist()
                ]
            )
        found.append(flat)
        start += flat.shape[1]
    return found


def _rows(arrays: list[Array], count: int) -> Array:
    return np.concatenate([array.astype(np.float64).reshape(count, -1) for array in arrays], axis=1)
