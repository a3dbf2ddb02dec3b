"""Random recurrent models of Keras: the server's core beside `model.predict`, alone and in a batch."""

from collections import Counter

import keras
import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.core import forward, trace
from forwardpass_server.registry.compile import compile_plan
from keras import Sequential, layers

from tests.frameworks.keras.recurrent import random_model
from tests.frameworks.keras.training import predicted

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
]
ROWS = 13


@pytest.mark.parametrize(("dtype", "count", "tolerance"), [("float64", 24, 1e-12), ("float32", 12, 1e-4)])
def test_random_models(dtype: str, count: int, tolerance: float) -> None:
    keras.config.set_floatx(dtype)
    try:
        worst, seen = 0.0, Counter[str]()
        for seed in range(count):
            random = np.random.default_rng(seed)
            keras.utils.set_random_seed(seed)
            model = random_model(random)
            network = import_model(model).spec
            size = (ROWS, network.inputs.width)
            whole = model.inputs[0].dtype == "int32"
            rows = np.asarray(random.integers(0, 7, size) if whole else random.normal(size=size), dtype)
            theirs = predicted(model, rows)
            plan = compile_plan(network)
            ours = forward(plan, rows)
            found = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
            assert found <= tolerance, f"model {seed} differs by {found:.1e}"
            for row in range(0, ROWS, 4):
                assert np.array_equal(forward(plan, rows[row : row + 1]), ours[row : row + 1])
            assert np.array_equal(trace(plan, rows).outputs, ours)
            worst = max(worst, float(found))
            seen.update(type(layer).__name__ for layer in model.layers)
            keras.backend.clear_session()
    finally:
        keras.config.set_floatx("float64")
    print(f"\n{dtype}: {count} random recurrent models of Keras: at most {worst:.1e}, {tolerance:g} allowed")
    print(", ".join(f"{name} {times}" for name, times in seen.most_common()))


def test_a_model_of_open_length_is_read_when_its_length_is_fixed_as_the_error_says() -> None:
    model = Sequential([keras.Input((None, 3)), layers.LSTM(5), layers.Dense(1)])
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((4, 3)))
    fixed.set_weights(model.get_weights())
    network = import_model(fixed).spec
    rows = np.random.default_rng(0).normal(size=(5, 12)).astype(network.dtype)
    found = forward(compile_plan(network), rows)
    np.testing.assert_allclose(found, model.predict(rows.reshape(5, 4, 3), verbose=0), rtol=1e-6, atol=1e-6)
