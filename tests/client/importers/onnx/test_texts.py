"""Inputs of texts become category features, as skl2onnx writes pipelines of OneHotEncoder and OrdinalEncoder."""

from typing import Any

import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import constant, ml, model, node, tensor

STRING = 8
PORTS, SEXES = ["C", "Q", "S"], ["female", "male"]


def titanic(**encoder: Any) -> Any:
    """Return the pipeline of sklearn-onnx's titanic example."""
    return model(
        [
            ml("Imputer", "age", "filled", imputed_value_floats=[29.0], replaced_value_float=float("nan")),
            ml("Scaler", "filled", "scaled", offset=[29.5], scale=[0.1]),
            ml("OneHotEncoder", "embarked", "port", cats_strings=PORTS, **encoder),
            ml("OneHotEncoder", "sex", "sexes", cats_strings=SEXES, **encoder),
            node("Concat", "port sexes", "hot", axis=-1),
            node("Reshape", "hot flat", "wide"),
            node("Concat", "scaled wide", "all", axis=1),
            ml(
                "LinearClassifier",
                "all",
                "label probabilities",
                coefficients=np.random.default_rng(0).normal(size=12).tolist(),
                intercepts=[0.1, -0.1],
                classlabels_strings=["drowned", "saved"],
                post_transform="SOFTMAX",
            ),
        ],
        constant("flat", np.array([-1, 5])),
        inputs=[
            tensor("age", "rows", 1),
            tensor("embarked", "rows", 1, kind=STRING),
            tensor("sex", "rows", 1, kind=STRING),
        ],
        outputs=[tensor("label", kind=STRING), tensor("probabilities")],
    )


ROWS: list[dict[str, Any]] = [
    {"age": 30.0, "embarked": "S", "sex": "male"},
    {"age": None, "embarked": "somewhere else", "sex": "female"},
]


def test_texts_are_category_features() -> None:
    imported = import_model(titanic(zeros=1), rows=ROWS)
    age, embarked, sex = imported.spec.inputs.features
    assert (age.name, age.kind, age.missing) == ("age", "number", "nan")
    assert (embarked.name, embarked.categories, embarked.unknown) == ("embarked", tuple(PORTS), "nan")
    assert (sex.categories, sex.missing) == (tuple(SEXES), "nan")
    assert imported.spec.classes == ("drowned", "saved")
    assert [example.inputs for example in imported.spec.examples] == [(30.0, 2.0, 1.0), (None, None, 0.0)]
    check_examples(imported.spec, compile_plan(imported.spec))


def test_an_encoder_of_no_other_texts_rejects_them() -> None:
    imported = import_model(titanic(zeros=0))
    assert [feature.unknown for feature in imported.spec.inputs.features[1:]] == ["refuse", "refuse"]


def test_nodes_that_know_different_texts_of_an_input_share_its_categories() -> None:
    made = model(
        [
            ml("LabelEncoder", "t", "a", keys_strings=["low", "high"], values_floats=[1.0, 9.0], default_float=-1.0),
            ml("LabelEncoder", "t", "b", keys_strings=["high", "huge"], values_int64s=[3, 4], default_int64=0),
            node("Cast", "b", "c", to=1),
            node("Concat", "a c", "x", axis=1),
            node("Gemm", "x w", "y"),
        ],
        constant("w", np.array([[1], [2], [3], [4]], np.float32)),
        inputs=[tensor("t", "rows", 2, kind=STRING)],
        outputs=[tensor("y")],
    )
    imported = import_model(made)
    assert [feature.categories for feature in imported.spec.inputs.features] == [("low", "high", "huge")] * 2
    assert imported.certificate.relative < 1e-6
    check_examples(imported.spec, compile_plan(imported.spec))


WRONG: dict[str, tuple[list[Any], str]] = {
    "compared": ([node("Equal", "t word", "y")], "computes with texts"),
    "given back": ([node("Identity", "t", "y")], "is of texts"),
    "texts for texts": ([ml("LabelEncoder", "t", "y", keys_strings=["a"], values_strings=["b"])], "gives texts"),
    "two that accept no others": (
        [
            ml("OneHotEncoder", "t", "a", cats_strings=["a", "b"], zeros=0),
            ml("OneHotEncoder", "t", "b", cats_strings=["b", "c"], zeros=0),
            node("Concat", "a b", "y", axis=-1),
        ],
        "knows other texts",
    ),
}


@pytest.mark.parametrize(("nodes", "words"), WRONG.values(), ids=WRONG)
def test_texts_that_are_not_looked_up_are_rejected(nodes: list[Any], words: str) -> None:
    made = model(
        nodes,
        constant("word", np.array(["a"])),
        inputs=[tensor("t", "rows", 1, kind=STRING)],
        outputs=[tensor("y")],
    )
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(made)
    assert words in caught.value.faults[0].message
