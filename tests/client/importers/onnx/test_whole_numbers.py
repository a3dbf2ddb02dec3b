"""Whole-number arithmetic is exact in a network's dtype, or rejected."""

from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.onnx.graph_reader import Graph, read_graph
from forwardpass.tensors import Array
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_models import constant, graph_document, model, node, tensor

EXACT = [
    *(
        (op, kind)
        for op in ("Add", "Sub", "Max", "Min")
        for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32")
    ),
    *(("Mul", kind) for kind in ("int8", "uint8", "int16", "uint16")),
    *((op, kind) for op in ("Div", "Mod") for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32")),
]


def two(op: str, kind: str, other: Array | None = None, **attributes: Any) -> Any:
    """A model of an operator of two inputs, or of one and a constant."""
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    inputs = [tensor("x", "rows", 64, kind=number), tensor("z", "rows", 64, kind=number)]
    constants = [] if other is None else [constant("z", other)]
    return model(
        [node(op, "x z", "y", **attributes)],
        *constants,
        inputs=inputs[: 2 - len(constants)],
        outputs=[tensor("y", kind=number)],
    )


def computed(graph: Graph, rows: Array) -> Array:
    return forward(compile_plan(spec.parse(graph_document(graph))), rows.astype(graph.dtype))


def whole(generator: np.random.Generator, kind: str) -> Array:
    """Return the smallest and largest numbers of a type, and others, `(1, 64)`."""
    known = np.iinfo(kind)
    found = generator.integers(known.min, known.max, size=(1, 64), dtype=kind, endpoint=True)
    found[0, :4] = known.min, known.max, known.min, known.max
    return found


@pytest.mark.parametrize(("op", "kind"), EXACT)
@pytest.mark.parametrize("form", ["tensors", "constants", "a constant"])
def test_results_are_those_of_whole_numbers_with_their_overflow(op: str, kind: str, form: str) -> None:
    generator = np.random.default_rng(0)
    one, other = whole(generator, kind), whole(generator, kind)
    if op in {"Div", "Mod"}:
        other[other == 0] = 1
        other[(one == np.iinfo(kind).min) & (other == np.array(-1).astype(kind))] = 1
    if form == "a constant":
        other = other[:, :1]
    made = two(op, kind, None if form == "tensors" else other)
    feed = {"x": one, "z": other} if form == "tensors" else {"x": one}
    with np.errstate(over="ignore"):
        (right,) = ReferenceEvaluator(made).run(None, feed)
    rows = np.concatenate([array.astype(np.float64) for array in feed.values()], axis=1)
    np.testing.assert_array_equal(computed(read_graph(made), rows), right)


@pytest.mark.parametrize(
    ("op", "kind", "bits"),
    [("Add", "int64", 65), ("Sub", "uint64", 65), ("Mul", "int32", 64), ("Max", "int64", 64), ("Mod", "int64", 64)],
)
def test_numbers_that_float64_does_not_hold_are_rejected(op: str, kind: str, bits: int) -> None:
    with pytest.raises(UnsupportedModelError, match=f"computes in {kind}, whose results may need {bits} bits"):
        read_graph(two(op, kind))


def test_sum_and_difference_of_tritons_quick_start() -> None:
    kind = TensorProto.INT32
    made = model(
        [node("Add", "INPUT0 INPUT1", "OUTPUT0"), node("Sub", "INPUT0 INPUT1", "OUTPUT1")],
        inputs=[tensor("INPUT0", "rows", 16, kind=kind), tensor("INPUT1", "rows", 16, kind=kind)],
        outputs=[tensor("OUTPUT0", kind=kind), tensor("OUTPUT1", kind=kind)],
    )
    imported = import_model(made)
    assert imported.spec.dtype == "float64"
    one, other = np.full((1, 16), 2**31 - 1.0), np.arange(16.0)[None]
    found = forward(compile_plan(imported.spec), np.concatenate([one, other], axis=1))
    assert found[0, 0] == 2**31 - 1
    assert found[0, 1] == -(2**31)
    assert found[0, 17] == 2**31 - 2


def test_wide_numbers_beside_float32_are_rejected_with_a_remedy() -> None:
    def sums(*nodes: Any) -> Any:
        return model(list(nodes), inputs=[tensor("x", "rows", 4, kind=TensorProto.INT32)], outputs=[tensor("y")])

    wide = sums(node("Add", "x x", "s"), node("Cast", "s", "f", to=1), node("Exp", "f", "y"))
    with pytest.raises(UnsupportedModelError, match="cast them to float32 before they are computed with"):
        read_graph(wide)
    assert (
        read_graph(sums(node("Cast", "x", "f", to=1), node("Add", "f f", "s"), node("Exp", "s", "y"))).dtype
        == "float32"
    )


def test_powers_of_whole_numbers_are_rejected() -> None:
    with pytest.raises(UnsupportedModelError, match="computes in int32"):
        read_graph(two("Pow", "int32"))
