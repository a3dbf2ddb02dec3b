"""Operators along an axis, and operators that choose elements by places, beside onnxruntime and onnx's evaluator."""

from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.onnx.graph_reader import read_graph
from forwardpass.tensors import Array
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_models import constant, model, node, numbers, tensor

ROWS: dict[str, tuple[list[Any], list[Any]]] = {
    "a running sum": ([node("CumSum", "x one", "y")], [constant("one", np.array(1))]),
    "a running sum from the end": (
        [node("CumSum", "x two", "y", reverse=1, exclusive=1)],
        [constant("two", np.array(-1))],
    ),
    "a product": ([node("ReduceProd", "x", "y", axes=[1], keepdims=0)], []),
    "a product of all": ([node("ReduceProd", "x", "y", axes=[1, 2])], []),
    "log-sum-exp": ([node("ReduceLogSumExp", "x", "y", axes=[2], keepdims=0)], []),
    "the largest of each": ([node("Hardmax", "x", "y", axis=1)], []),
    "places of the largest": (
        [node("ArgMax", "x", "p", axis=1, keepdims=0), node("Cast", "p", "y", to=1)],
        [],
    ),
    "places of the last smallest": (
        [node("ArgMin", "x", "p", axis=2, select_last_index=1), node("Cast", "p", "y", to=1)],
        [],
    ),
    "each normalized": ([node("InstanceNormalization", "x w b", "y")], [numbers("w", 4), numbers("b", 4)]),
    "softmax of each": ([node("Softmax", "x", "y", axis=1)], []),
    "layers of each": ([node("LayerNormalization", "x w b", "y")], [numbers("w", 3), numbers("b", 3)]),
    "a product of groups": ([node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")], []),
    "a triangle": ([node("Trilu", "x", "y", upper=0)], []),
    "a higher triangle": ([node("Trilu", "x k", "y")], [constant("k", np.array(1))]),
    "chosen columns": ([node("Compress", "x c", "y", axis=2)], [constant("c", np.array([True, False, True]))]),
}
IMAGES = {
    "channels normalized": [node("LRN", "x", "y", size=3, alpha=0.5, bias=0.7)],
    "depth to space": [node("DepthToSpace", "x", "y", blocksize=2)],
    "depth to space by columns": [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")],
    "space to depth": [node("SpaceToDepth", "x", "y", blocksize=2)],
}


@pytest.mark.parametrize(("nodes", "constants"), ROWS.values(), ids=ROWS)
def test_rows_are_computed_as_onnxruntime_does(nodes: list[Any], constants: list[Any]) -> None:
    imported = import_model(model(nodes, *constants, inputs=[tensor("x", "rows", 4, 3)], outputs=[tensor("y")]))
    check_examples(imported.spec, compile_plan(imported.spec))


@pytest.mark.parametrize("nodes", IMAGES.values(), ids=IMAGES)
def test_images_are_rearranged_as_onnxruntime_does(nodes: list[Any]) -> None:
    import_model(model(nodes, inputs=[tensor("x", "rows", 4, 2, 4)], outputs=[tensor("y")]))


EQUATIONS: dict[str, list[tuple[int, ...]]] = {
    "rij->rji": [(3, 4)],
    "rij->ri": [(3, 4)],
    "rii->ri": [(3, 3)],
    "r...i->r...": [(2, 3, 4)],
    "rij,rjk->rik": [(3, 4), (4, 2)],
    "rij,rkj->rik": [(3, 4), (2, 4)],
    "rhqd,rhkd->rhqk": [(2, 3, 4), (2, 5, 4)],
    "ri,rj->rij": [(3,), (4,)],
    "ri,ri->r": [(3,), (3,)],
    "r...ij,rjk->r...ik": [(2, 3, 4), (4, 2)],
    "rij,rjk,rkl->ril": [(2, 3), (3, 4), (4, 2)],
    "rij,rij,rij->rj": [(2, 3), (2, 3), (2, 3)],
    "aij,jk": [(3, 4), (4, 2)],
    "rij,kj->rki": [(3, 4), (5, 4)],
    "ij,rj->ri": [(3, 4), (4,)],
    "rij,jk,kl->ril": [(2, 3), (3, 4), (4, 2)],
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_sums_of_products_are_those_of_numpy(equation: str) -> None:
    generator, words = np.random.default_rng(0), equation.partition("->")[0].split(",")
    inputs, constants, feed = [], [], {}
    for name, word, shape in zip("abc", words, EQUATIONS[equation], strict=False):
        if word[0] in "ra":
            inputs.append(tensor(name, "rows", *shape, kind=TensorProto.DOUBLE))
            feed[name] = generator.normal(size=(5, *shape))
        else:
            feed[name] = generator.normal(size=shape)
            constants.append(constant(name, feed[name]))
    made = model(
        [node("Einsum", " ".join("abc"[: len(words)]), "y", equation=equation)],
        *constants,
        inputs=inputs,
        outputs=[tensor("y", kind=TensorProto.DOUBLE)],
    )
    right = np.einsum(equation, *feed.values())
    rows = np.concatenate([feed[one.name].reshape(5, -1) for one in inputs], axis=1)
    np.testing.assert_allclose(computed(made, rows), right.reshape(5, -1), rtol=1e-12, atol=1e-12)


WHOLE: dict[str, tuple[list[Any], list[Any]]] = {
    "elements by places": (
        [node("GatherElements", "x i", "y", axis=0)],
        [constant("i", np.array([[0, -1, 2], [3, 0, 0]]))],
    ),
    "tuples of places": ([node("GatherND", "x i", "y")], [constant("i", np.array([[1], [-1], [0]]))]),
    "tuples in each": ([node("GatherND", "x i", "y", batch_dims=1)], [constant("i", np.array([[2], [0], [1], [-1]]))]),
    "elements replaced": (
        [node("ScatterElements", "x i u", "y", axis=1)],
        [constant("i", np.array([[1], [-1]])), numbers("u", 2, 1)],
    ),
    "rows replaced": ([node("ScatterND", "x i u", "y")], [constant("i", np.array([[3], [0]])), numbers("u", 2, 3)]),
    "put into a constant": (
        [node("ScatterND", "c i x", "y")],
        [numbers("c", 6, 3), constant("i", np.array([[5], [0], [2], [1]]))],
    ),
    "sequences reversed": (
        [node("ReverseSequence", "x n", "y", time_axis=0, batch_axis=1)],
        [constant("n", np.array([4, 1, 3]))],
    ),
}


@pytest.mark.parametrize(("nodes", "constants"), WHOLE.values(), ids=WHOLE)
def test_places_are_those_of_onnx(nodes: list[Any], constants: list[Any]) -> None:
    made = model(nodes, *constants, inputs=[tensor("x", 4, 3)], outputs=[tensor("y")])
    given = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    (right,) = ReferenceEvaluator(made).run(None, {"x": given})
    np.testing.assert_array_equal(computed(made, given.reshape(1, -1)), right.reshape(1, -1))


def computed(made: Any, rows: Array) -> Array:
    """Return what the core computes of a model, whose inputs are all of one row or have an axis of rows."""
    graph = read_graph(made)
    document = {
        "format": spec.FORMAT,
        "dtype": graph.dtype,
        "inputs": rows.shape[1],
        "input_groups": [{"name": one.group, "width": one.width} for one in graph.inputs if len(graph.inputs) > 1],
        "layers": list(graph.layers),
        "output_layers": list(graph.output_layers),
        "allow_non_finite_inputs": True,
    }
    with np.errstate(all="ignore"):
        return forward(compile_plan(spec.parse(document)), rows.astype(graph.dtype))


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("negative", [0, 1])
def test_infinities_are_found(positive: int, negative: int) -> None:
    attributes: dict[str, Any] = {"detect_positive": positive, "detect_negative": negative}
    made = model([node("IsInf", "x", "y", **attributes)], inputs=[tensor("x", 5)], outputs=[tensor("y", kind=9)])
    found = computed(made, np.array([[np.inf, -np.inf, np.nan, 0, 3e38]], np.float32))
    assert found.tolist() == [[positive, negative, 0, 0, 0]]


def test_log_sum_exp_of_infinities_and_of_large_numbers() -> None:
    made = model([node("ReduceLogSumExp", "x", "y", axes=[0])], inputs=[tensor("x", 2)], outputs=[tensor("y")])
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0], [1000, 1000]], np.float32)
    np.testing.assert_allclose(computed(made, rows).ravel(), [-np.inf, np.inf, 1000 + np.log(2)], rtol=1e-6)


def test_the_place_of_the_largest_is_nan_beside_nan() -> None:
    made = model(
        [node("ArgMax", "x", "p", axis=0), node("Cast", "p", "y", to=1)],
        inputs=[tensor("x", 3, 1)],
        outputs=[tensor("y")],
    )
    np.testing.assert_array_equal(computed(made, np.array([[1, np.nan, 2], [1, 3, 3]], np.float32)), [[np.nan], [1]])


def test_sums_of_whole_numbers_wrap_around() -> None:
    kind = TensorProto.INT32
    made = model(
        [node("CumSum", "x axis", "s"), node("ReduceSum", "s axes", "y", keepdims=0)],
        constant("axis", np.array(0)),
        constant("axes", np.array([0])),
        inputs=[tensor("x", 5, kind=kind)],
        outputs=[tensor("y", kind=kind)],
    )
    given = np.array([2**31 - 1, 5, -(2**31), 7, 2**31 - 1], np.int32)
    with np.errstate(over="ignore"):
        (right,) = ReferenceEvaluator(made).run(None, {"x": given})
    assert computed(made, given[None].astype(np.float64)).tolist() == [[int(right)]]


def test_whole_numbers_that_are_only_moved_keep_their_values() -> None:
    kind = TensorProto.INT32
    made = model(
        [node("Trilu", "x", "y")], inputs=[tensor("x", "rows", 2, 2, kind=kind)], outputs=[tensor("y", kind=kind)]
    )
    imported = import_model(made)
    given = np.array([[2**31 - 1, 2**24 + 1, 5, -(2**31)]], np.float64)
    found = forward(compile_plan(imported.spec), given.astype(imported.spec.dtype))
    assert found.tolist() == [[2**31 - 1, 2**24 + 1, 0, -(2**31)]]


REJECTED: dict[str, tuple[Any, str]] = {
    "products over rows": (node("Einsum", "x x", "y", equation="ri,rj->ij"), "a network computes each row by itself"),
    "products with other rows": (node("Einsum", "x x", "y", equation="ri,sj->rs"), "multiplies rows with other rows"),
    "an equation of one": (node("Einsum", "x x", "y", equation="ri->r"), "and 2 operands"),
    "an equation of more axes": (node("Einsum", "x", "y", equation="rij->r"), "for operands of"),
    "a result of no operand": (node("Einsum", "x", "y", equation="ri->rk"), "whose result is invalid"),
    "a diagonal of unequal axes": (node("Einsum", "x i", "y", equation="ri,jj->ri"), "diagonal of axes of 1 and 2"),
    "places of a number of rows": (node("GatherElements", "x i", "y"), "has places for a fixed number of rows"),
    "rows added up": (node("CumSum", "x zero", "y"), "works along the axis of the rows"),
    "the largest of rows": (node("ArgMax", "x", "y", axis=0), "works along the axis of the rows"),
    "a triangle of rows": (node("Trilu", "x", "y"), "works along the axis of the rows"),
    "updates that are added": (node("ScatterND", "i i u", "y", reduction="add"), "joins elements with updates by add"),
}


@pytest.mark.parametrize(("made", "words"), REJECTED.values(), ids=REJECTED)
def test_an_operator_that_is_not_of_rows_is_rejected(made: Any, words: str) -> None:
    constants = [constant("i", np.array([[0, 1]])), constant("zero", np.array(0)), constant("u", np.array([5]))]
    given = model(
        [node("Relu", "x", "r"), made], *constants, inputs=[tensor("x", "rows", 4)], outputs=[tensor("y"), tensor("r")]
    )
    with pytest.raises(UnsupportedModelError, match=words):
        read_graph(given, outputs=["y"])
