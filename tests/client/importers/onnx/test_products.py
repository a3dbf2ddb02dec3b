"""Products over tokens: weights that all tokens share are stored once, and need no rearranged copies."""

from typing import Any

import numpy as np
import onnx
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import constant, model, node, numbers, tensor

TOKENS, WIDTH = 8, 12
LINEAR = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
GRAPHS: dict[str, tuple[list[Any], list[Any], list[str]]] = {
    "a linear map of each token": (
        LINEAR,
        [numbers("w", WIDTH, 16), numbers("b", 16)],
        ["conv", "take"],
    ),
    "two linear maps, the second of channels as they stand": (
        [*LINEAR[:1], node("Add", "m b", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")],
        [numbers("w", WIDTH, 16), numbers("b", 16), numbers("v", 16, WIDTH)],
        ["conv", "conv", "take"],
    ),
    "a residual sum": (
        [node("MatMul", "x w", "m"), node("Add", "x m", "y")],
        [numbers("w", WIDTH, WIDTH)],
        ["conv", "take", "scale_shift"],
    ),
    "weights of each group": (
        [node("MatMul", "x w", "y")],
        [numbers("w", 1, TOKENS, WIDTH, 8)],
        ["conv"],
    ),
    "weights on the left": (
        [node("MatMul", "w x", "y")],
        [numbers("w", 16, TOKENS)],
        ["conv"],
    ),
    "attention": (
        [
            node("MatMul", "x w", "q"),
            node("MatMul", "x v", "k"),
            node("Transpose", "k", "t", perm=[0, 2, 1]),
            node("MatMul", "q t", "s"),
            node("Softmax", "s", "p"),
            node("MatMul", "p x", "y"),
        ],
        [numbers("w", WIDTH, WIDTH), numbers("v", WIDTH, WIDTH)],
        ["conv", "conv", "take", "matmul", "group_softmax", "matmul"],
    ),
}


@pytest.mark.parametrize(("nodes", "weights", "kinds"), GRAPHS.values(), ids=GRAPHS)
def test_a_product_over_tokens_shares_its_weights(nodes: list[Any], weights: list[Any], kinds: list[str]) -> None:
    shape = ("rows", TOKENS, 1, WIDTH) if len(weights[0].dims) == 4 else ("rows", TOKENS, WIDTH)
    imported = import_model(model(nodes, *weights, inputs=[tensor("x", *shape)], outputs=[tensor("y")]))
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    assert [layer.kind for layer in imported.spec.layers] == kinds
    assert sum(np.size(array) for layer in plan.layers for array in layer.arrays) < 4_000


SIZES = {"heads": [3, -1, 2], "apart": [-1, 2, 3, 2], "flat": [-1, 4], "back": [3, -1, 4]}
JOINED = [
    node("Transpose", "x", "t", perm=[1, 0, 2]),
    node("Reshape", "t heads", "h"),
    node("Transpose", "h", "g", perm=[1, 0, 2]),
    node("Reshape", "g apart", "a"),
    node("Transpose", "a", "c", perm=[2, 0, 1, 3]),
    node("Reshape", "c flat", "f"),
    node("Gemm", "f w b", "l", transB=1),
    node("Reshape", "l back", "k"),
    node("Transpose", "k", "y", perm=[1, 0, 2]),
]
"""The way of a query of torch.nn.MultiheadAttention, whose rows are one axis with the heads, then with the tokens."""


def joined(nodes: list[Any]) -> Any:
    sizes = [constant(name, np.array(size)) for name, size in SIZES.items()]
    weights = [numbers("w", 4, 4), numbers("b", 4)]
    return model(nodes, *sizes, *weights, inputs=[tensor("x", "rows", 3, 4)], outputs=[tensor(nodes[-1].output[0])])


def test_rows_may_be_one_axis_with_others() -> None:
    imported = import_model(joined(JOINED))
    check_examples(imported.spec, compile_plan(imported.spec))


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (node("Relu", "f", "y"), "Relu reads 'f', whose rows are one axis with others"),
        (node("MatMul", "f f", "y"), "MatMul reads .f., whose rows are one axis with others"),
        (node("Gemm", "f w", "y", transA=1), "multiplies tensors that are no matrices of rows"),
        (node("Identity", "f", "y"), "has its rows along one axis with others"),
        (node("Reshape", "f zero", "y"), "keeps axes of a tensor whose rows are one axis with others"),
        (node("Concat", "f f", "y", axis=0), "Concat reads 'f', whose rows are one axis with others"),
    ],
    ids=lambda part: part.op_type if isinstance(part, onnx.NodeProto) else "",
)
def test_rows_in_one_axis_with_others_are_not_computed_across(last: Any, words: str) -> None:
    wrong = joined([*JOINED[:6], last])
    wrong.graph.initializer.append(constant("zero", np.array([0, 4])))
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(wrong)
