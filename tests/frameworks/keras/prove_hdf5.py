"""Files of HDF5: those that Keras 3 writes, and one in the words of Keras 2, are imported by their names."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model, load_object
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from keras import layers

from tests.frameworks.keras import architectures, cases, convolutional, recurrent
from tests.frameworks.keras.training import CANCER, DIABETES, PIXELS, predicted

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
]

MODELS: dict[str, tuple[Any, Any]] = {
    "normalized": (cases.normalized, CANCER),
    "nested": (cases.nested, DIABETES),
    "several outputs": (cases.several_outputs, DIABETES),
    "convolved": (convolutional.branches, PIXELS),
    "recurrent": (recurrent.rows_of_digits, PIXELS),
    "towers": (architectures.towers, DIABETES),
}


@pytest.mark.parametrize(("make", "rows"), MODELS.values(), ids=MODELS)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_a_file_of_keras_3(make: Any, rows: Any, tmp_path: Path) -> None:
    model, path = make(), tmp_path / "model.h5"
    model.save(path)
    network = import_model(load_object(str(path)), tolerance=1e-11).spec
    np.testing.assert_allclose(
        forward(compile_plan(network), rows[:50]), predicted(model, rows[:50]), rtol=1e-11, atol=1e-12
    )


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_weights_that_the_file_does_not_have_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["units"] = 10**10
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnsupportedModelError, match="the configuration has 50,000,000,000 weights, and the file 15"):
        load_object(str(path))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_a_recurrent_layer_of_keras_2(tmp_path: Path) -> None:
    """Keras 2 writes `time_major`, at which Keras 3 stops; tf_keras 2.21 writes the same files otherwise."""
    model, path = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4)]), tmp_path / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["time_major"] = False
        file.attrs["model_config"] = json.dumps(config)
    before = path.read_bytes()
    network, rows = import_model(load_object(str(path))).spec, np.linspace(-1, 1, 30).reshape(2, 15)
    assert path.read_bytes() == before
    np.testing.assert_allclose(forward(compile_plan(network), rows), predicted(model, rows), rtol=1e-12, atol=1e-13)


def _layer(kind: str, name: str, reads: list[str], **config: Any) -> dict[str, Any]:
    nodes = [[[source, 0, 0, {}] for source in reads]] if reads else []
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "inbound_nodes": nodes,
    }


@pytest.mark.filterwarnings("ignore:Argument `alpha` is deprecated:UserWarning")
def test_a_file_of_keras_2(tmp_path: Path) -> None:
    """Keras 2.15 writes no modules, `batch_input_shape`, and each call as `[layer, call, place, options]`."""
    zeros: dict[str, Any] = {
        "class_name": "Zeros",
        "config": {},
        "module": "keras.initializers",
        "registered_name": None,
    }
    dense = {"activation": "linear", "use_bias": True, "kernel_initializer": zeros, "bias_initializer": zeros}
    config = {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": [
                _layer("InputLayer", "given", [], batch_input_shape=[None, 4], sparse=False, ragged=False),
                _layer("Dense", "one", ["given"], units=3, **dense),
                _layer("LeakyReLU", "two", ["one"], alpha=0.25),
                _layer("Concatenate", "three", ["two", "given"], axis=-1),
            ],
            "input_layers": [["given", 0, 0]],
            "output_layers": [["three", 0, 0]],
        },
    }
    random, path = np.random.default_rng(0), tmp_path / "old.h5"
    kernel, bias = random.normal(size=(4, 3)).astype(np.float32), random.normal(size=3).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"given", b"one", b"two", b"three"]
        group.attrs["backend"], group.attrs["keras_version"] = "tensorflow", "2.15.0"
        for name in ("given", "one", "two", "three"):
            group.create_group(name).attrs["weight_names"] = np.array([], "S1")
        group["one"].attrs["weight_names"] = [b"one/kernel:0", b"one/bias:0"]
        group["one/one/kernel:0"], group["one/one/bias:0"] = kernel, bias
    keras.config.set_floatx("float32")
    try:
        network = import_model(load_object(str(path))).spec
    finally:
        keras.config.set_floatx("float64")
    rows = random.normal(size=(9, 4)).astype(np.float32)
    hidden = rows @ kernel + bias
    expected = np.hstack([np.where(hidden > 0, hidden, 0.25 * hidden), rows])
    np.testing.assert_allclose(forward(compile_plan(network), rows), expected, rtol=1e-6, atol=1e-6)
