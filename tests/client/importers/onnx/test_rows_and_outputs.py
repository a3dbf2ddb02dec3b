"""Files as they are: rows axes of a fixed size, several outputs, names of any length, nodes in any order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from forwardpass.errors import InvalidFieldError, InvalidRequestError
from forwardpass.importers import Imported, ParityError, UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan
from onnx import helper, numpy_helper
from onnx.tools import update_model_dims
from sklearn.dummy import DummyRegressor

from tests.support.onnx_models import ml, model, node, numbers, tensor

LINEAR = "g (float[N,3] x) => (float[N,4] y) { h = MatMul(x, w) y = Relu(h) }"


def text(graph: str, **initializers: Any) -> Any:
    """Return a model with the weights `w` (3, 4), `u` (3, 1) and `l` (4)."""
    random = np.random.default_rng(0)
    made = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> ' + graph)
    arrays = {"w": random.normal(size=(3, 4)), "u": random.normal(size=(3, 1)), "l": random.normal(size=4)}
    for name, array in {**arrays, **initializers}.items():
        made.graph.initializer.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
    return made


def changed(made: Any, change: Callable[[Any], Any]) -> Any:
    change(made.graph)
    return made


def reversed_nodes(graph: Any) -> None:
    nodes = list(graph.node)[::-1]
    del graph.node[:]
    graph.node.extend(nodes)


def size(axis: int, number: int) -> Callable[[Any], Any]:
    return lambda graph: setattr(graph.input[0].type.tensor_type.shape.dim[axis], "dim_value", number)


PLAIN: dict[str, Any] = {
    "4 rows": text(LINEAR.replace("N,3", "4,3").replace("N,4", "4,4")),
    "1 row": text(LINEAR.replace("N,3", "1,3").replace("N,4", "1,4")),
    "789,444 rows": text(LINEAR.replace("N,3", "789444,3")),
    "-1 rows": changed(text(LINEAR), size(0, -1)),
    "-1 columns": changed(text(LINEAR), size(1, -1)),
    "named columns": text(LINEAR.replace("N,3", "N,M")),
    "nodes reversed": changed(text(LINEAR), reversed_nodes),
    "4 rows that a node knows": text(
        "g (float[4,3] x) => (float[4,4] y) { s = Constant<value_ints=[4,-1]>() f = Reshape(x, s) y = MatMul(f, w) }"
    ),
    "1 row that a node knows": text(
        "g (float[1,3] x) => (float[1,4] y) "
        "{ h = MatMul(x, w) s = Constant<value_ints=[1,-1]>() f = Reshape(h, s) y = Softmax(f) }"
    ),
    "a weight that is listed as an input": changed(
        text(LINEAR), lambda graph: graph.input.append(helper.make_tensor_value_info("w", 1, [3, 4]))
    ),
    "a decided If": text(
        "g (float[N,3] x) => (float[N,4] y) { c = Constant<value = bool {1}>() h = MatMul(x, w) "
        "y = If (c) <then_branch = a () => (float[N,4] p) { p = Relu(h) }, "
        "else_branch = b () => (float[N,4] q) { q = Neg(h) }> }"
    ),
}


def layers(imported: Imported) -> tuple[int, tuple[str, ...]]:
    check_examples(imported.spec, compile_plan(imported.spec))
    return imported.spec.inputs.width, imported.spec.outputs


@pytest.mark.parametrize("made", PLAIN.values(), ids=PLAIN)
def test_each_row_is_computed_by_itself(made: Any) -> None:
    imported = import_model(made)
    assert layers(imported) == (3, ("y_0", "y_1", "y_2", "y_3"))
    assert imported.certificate.random_rows == 1_000


def test_rows_that_the_graph_mixes_are_one_row_of_the_network() -> None:
    imported = import_model(text("g (float[2,3] x) => (float[2,3] y) { y = Softmax<axis=0>(x) }"))
    assert imported.spec.inputs.width == 6
    assert imported.notes == ("the first axis of the inputs, of 2 places, is a part of each row",)


OUTPUTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "a constant": (
        "g (float[N,3] x) => (float[N,1] y, float[4] s) { y = MatMul(x, u) s = Identity(l) }",
        ("y",),
        "the output 's' is the same for all rows, and is left out",
    ),
    "a constant for each row": (
        (
            "g (float[N,3] x) => (float[N,1] y, float[N,1] s) { y = MatMul(x, u) q = Shape(y) "
            "s = ConstantOfShape<value = float[1] {1.0}>(q) }"
        ),
        ("y",),
        "the output 's' is the same for all rows, and is left out",
    ),
    "a random output": (
        "g (float[N,3] x) => (float[N,1] y, float[N,1] s) { y = MatMul(x, u) r = RandomNormalLike(y) s = Add(y, r) }",
        ("y",),
        "the output 's' is random, and is left out",
    ),
    "the place of the largest, beside the numbers": (
        (
            "g (float[N,3] x) => (float[N,1] v, float[N,4] p, int64[N] k) "
            "{ v = MatMul(x, u) h = MatMul(x, w) p = Softmax(h) k = ArgMax<axis=1, keepdims=0>(p) }"
        ),
        ("v", "p_0", "p_1", "p_2", "p_3"),
        "the place of the largest of 4 numbers is left out; the numbers are there",
    ),
    "the place of the largest, without the numbers": (
        (
            "g (float[N,3] x) => (int64[N] k, float[N,1] v) "
            "{ h = MatMul(x, w) v = MatMul(x, u) k = ArgMax<axis=1, keepdims=0>(h) }"
        ),
        ("v", "h_0", "h_1", "h_2", "h_3"),
        "the place of the largest of 4 numbers is left out; the numbers are there",
    ),
}


@pytest.mark.parametrize(("graph", "outputs", "note"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_that_is_no_function_of_the_row_is_left_out_with_a_note(
    graph: str, outputs: tuple[str, ...], note: str
) -> None:
    imported = import_model(text(graph))
    assert layers(imported) == (3, outputs)
    assert imported.notes == (note,)


def test_outputs_are_chosen_by_their_names() -> None:
    graph = (
        "g (float[N,3] x) => (float[N,4] h, float[N,1] v, float[N,4] f) "
        "{ h = MatMul(x, w) v = MatMul(x, u) f = Det(h) }"
    )
    assert layers(import_model(text(graph), outputs=["v"])) == (3, ("v",))
    assert layers(import_model(text(graph), outputs=["h", "v"])) == (3, ("h_0", "h_1", "h_2", "h_3", "v"))
    with pytest.raises(UnsupportedModelError, match="Det"):
        import_model(text(graph))


def test_names_are_made_readable_and_told() -> None:
    long = "decoder/" + "y" * 200
    names = {"x": "in put\n", "y": long}
    made = model([node("Gemm", "a w", "y")], numbers("w", 4, 1), inputs=[tensor("a", "rows", 4)], outputs=[tensor("y")])
    made.graph.node[0].input[0] = made.graph.input[0].name = names["x"]
    made.graph.node[0].output[0] = made.graph.output[0].name = names["y"]
    imported = import_model(made)
    (name,) = imported.spec.outputs
    assert len(name) < 128
    assert name.startswith("decoder/yyy")
    assert imported.notes == (f"the output {long!r} is called {name!r}",)


def test_two_inputs_of_one_number_each_keep_readable_names() -> None:
    made = model(
        [node("Concat", "a b", "x", axis=1), node("Gemm", "x w", "y")],
        numbers("w", 2, 1),
        inputs=[tensor("a", "rows", 1), tensor("b", "rows", 1)],
        outputs=[tensor("y")],
    )
    made.graph.node[0].input[0] = made.graph.input[0].name = " tax\trate\u0301"
    assert import_model(made).spec.inputs.names == ("tax_rat\u00e9", "b")


@pytest.mark.parametrize("inputs", [(1, 1), (1,)], ids=["two axes", "one axis"])
def test_a_feature_vectorizer_joins_inputs_of_any_rank(inputs: tuple[int, ...]) -> None:
    """As converters of CoreML and old versions of skl2onnx write it."""
    made = model(
        [
            ml("Scaler", "a", "p", scale=[2.0], offset=[1.0]),
            ml("OneHotEncoder", "b", "q", cats_int64s=[0, 1, 4]),
            ml("FeatureVectorizer", "p q", "y", inputdimensions=[1, 3]),
        ],
        inputs=[tensor("a", *inputs), tensor("b", *inputs, kind=7)],
        outputs=[tensor("y")],
    )
    imported = import_model(made)
    assert len(imported.spec.outputs) == 4
    assert imported.certificate.relative == 0


def test_a_branch_that_the_row_decides_is_rejected() -> None:
    made = text(
        "g (float[N,3] x) => (float[N,4] y) { h = MatMul(x, w) m = ReduceMax<keepdims=0>(x) c = Cast<to=9>(m) "
        "y = If (c) <then_branch = a () => (float[N,4] p) { p = Relu(h) }, "
        "else_branch = b () => (float[N,4] q) { q = Neg(h) }> }"
    )
    with pytest.raises(UnsupportedModelError):
        import_model(made)


def test_two_rows_axes_are_never_joined() -> None:
    made = text(
        "g (float[N,3] x) => (float[N,3] y) "
        "{ a = Constant<value_ints=[1]>() t = Unsqueeze(x, a) p = Mul(x, t) y = ReduceSum<keepdims=0>(p, a) }"
    )
    with pytest.raises((UnsupportedModelError, ParityError), match="not the same axis"):
        import_model(made)


AXES: dict[str, tuple[str, int, tuple[int, int]]] = {
    "columns of an open axis": ("g (float[3,N] x) => (float[4,N] y) { t = Transpose(w) y = MatMul(t, x) }", 1, (3, 4)),
    "columns that become rows": (
        "g (float[3,N] x) => (float[N,4] y) { t = Transpose(x) h = MatMul(t, w) y = Relu(h) }",
        1,
        (3, 4),
    ),
    "steps before rows": (
        "g (float[5,N,3] x) => (float[N,4] y) { h = MatMul(x, w) s = Relu(h) y = ReduceMean<axes=[0], keepdims=0>(s) }",
        1,
        (15, 4),
    ),
    "steps before rows of a fixed number": (
        "g (float[5,2,3] x) => (float[5,2,4] y) { h = MatMul(x, w) y = Softmax<axis=0>(h) }",
        1,
        (15, 20),
    ),
    "rows of one number": ("g (float[4] x) => (float[4] y) { y = Tanh(x) }", 0, (1, 1)),
    "an open and a fixed number of rows": (
        (
            "g (float[N,3] x, float[4] s) => (float[N,4] y) "
            "{ h = MatMul(x, w) a = Constant<value_ints=[1]>() c = Unsqueeze(s, a) y = Mul(h, c) }"
        ),
        0,
        (4, 4),
    ),
}


@pytest.mark.parametrize(("graph", "axis", "sizes"), AXES.values(), ids=AXES)
def test_the_axis_of_the_rows_can_be_said(graph: str, axis: int, sizes: tuple[int, int]) -> None:
    imported = import_model(text(graph), rows_axis=axis)
    width, outputs = layers(imported)
    assert (width, len(outputs)) == sizes
    assert imported.certificate.random_rows == 1_000


@pytest.mark.parametrize("place", [0, 2, 5])
def test_an_axis_that_cannot_be_seen_is_rejected_with_the_remedy(place: int) -> None:
    graph, axis, _ = list(AXES.values())[place]
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(text(graph))
    assert f"--rows-axis {axis} (rows_axis={axis})" in str(caught.value)


def test_a_fixed_graph_can_be_read_as_one_row() -> None:
    graph = "g (float[2,3] x) => (float[2,4] y) { y = MatMul(x, w) }"
    assert layers(import_model(text(graph)))[0] == 3
    assert layers(import_model(text(graph), rows_axis="none"))[0] == 6


@pytest.mark.parametrize(
    ("graph", "axis", "said"),
    [
        (LINEAR, 2, "has 2 axes, and none numbered 2"),
        (
            "g (float[N,M] x) => (float[N,M] y) { y = Relu(x) }",
            None,
            r"of no fixed size, \[1\], beside that of the rows; give each",
        ),
        (LINEAR, 1, r"has axes of no fixed size, \[0\]; if this is the axis of the rows, say so by --rows-axis 0"),
        (LINEAR, "none", "has the input 'x', whose first axis is open"),
        (LINEAR, "first", "is 'first'; must be the number of an axis"),
        (LINEAR, -1, "is -1; must be the number of an axis"),
        (LINEAR, True, "is True; must be the number of an axis"),
        (
            "g (float[4,3] x, float[2,3] z) => (float[4,3] y) { y = Add(x, z) }",
            0,
            "have different numbers of rows, 2, 4",
        ),
        ("g (float[2,3] x) => (float[2,3] y) { y = Softmax<axis=0>(x) }", 0, "Softmax"),
    ],
)
def test_an_axis_that_does_not_have_the_rows_is_rejected(graph: str, axis: int | str | None, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        import_model(text(graph), rows_axis=axis)


def test_only_onnx_files_need_the_axis() -> None:
    with pytest.raises(InvalidFieldError, match="rows_axis: is for ONNX files"):
        import_model(DummyRegressor(), rows_axis=0)


def test_an_open_axis_gets_its_size_by_the_tool_that_the_error_names() -> None:
    made = text("g (float[N,M] x) => (float[N,M] y) { y = Relu(x) }")
    update_model_dims.update_inputs_outputs_dims(made, {"x": ["N", 3]}, {"y": ["N", 3]})
    assert layers(import_model(made))[0] == 3
