"""Models as exporters write them: what becomes of them, and what is refused with its place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import Imported, UnsupportedModelError, import_model, load_object
from forwardpass_server.registry.compile import check_examples, compile_plan
from onnx import TensorProto

from tests.support.onnx_models import DOUBLE, INT64, constant, ml, model, node, numbers, tensor

X, Y = tensor("x", "rows", 4), tensor("y")


def layers(imported: Imported) -> list[tuple[str, ...]]:
    """Return name, kind, activation and what is read of each layer."""
    check_examples(imported.spec, compile_plan(imported.spec))
    return [(layer.name, layer.kind, str(layer.activation), *layer.from_) for layer in imported.spec.layers]


def test_a_perceptron_is_dense_layers_of_its_dtype() -> None:
    for dtype, kind in (("float32", 1), ("float64", DOUBLE)):
        imported = import_model(
            model(
                [
                    node("Gemm", "x w1 b1", "h", transB=1),
                    node("Relu", "h", "hidden"),
                    node("MatMul", "hidden w2", "m"),
                    node("Add", "m b2", "a"),
                    node("Softmax", "a", "p"),
                ],
                numbers("w1", 8, 4, dtype=dtype),
                numbers("b1", 8, dtype=dtype),
                numbers("w2", 8, 3, dtype=dtype),
                numbers("b2", 3, dtype=dtype),
                inputs=[tensor("x", "rows", 4, kind=kind)],
                outputs=[tensor("p", kind=kind)],
            )
        )
        assert layers(imported) == [("hidden", "dense", "relu", "inputs"), ("p", "dense", "softmax", "hidden")]
        assert imported.spec.dtype == dtype
        assert imported.spec.outputs == ("p_0", "p_1", "p_2")


def test_a_residual_network_with_gelu_in_five_nodes() -> None:
    imported = import_model(
        model(
            [
                node("Gemm", "x w1", "h"),
                node("Div", "h root", "d"),
                node("Erf", "d", "e"),
                node("Add", "e one", "e1"),
                node("Mul", "h e1", "he"),
                node("Mul", "he half", "g"),
                node("Gemm", "g w2", "o"),
                node("Add", "o x", "y"),
            ],
            numbers("w1", 4, 8),
            numbers("w2", 8, 4),
            constant("root", np.float32(2**0.5)),
            constant("one", np.float32(1)),
            constant("half", np.float32(0.5)),
            inputs=[X],
            outputs=[Y],
        )
    )
    assert layers(imported) == [
        ("g", "dense", "x * (erf(x / 1.4142135) + 1) * 0.5", "inputs"),
        ("o", "dense", "identity", "g"),
        ("y", "scale_shift", "identity", "o", "inputs"),
    ]


def test_several_inputs_and_outputs_and_an_embedding() -> None:
    imported = import_model(
        model(
            [
                node("Gather", "table category", "e"),
                node("Concat", "e amounts", "all", axis=1),
                node("Gemm", "all w", "score"),
                node("Sigmoid", "amounts", "share"),
            ],
            numbers("table", 10, 3),
            numbers("w", 8, 1),
            inputs=[tensor("category", "rows", kind=INT64), tensor("amounts", "rows", 5)],
            outputs=[tensor("score"), tensor("share")],
        )
    )
    assert layers(imported) == [
        ("e", "embedding", "identity", "category"),
        ("score", "dense", "identity", "e", "amounts"),
        ("share", "scale_shift", "sigmoid", "amounts"),
    ]
    assert imported.spec.output_layers == ("score", "share")
    assert imported.spec.outputs[:2] == ("score", "share_0")
    categories = {example.inputs[0] for example in imported.spec.examples}
    assert categories <= set(range(10))


def test_two_heads_of_one_output_each() -> None:
    nodes = [node("Gemm", "x w b", "up"), node("Gemm", "x v b", "down")]
    initializers = numbers("w", 4, 1), numbers("v", 4, 1), numbers("b", 1)
    imported = import_model(model(nodes, *initializers, inputs=[X], outputs=[tensor("up"), tensor("down")]))
    assert imported.spec.outputs == ("up", "down")


def test_a_shape_that_is_computed_from_the_rows() -> None:
    imported = import_model(
        model(
            [
                node("Shape", "x", "shape"),
                node("Gather", "shape zero", "rows", axis=0),
                node("Unsqueeze", "rows axes", "rows1"),
                node("Concat", "rows1 rest", "target", axis=0),
                node("Reshape", "x target", "flat"),
                node("Gemm", "flat w", "y"),
            ],
            constant("zero", np.int64(0)),
            constant("axes", np.array([0])),
            constant("rest", np.array([-1])),
            numbers("w", 6, 2),
            inputs=[tensor("x", "rows", 2, 3)],
            outputs=[Y],
        )
    )
    assert layers(imported) == [("y", "dense", "identity", "inputs")]


def test_a_model_of_a_single_row() -> None:
    imported = import_model(
        model([node("Gemm", "x w", "y")], numbers("w", 4, 2), inputs=[tensor("x", 1, 4)], outputs=[Y])
    )
    assert imported.spec.inputs.width == 4
    assert len(imported.spec.outputs) == 2


def test_half_precision_weights_that_are_cast_first() -> None:
    imported = import_model(
        model(
            [node("Cast", "w16", "w", to=1), node("MatMul", "x w", "y")],
            numbers("w16", 4, 2, dtype="float16"),
            inputs=[X],
            outputs=[Y],
        )
    )
    assert layers(imported) == [("y", "dense", "identity", "inputs")]


def test_bfloat16_weights_that_are_cast_first() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32).view(np.uint32) >> 16
    short = TensorProto(name="w16", data_type=TensorProto.BFLOAT16, dims=[4, 2])
    short.raw_data = weights.astype("<u2").tobytes()
    imported = import_model(
        model([node("Cast", "w16", "w", to=1), node("MatMul", "x w", "y")], short, inputs=[X], outputs=[Y])
    )
    assert layers(imported) == [("y", "dense", "identity", "inputs")]
    np.testing.assert_array_equal(imported.spec.layers[0].weights.T, (weights << 16).view(np.float32))


@pytest.mark.parametrize("axis", [0, 1, None], ids=str)
def test_quantized_weights_are_the_numbers_that_they_stand_for(axis: int | None) -> None:
    random = np.random.default_rng(0)
    whole = random.integers(-128, 128, (4, 2)).astype(np.int8)
    count = () if axis is None else (whole.shape[axis],)
    scale, zero = random.random(count).astype(np.float32), random.integers(-9, 9, count).astype(np.int8)
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    imported = import_model(
        model(
            [
                node("DequantizeLinear", "q scale zero", "w", **attributes),
                node("MatMul", "x w", "y"),
            ],
            *map(constant, ("q", "scale", "zero"), (whole, scale, zero)),
            inputs=[X],
            outputs=[Y],
        )
    )
    assert layers(imported) == [("y", "dense", "identity", "inputs")]


def classifier(*, zipped: bool) -> Any:
    made = model(
        [
            ml("Imputer", "x", "filled", imputed_value_floats=[0.5], replaced_value_float=float("nan")),
            ml("Scaler", "filled", "scaled", offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 0.25, 2.0, 1.0]),
            ml(
                "LinearClassifier",
                "scaled",
                "label probabilities",
                coefficients=np.random.default_rng(1).normal(size=12).tolist(),
                intercepts=[0.1, 0.2, 0.3],
                classlabels_strings=["no", "maybe", "yes"],
                post_transform="SOFTMAX",
            ),
            *([ml("ZipMap", "probabilities", "zipped", classlabels_strings=["no", "maybe", "yes"])] * zipped),
        ],
        inputs=[X],
        outputs=[tensor("label", kind=8), tensor("zipped" if zipped else "probabilities")],
    )
    if zipped:
        sequence = made.graph.output[1].type.sequence_type.elem_type.map_type
        sequence.key_type, sequence.value_type.tensor_type.elem_type = 8, 1
    return made


@pytest.mark.parametrize("zipped", [False, True])
def test_a_classifier_of_scikit_learn(*, zipped: bool) -> None:
    imported = import_model(classifier(zipped=zipped))
    assert [layer[1] for layer in layers(imported)] == ["impute", "scale_shift", "scale_shift", "dense"]
    assert imported.spec.classes == ("no", "maybe", "yes")
    assert imported.spec.allow_non_finite_inputs


def test_normalized_probabilities_beside_their_label_are_the_only_outputs() -> None:
    """As skl2onnx writes a LogisticRegression of several classes."""
    made = model(
        [
            ml(
                "LinearClassifier",
                "x",
                "label scores",
                coefficients=np.random.default_rng(1).normal(size=12).tolist(),
                intercepts=[0.1, 0.2, 0.3],
                classlabels_ints=[0, 1, 2],
                post_transform="SOFTMAX",
            ),
            ml("Normalizer", "scores", "probabilities", norm="L1"),
        ],
        inputs=[X],
        outputs=[tensor("label", kind=INT64), tensor("probabilities")],
    )
    imported = import_model(made)
    assert imported.spec.outputs == ("probabilities_0", "probabilities_1", "probabilities_2")
    assert imported.spec.classes == ("0", "1", "2")


def test_categories_and_an_argmax() -> None:
    imported = import_model(
        model(
            [
                ml("LabelEncoder", "x", "codes", keys_int64s=[10, 20], values_int64s=[0, 1], default_int64=2),
                ml("OneHotEncoder", "codes", "hot", cats_int64s=[0, 1, 2]),
                node("Reshape", "hot flat", "wide"),
                node("Gemm", "wide w", "scores"),
                node("ArgMax", "scores", "best", axis=1),
                ml("ArrayFeatureExtractor", "names best", "label"),
            ],
            constant("flat", np.array([-1, 6])),
            constant("names", np.array([7, 8, 9])),
            numbers("w", 6, 3),
            inputs=[tensor("x", "rows", 2, kind=INT64)],
            outputs=[tensor("label", kind=INT64), tensor("scores")],
        )
    )
    assert [layer[1] for layer in layers(imported)] == ["lookup", "one_hot", "dense"]
    assert imported.spec.classes == ("7", "8", "9")


def test_a_convolutional_network_of_every_kind_of_padding() -> None:
    imported = import_model(
        model(
            [
                node("Conv", "x w1 b1", "c1", auto_pad="SAME_UPPER", strides=[2, 1]),
                node("Relu", "c1", "r1"),
                node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[1, 2]),
                node("Conv", "p1 w2", "c2", pads=[0, 1, 2, 0], dilations=[1, 2], group=2, kernel_shape=[2, 2]),
                node("Tanh", "c2", "r2"),
                node("Conv", "r2 w3", "c3", auto_pad="VALID"),
                node("GlobalAveragePool", "c3", "g"),
                node("Flatten", "g", "f"),
                node("Gemm", "f w4", "y"),
            ],
            numbers("w1", 4, 1, 3, 3),
            numbers("b1", 4),
            numbers("w2", 6, 2, 2, 2),
            numbers("w3", 3, 6, 1, 1),
            numbers("w4", 3, 2),
            inputs=[tensor("x", "rows", 1, 7, 6)],
            outputs=[tensor("y")],
        )
    )
    assert [layer[1:3] for layer in layers(imported)] == [
        *[("conv", "relu"), ("pool", "identity"), ("conv", "tanh"), ("conv", "identity")],
        *[("pool", "identity"), ("dense", "identity")],
    ]
    first, _, second = imported.spec.layers[:3]
    assert (first.settings["pads"], second.settings["pads"]) == ((1, 1, 1, 1), (0, 1, 2, 0))
    assert first.arrays["weights"].shape == (4, 9)


UNSUPPORTED: dict[str, tuple[Any, str, str]] = {
    "trees": (
        [ml("TreeEnsembleRegressor", "x", "y")],
        "graph.node[0] (TreeEnsembleRegressor)",
        "made of trees, which are no layers of a network; use an MLP instead",
    ),
    "a transposed convolution of rows": (
        [node("ConvTranspose", "x w", "y")],
        "graph.node[0] (ConvTranspose)",
        "needs its rows as axis 0",
    ),
    "a convolution of rows": ([node("Conv", "x w", "y")], "graph.node[0] (Conv)", "needs its rows as axis 0"),
    "a remainder of 0": (
        [node("Mod", "x none", "y", fmod=1)],
        "graph.node[0] (Mod)",
        "divides by a constant that is 0",
    ),
    "a constant row": (
        [node("Concat", "row x", "y", axis=1)],
        "graph.node[0] (Concat)",
        "repeat it for each row by Expand",
    ),
    "quantized values": (
        [
            node("QuantizeLinear", "x half", "q"),
            node("DequantizeLinear", "q half", "y"),
        ],
        "graph.node[0] (QuantizeLinear)",
        "export the model before it is quantized",
    ),
    "an unknown operator": ([node("Fancy", "x", "y", "acme")], "graph.node[0] (Fancy)", "is not supported"),
    "softmax over rows": ([node("Softmax", "x", "y", axis=0)], "graph.node[0] (Softmax)", "along the axis of the rows"),
    "a sum over rows": ([node("ReduceSum", "x", "y")], "graph.node[0] (ReduceSum)", "along the axis of the rows"),
    "rows that mix": ([node("Reshape", "x eight", "y")], "graph.node[0] (Reshape)", "must stay an axis of their own"),
    "training": ([node("Dropout", "x half yes", "y")], "graph.node[0] (Dropout)", "export the model for inference"),
    "whole numbers": ([node("Cast", "x", "y", to=7)], "graph.node[0] (Cast)", "which changes values"),
    "two dtypes": (
        [node("Relu", "x", "r"), node("Cast", "r", "d", to=11), node("Exp", "d", "y")],
        "graph",
        "computes in float32 and float64",
    ),
    "made twice": ([node("Relu", "x", "y"), node("Exp", "x", "y")], "graph.node[1] (Exp)", "was there before"),
    "made by no node": ([node("Relu", "z", "y")], "graph.node[0] (Relu)", "which nothing makes"),
    "a division by 0": ([node("Div", "x none", "y")], "graph.node[0] (Div)", "divides by a constant that is 0"),
    "a constant output": ([node("Shape", "x", "y", start=1)], "graph.output (y)", "is the same for all rows"),
}


@pytest.mark.parametrize(("nodes", "path", "words"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_an_unsupported_graph_is_rejected(nodes: list[Any], path: str, words: str) -> None:
    given = model(
        nodes,
        constant("w", np.ones((1, 1, 1), np.float32)),
        constant("eight", np.array([8])),
        constant("row", np.ones((1, 4), np.float32)),
        constant("half", np.float32(0.5)),
        constant("yes", np.array(True)),
        constant("none", np.float32(0)),
        inputs=[X],
        outputs=[Y],
    )
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(given)
    (fault,) = caught.value.faults
    assert fault.path == path
    assert words in fault.message


INPUTS: dict[str, tuple[Any, str]] = {
    "an open axis": (tensor("x", "rows", "width"), "has axes of no fixed size, [1]"),
    "no shape": (tensor("x"), "has no shape"),
}


@pytest.mark.parametrize(("given", "words"), INPUTS.values(), ids=INPUTS)
def test_unsupported_inputs_are_rejected(given: Any, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"graph\.input") as caught:
        import_model(model([node("Relu", "x", "y")], inputs=[given], outputs=[Y]))
    assert words in caught.value.faults[0].message


def test_every_fault_is_told_at_once() -> None:
    nodes = [node("Det", "x", "a"), node("Relu", "a", "b"), node("TopK", "x", "c"), node("Add", "b c", "y")]
    with pytest.raises(UnsupportedModelError, match="2 of its parts cannot be expressed") as caught:
        import_model(model(nodes, inputs=[X], outputs=[Y]))
    assert [fault.path for fault in caught.value.faults] == ["graph.node[0] (Det)", "graph.node[2] (TopK)"]


def test_a_file_is_read_and_a_certificate_kept(tmp_path: Path) -> None:
    path = tmp_path / "M.ONNX"
    path.write_bytes(classifier(zipped=True).SerializeToString())
    imported = import_model(load_object(str(path)), rows=[[1, 2, 3, 4]], outputs=["a", "b", "c"], description="Sales")
    assert imported.certificate.framework.startswith("onnxruntime ")
    assert imported.certificate.given_rows == 1
    assert imported.certificate.covers(spec.from_json(spec.to_json(imported.spec)))
