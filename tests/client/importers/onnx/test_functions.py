"""Operators that are read as the nodes of their body, and constants beside elements that depend on the inputs."""

from typing import Any

import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.onnx.function_bodies import FUNCTIONS
from forwardpass.importers.onnx.graph_reader import read_graph
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import constant, model, node, numbers, tensor

X, Y = tensor("x", "rows", 4), tensor("y")
MASK = np.where(np.tril(np.ones((3, 3), bool)), np.float32(0), np.float32(-np.inf))


def computed(made: Any, rows: list[list[float]]) -> Any:
    """Return what the core computes of an imported model, whose certificate compared it with onnxruntime."""
    imported = import_model(made)
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    return forward(plan, np.array(rows, imported.spec.dtype))


MODELS: dict[str, tuple[list[Any], list[Any], tuple[int, ...]]] = {
    "normalization by groups": (
        [node("GroupNormalization", "x w b", "y", num_groups=2)],
        [numbers("w", 4), numbers("b", 4)],
        (4, 3),
    ),
    "a mean of 0 and a variance of 1": ([node("MeanVarianceNormalization", "x", "y", axes=[1, 2])], [], (2, 3)),
    "padding by a number": (
        [node("Pad", "x pads filling", "y")],
        [constant("pads", np.array([0, 1, 0, 2])), constant("filling", np.float32(7))],
        (4,),
    ),
    "a choice between constants": (
        [node("Greater", "x half", "c"), node("Where", "c one other", "y")],
        [constant("half", np.float32(0.5)), numbers("one", 4), numbers("other", 4)],
        (4,),
    ),
    "a choice by constants": (
        [node("Where", "chosen x other", "y")],
        [constant("chosen", np.array([True, False, True, False])), numbers("other", 4)],
        (4,),
    ),
    "a mask of infinities": (
        [node("Add", "x mask", "m"), node("Softmax", "m", "y")],
        [constant("mask", MASK)],
        (3, 3),
    ),
    "powers of its own": (
        [node("Abs", "x", "a"), node("Pow", "a p", "y")],
        [constant("p", np.array([1, 2, 3, 0.5], np.float32))],
        (4,),
    ),
    "a remainder": (
        [node("Mod", "x d", "m", fmod=1), node("Mod", "m e", "y", fmod=1)],
        [constant("d", np.float32(3)), constant("e", np.array([1, -2, 0.5, -0.7], np.float32))],
        (4,),
    ),
}


@pytest.mark.parametrize(("nodes", "constants", "shape"), MODELS.values(), ids=MODELS)
def test_a_model_computes_what_onnxruntime_does(nodes: list[Any], constants: list[Any], shape: tuple[int, ...]) -> None:
    opset = 21 if nodes[0].op_type == "GroupNormalization" else 17
    inputs = [tensor("x", "rows", *shape)]
    imported = import_model(model(nodes, *constants, inputs=inputs, outputs=[Y], opset=opset))
    check_examples(imported.spec, compile_plan(imported.spec))


def test_a_constant_is_as_many_rows_as_the_input_has() -> None:
    made = model(
        [
            node("Shape", "x", "rows", start=0, end=1),
            node("Concat", "rows two", "shape", axis=0),
            node("Expand", "token shape", "tokens"),
            node("Concat", "tokens x", "y", axis=1),
        ],
        constant("two", np.array([2])),
        constant("token", np.array([[5.0, 6.0]], np.float32)),
        inputs=[tensor("x", "rows", 1)],
        outputs=[Y],
    )
    assert computed(made, [[1], [2]]).tolist() == [[5, 6, 1], [5, 6, 2]]


def test_numbers_that_no_spec_holds_are_computed() -> None:
    special = np.array([np.inf, -np.inf, np.nan, -0.0], np.float32)
    made = model(
        [node("Where", "chosen x special", "y")],
        constant("chosen", np.zeros(4, bool)),
        constant("special", special),
        inputs=[X],
        outputs=[Y],
    )
    graph = read_graph(made)
    assert [layer["name"] for layer in graph.layers if layer["kind"] == "embedding"] == ["constant_4"]
    with np.errstate(all="ignore"):
        found = computed_without_certificate(graph, [[1, np.nan, 3, 4]])
    np.testing.assert_array_equal(found, special[None])
    assert np.signbit(found[0, 3])


def computed_without_certificate(graph: Any, rows: list[list[float]]) -> Any:
    from forwardpass import spec

    document = {
        "format": spec.FORMAT,
        "dtype": graph.dtype,
        "inputs": graph.inputs[0].width,
        "layers": list(graph.layers),
        "output_layers": list(graph.output_layers),
        "allow_non_finite_inputs": True,
    }
    return forward(compile_plan(spec.parse(document)), np.array(rows, graph.dtype))


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [({"scale": 0.5}, (2, 4, 3)), ({"is_causal": 1}, (2, 4, 3)), ({"q_num_heads": 2, "kv_num_heads": 2}, (4, 6))],
)
def test_attention_of_any_number_of_rows_is_products_and_a_softmax(
    attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    made = model(
        [node("Attention", "x x x", "y", **attributes)], inputs=[tensor("x", "rows", *shape)], outputs=[Y], opset=23
    )
    made.ir_version = 11
    imported = import_model(made)
    check_examples(imported.spec, compile_plan(imported.spec))
    kinds = [layer.kind for layer in imported.spec.layers]
    assert [kind for kind in kinds if kind in {"matmul", "group_softmax"}] == ["matmul", "group_softmax", "matmul"]


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
@pytest.mark.parametrize("inputs", ["", "x", "x x", "x x x", "x w", "x w w", "x  w", "w", "x x x x x x x"])
def test_a_node_that_is_not_as_its_operator_must_be_is_rejected_or_read(op: str, inputs: str) -> None:
    made = model([node(op, inputs, "y")], numbers("w", 4), inputs=[X], outputs=[Y], opset=24)
    try:
        read_graph(made)
    except UnsupportedModelError as error:
        assert all(fault.message for fault in error.faults)


def test_an_operator_is_not_in_an_older_set() -> None:
    made = model([node("Attention", "x x x", "y")], inputs=[X], outputs=[Y], opset=17)
    with pytest.raises(UnsupportedModelError, match="is not in version 17 of the operator set"):
        read_graph(made)
