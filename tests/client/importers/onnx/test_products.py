"""Products over tokens: weights that all tokens share are stored once, and need no rearranged copies."""

from typing import Any

import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import model, node, numbers, tensor

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
