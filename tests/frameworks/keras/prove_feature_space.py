"""A FeatureSpace, Keras's own tool for tables, imports alone and as a part of a model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from forwardpass.importers import UnsupportedModelError, import_model, load_object
from keras.utils import FeatureSpace

# Keras's own, on its way to a file.
pytestmark = [pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

MODES = ("concat", "dict")


def space(mode: str) -> Any:
    numbers = np.arange(20, dtype=np.float32)
    columns = {
        "age": numbers,
        "sex": np.array(["f", "m"] * 10),
        "code": np.array([1, 2] * 10),
        "size": numbers,
        "raw": numbers,
        "bin": numbers,
    }
    features = {
        "age": FeatureSpace.float_normalized(),
        "sex": FeatureSpace.string_categorical(),
        "code": FeatureSpace.integer_categorical(),
        "size": FeatureSpace.float_rescaled(scale=0.1),
        "raw": FeatureSpace.float(),
        "bin": FeatureSpace.float_discretized(num_bins=3),
    }
    made = FeatureSpace(features, output_mode=mode)
    made.adapt(tf.data.Dataset.from_tensor_slices(columns).batch(5))
    return made


@pytest.mark.parametrize("mode", MODES)
def test_a_feature_space_is_a_model(mode: str) -> None:
    imported = import_model(space(mode))
    assert imported.certificate.relative < 1e-5
    assert set(imported.spec.inputs.names) == {"age", "sex", "code", "size", "raw", "bin"}
    assert len(imported.spec.outputs) == 12


@pytest.mark.parametrize("mode", MODES)
def test_a_feature_space_is_a_part_of_a_model(mode: str, tmp_path: Path) -> None:
    encoded = space(mode)
    values = encoded.get_encoded_features()
    joined = keras.layers.Concatenate()(list(values.values())) if mode == "dict" else values
    model = keras.Model(encoded.get_inputs(), keras.layers.Dense(2)(joined))
    assert import_model(model).certificate.relative < 1e-5
    file = tmp_path / "model.keras"
    model.save(file)
    assert import_model(load_object(str(file))).certificate.relative < 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_a_file_of_a_feature_space_is_loaded_as_its_error_says(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "space.keras"
    space(mode).save(file)
    with pytest.raises(UnsupportedModelError, match="is a FeatureSpace alone; write a module with"):
        load_object(str(file))
    name = f"space_of_{mode}"
    (tmp_path / f"{name}.py").write_text(
        f"import keras\nspace = keras.saving.load_model({str(file)!r})\n"
        "model = keras.Model(space.get_inputs(), space.get_encoded_features())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert len(import_model(load_object(f"{name}:model")).spec.outputs) == 12


def test_hashed_features_are_rejected_with_what_to_do() -> None:
    hashed = FeatureSpace({"word": FeatureSpace.string_hashed(num_bins=8)})
    hashed.adapt(tf.data.Dataset.from_tensor_slices({"word": np.array(["a", "b"])}).batch(2))
    with pytest.raises(UnsupportedModelError, match="use IntegerLookup or StringLookup"):
        import_model(hashed)


def test_dtypes_that_differ_are_rejected_by_their_names() -> None:
    given = keras.Input((3,), name="x")
    with pytest.raises(UnsupportedModelError, match=r"layers\[x\]: InputLayer takes float32, .* compute in float64"):
        import_model(keras.Model(given, keras.layers.Dense(2, dtype="float64")(given)))
    given = keras.Input((3,), name="x", dtype="float64")
    model = keras.Model(given, keras.layers.Dense(2, dtype="float64")(given))
    assert import_model(model).certificate.relative < 1e-9
    assert import_model(keras.Model(given, keras.layers.Dense(2)(given))).spec.dtype == "float32"
    given = keras.Input((3,), name="x", dtype="float16")
    with pytest.raises(UnsupportedModelError, match="takes float16, which rounds the rows"):
        import_model(keras.Model(given, keras.layers.Dense(2)(given)))


def test_a_quantized_model_is_rejected_by_its_name() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    with pytest.warns(UserWarning, match="does not have a `quantize` method"):
        model.quantize("int8")
    with pytest.raises(UnsupportedModelError, match="Dense is quantized; import the model as it was before `quantize`"):
        import_model(model)


def test_an_input_of_one_number_keeps_its_name() -> None:
    for name, expected in (("age", "age"), (None, "input_0")):
        given = keras.Input((1,), name=name)
        assert import_model(keras.Model(given, keras.layers.Dense(1)(given))).spec.inputs.names == (expected,)
