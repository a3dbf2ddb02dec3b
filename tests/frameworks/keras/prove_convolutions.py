"""Random models of convolutions, pooling, padding and cropping: the server's core beside `model.predict`."""

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from keras import layers

from tests.frameworks.keras.training import predicted

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
]
ROWS = 17


@pytest.mark.parametrize(("dtype", "count", "tolerance"), [("float64", 40, 1e-12), ("float32", 20, 1e-4)])
def test_random_models(dtype: str, count: int, tolerance: float) -> None:
    keras.config.set_floatx(dtype)
    try:
        worst, seen = 0.0, Counter[str]()
        for seed in range(count):
            random = np.random.default_rng(seed)
            keras.utils.set_random_seed(seed)
            model = random_model(random, dtype)
            network = import_model(model).spec
            rows = random.normal(size=(ROWS, network.inputs.width)).astype(dtype)
            theirs = predicted(model, rows)
            found = np.abs(forward(compile_plan(network), rows) - theirs).max() / max(1, np.abs(theirs).max())
            assert found <= tolerance, f"model {seed} differs by {found:.1e}"
            worst = max(worst, float(found))
            seen.update(type(layer).__name__ for layer in model.layers)
            keras.backend.clear_session()
    finally:
        keras.config.set_floatx("float64")
    print(f"\n{dtype}: {count} random models of Keras: at most {worst:.1e} from predict, {tolerance:g} allowed")
    print(", ".join(f"{name} {times}" for name, times in seen.most_common()))


def random_model(random: np.random.Generator, dtype: str) -> Any:
    """Return a model of one to three axes; in float64 channels are last, since TensorFlow convolves no others there."""
    axes = int(random.integers(1, 4))
    first = dtype == "float32" and random.random() < 0.7
    layout = "channels_first" if first else "channels_last"
    sizes, channels = random.integers(4, 10 if axes < 3 else 6, axes).tolist(), int(random.integers(1, 4))
    inputs = keras.Input((channels, *sizes) if first else (*sizes, channels))
    x, left = inputs, int(random.integers(1, 6))
    makers = [_convolution, _convolution, _pooling, _moving, _normalizing]
    while left:
        maker = makers[random.integers(len(makers))]
        try:
            x = maker(random, axes, layout, dtype)(x)
        except ValueError:  # the windows no longer fit
            continue
        left -= 1
    if random.random() < 0.5:
        x = layers.Dense(3)(layers.Flatten(data_format=layout)(x))
    return keras.Model(inputs, x)


def _convolution(random: np.random.Generator, axes: int, layout: str, dtype: str) -> Any:  # noqa: ARG001 - all alike
    kinds = ["Conv", "Conv", *(["DepthwiseConv", "SeparableConv"] if axes < 3 else [])]
    kind = str(random.choice(kinds))
    if kind == "Conv" and random.random() < 0.3:
        return _transposed(random, axes, layout)
    padding = str(random.choice(["valid", "same", *(["causal"] if kind == "Conv" and axes == 1 else [])]))
    # TensorFlow has strides or dilations, and equal strides where each channel is convolved by itself.
    alike = kind != "Conv"
    steps = [int(random.integers(1, 4))] * axes if alike else random.integers(1, 4, axes).tolist()
    kernel = random.integers(1, 4, axes).tolist()
    if axes == 3 and padding == "same":  # TensorFlow reads beyond its tensor where a stride is larger than the kernel
        steps = [min(step, size) for step, size in zip(steps, kernel, strict=True)]
    numbers = {"strides": steps} if random.random() < 0.5 else {"dilation_rate": steps}
    settings: dict[str, Any] = {
        "kernel_size": kernel,
        "padding": padding,
        "data_format": layout,
        "activation": str(random.choice(["relu", "tanh", "linear", "silu"])),
        "use_bias": bool(random.random() < 0.8),
        "bias_initializer": keras.initializers.RandomNormal(stddev=0.5),
        **numbers,
    }
    if kind != "Conv":
        settings["depth_multiplier"] = int(random.integers(1, 3))
    if kind != "DepthwiseConv":
        settings["filters"] = int(random.choice([2, 4]))
    if kind == "Conv" and random.random() < 0.3:
        settings["groups"] = 2
    return getattr(layers, f"{kind}{axes}D")(**settings)


def _transposed(random: np.random.Generator, axes: int, layout: str) -> Any:
    """Return a transposed convolution; TensorFlow dilates none on a CPU.

    It takes outputs that a convolution makes the inputs of: with `same`, of n places more than `(n - 1) * stride`.
    Keras makes `(n - 1) * stride + kernel % 2 + output_padding` of them, so that an even kernel needs padding.
    """
    kernel, steps = (random.integers(1, 4, axes).tolist() for _ in range(2))
    padding = str(random.choice(["valid", "same"]))
    more = [int(random.integers(0, step)) for step in steps]
    fits = padding == "valid" or all(size % 2 or extra for size, extra in zip(kernel, more, strict=True))
    return getattr(layers, f"Conv{axes}DTranspose")(
        filters=int(random.integers(1, 4)),
        kernel_size=kernel,
        strides=steps,
        padding=padding,
        output_padding=more if fits and max(steps) > 1 and random.random() < 0.3 else None,
        data_format=layout,
        activation=str(random.choice(["relu", "linear"])),
        use_bias=bool(random.random() < 0.8),
        bias_initializer=keras.initializers.RandomNormal(stddev=0.5),
    )


def _pooling(random: np.random.Generator, axes: int, layout: str, dtype: str) -> Any:
    if axes == 3 and dtype == "float64":  # TensorFlow pools three axes in float32 only
        return _convolution(random, axes, layout, dtype)
    return getattr(layers, f"{random.choice(['AveragePooling', 'MaxPooling'])}{axes}D")(
        pool_size=random.integers(1, 4, axes).tolist(),
        strides=random.integers(1, 3, axes).tolist() if random.random() < 0.7 else None,
        padding=str(random.choice(["valid", "same"])),
        data_format=layout,
    )


def _moving(random: np.random.Generator, axes: int, layout: str, dtype: str) -> Any:  # noqa: ARG001
    form = {"data_format": layout} if axes > 1 else {}
    kinds = {"ZeroPadding": "padding", "Cropping": "cropping", "UpSampling": "size"}
    if layout == "channels_first" and axes == 1:
        kinds = {"ZeroPadding": "padding"}
        form = {"data_format": layout}
    name = str(random.choice(list(kinds)))
    if name == "UpSampling":
        value: Any = random.integers(1, 3, axes).tolist() if axes > 1 else int(random.integers(1, 3))
    else:
        value = random.integers(0, 3, (axes, 2)).tolist() if axes > 1 else random.integers(0, 3, 2).tolist()
    return getattr(layers, f"{name}{axes}D")(**{kinds[name]: value}, **form)


def _normalizing(random: np.random.Generator, axes: int, layout: str, dtype: str) -> Any:  # noqa: ARG001
    if random.random() < 0.5:
        return layers.Activation(str(random.choice(["relu", "tanh"])))
    return layers.BatchNormalization(
        axis=1 if layout == "channels_first" else -1,
        moving_mean_initializer=keras.initializers.RandomNormal(),
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2),
        gamma_initializer=keras.initializers.RandomNormal(),
    )
