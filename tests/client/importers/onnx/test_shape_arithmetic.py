"""Sizes that a graph computes of the shapes of its tensors, as exporters write them for any number of rows."""

from typing import Any

import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import INT64, constant, model, node, numbers, tensor

COUNTS = [constant(str(number), np.array([number])) for number in (-1, 0, 1, 2, 3, 4, 12)]
SHAPE = [node("Shape", "x", "shape"), node("Gather", "shape 0", "rows"), node("Gather", "shape 1", "width")]

COMPUTED: dict[str, list[Any]] = {
    "a width that is computed with": [
        node("Cast", "width", "wide", to=1),
        node("Sqrt", "wide", "root"),
        node("Mul", "x root", "y"),
    ],
    "an Expand of sizes that are -1 or not": [
        node("Concat", "rows width", "sizes", axis=0),
        node("Shape", "sizes", "rank"),
        node("ConstantOfShape", "rank", "ones", value=constant("one", np.array([1]))),
        node("Mul", "ones -1", "open"),
        node("Equal", "sizes open", "is_open"),
        node("Where", "is_open ones sizes", "known"),
        node("Expand", "w known", "weights"),
        node("Add", "x weights", "y"),
    ],
    "rows and heads as one axis, and apart again": [
        node("Mul", "rows 3", "all"),
        node("Concat", "all 4", "together", axis=0),
        node("Reshape", "x together", "heads"),
        node("Shape", "heads", "shape_of_heads"),
        node("Gather", "shape_of_heads 0", "again"),
        node("Div", "again 3", "rows_again"),
        node("Concat", "rows_again 3 -1", "apart", axis=0),
        node("Reshape", "heads apart", "parts"),
        node("ReduceMax", "parts", "y", axes=[1], keepdims=0),
    ],
    "whole numbers that no float holds": [
        node("Div", "huge 1", "quotient"),
        node("Sub", "quotient huge", "nothing"),
        node("Cast", "nothing", "zero", to=1),
        node("Add", "x zero", "y"),
    ],
    "functions of constants": [node("Softplus", "w", "soft"), node("Tanh", "soft", "t"), node("Mul", "x t", "y")],
}


def made(nodes: list[Any]) -> Any:
    inputs, outputs = [tensor("x", "n", 12)], [tensor("y")]
    huge = constant("huge", np.array(2**60 + 1))
    return model([*SHAPE, *nodes], *COUNTS, numbers("w", 1, 12), huge, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize("nodes", COMPUTED.values(), ids=COMPUTED)
def test_sizes_that_follow_from_shapes_are_computed(nodes: list[Any]) -> None:
    """The certificate compares the network with onnxruntime."""
    imported = import_model(made(nodes))
    check_examples(imported.spec, compile_plan(imported.spec))


REJECTED: dict[str, tuple[list[Any], str]] = {
    "a comparison with a size that may be": (
        [node("Equal", "rows 3", "is_three"), node("Where", "is_three x w", "y")],
        "computes with the number of rows",
    ),
    "a number of all rows": ([node("Add", "rows 1", "more"), node("Reshape", "x more", "y")], "the number of rows"),
    "a part of a multiple": (
        [node("Mul", "rows 3", "all"), node("Div", "all 2", "part"), node("Reshape", "x part", "y")],
        "the number of rows",
    ),
    "a multiple that does not fit": (
        [node("Mul", "rows 3", "all"), node("Concat", "all 12", "s", axis=0), node("Reshape", "x s", "y")],
        "which does not fit",
    ),
    "a constant for each of several parts of a row": (
        [node("Mul", "rows 3", "all"), node("Concat", "all 12", "s", axis=0), node("Expand", "w s", "y")],
        "only Reshape reads a multiple of the rows",
    ),
}


@pytest.mark.parametrize(("nodes", "words"), REJECTED.values(), ids=REJECTED)
def test_what_depends_on_the_number_of_rows_is_rejected(nodes: list[Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(made(nodes))


def looked_up(*nodes: Any) -> Any:
    inputs, outputs = [tensor("x", "n", 3, kind=INT64)], [tensor("y")]
    offsets = constant("offsets", np.array([[0, 4, 9]]))
    far = constant("far", np.array(20_000_001))
    return model(nodes, numbers("table", 12, 2), offsets, far, *COUNTS, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", "x offsets", "places"), node("Gather", "table places", "y")],
        [node("Sub", "x 1", "places"), node("Gather", "table places", "y")],
        [
            node("Add", "4 x", "places"),
            node("Gather", "table places", "found"),
            node("Cast", "x", "whole", to=1),
            node("ReduceSum", "found 2", "sums", keepdims=0),
            node("Add", "sums whole", "y"),
        ],
    ],
    ids=["offsets", "from 1", "with the numbers themselves"],
)
def test_numbers_are_added_to_categories_of_int64(nodes: list[Any]) -> None:
    imported = import_model(looked_up(*nodes))
    check_examples(imported.spec, compile_plan(imported.spec))


OTHER_SUMS: dict[str, tuple[list[Any], str]] = {
    "of any size": (
        [node("Add", "x offsets", "z"), node("Cast", "z", "y", to=1)],
        "only categories that are inputs, and looked up",
    ),
    "beyond what float32 holds": (
        [
            node("Sub", "x far", "z"),
            node("Gather", "table z", "found"),
            node("ReduceSum", "found 2", "y", keepdims=0),
        ],
        "with whole numbers of 25 bits, of which float32 holds 24",
    ),
    "of no number": (
        [
            node("Sub", "x 12", "z"),
            node("Gather", "table z", "a"),
            node("Gather", "table x", "b"),
            node("Add", "a b", "y"),
        ],
        "looks up what is never from 0 to 11",
    ),
}


@pytest.mark.parametrize(("nodes", "words"), OTHER_SUMS.values(), ids=OTHER_SUMS)
def test_other_sums_of_int64_are_rejected(nodes: list[Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(looked_up(*nodes))
