"""Small Keras models, trained on the spot on scikit-learn's bundled sets, in float64 unless stated otherwise."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import keras
import numpy as np
import pandas as pd
from forwardpass.importers import load_object
from keras import Sequential, layers, ops

from tests.frameworks.cases import Case, Cases
from tests.frameworks.keras import architectures, convolutional, recurrent
from tests.frameworks.keras.training import (
    CANCER,
    DIABETES,
    DIGIT,
    IRIS,
    IRIS_KINDS,
    MALIGNANT,
    PIXELS,
    PROGRESSION,
    WHOLE,
    WINE,
    WINE_KINDS,
    classes,
    predicted,
    trained,
)


def perceptron() -> Any:
    model = Sequential([keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(3, activation="softmax")])
    return classes(model, IRIS, IRIS_KINDS)


def in_float32(make: Callable[[], Any]) -> Any:
    """Make a model whose inputs and layers are of float32; Keras keeps the policy of the first layer beside floatx."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    try:
        made = make()
    finally:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
    assert {str(weight.dtype) for weight in made.weights} == {"float32"}
    return made


def saved() -> Any:
    path = Path(mkdtemp()) / "iris.keras"
    perceptron().save(path)
    return load_object(str(path))


def normalized() -> Any:
    model = Sequential(
        [
            keras.Input((30,)),
            layers.Rescaling(1 / 64, offset=-0.5),
            layers.Dense(16),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.125),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="celu", use_bias=False),
            layers.BatchNormalization(scale=False, center=False),
            layers.LayerNormalization(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return trained(model, CANCER, MALIGNANT, "binary_crossentropy")


def residual() -> Any:
    inputs = keras.Input((10,))
    x = layers.Dense(16, activation="silu")(inputs)
    for _ in range(3):
        inner = layers.Dense(16, activation="mish")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = layers.Add()([x, layers.Dense(16)(inner)])
    return trained(keras.Model(inputs, layers.Dense(1)(x)), DIABETES, PROGRESSION)


def wide_and_deep() -> Any:
    wide, deep = keras.Input((4,), name="wide"), keras.Input((6,), name="deep")
    x = layers.Dense(16, activation="relu")(layers.Normalization(mean=1 / 64, variance=1 / 16)(deep))
    outputs = layers.Dense(1)(layers.Concatenate()([wide, x]))
    return trained(keras.Model([wide, deep], outputs), [DIABETES[:, :4], DIABETES[:, 4:]], PROGRESSION)


def several_outputs() -> Any:
    first, second = keras.Input((5,), name="first"), keras.Input((5,), name="second")
    shared = layers.Dense(8, activation="tanh")
    near, far = shared(first), shared(second)
    sums, apart = layers.Add()([near, far]), layers.Subtract()([near, far])
    outputs = [layers.Dense(1, name="level")(sums), layers.Dense(2, name="spread", activation="softplus")(apart)]
    model = keras.Model([first, second], outputs)
    keras.utils.set_random_seed(0)
    model.compile("adam", ["mse", "mse"])
    targets = [PROGRESSION, np.stack([PROGRESSION, PROGRESSION], axis=1)]
    model.fit([DIABETES[:, :5], DIABETES[:, 5:]], targets, epochs=2, verbose=0)
    return model


FUNCTIONS = (
    *("relu", "relu6", "elu", "selu", "silu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid"),
    *("log_softmax", "mish", "log_sigmoid", "celu", "hard_tanh", "exponential", "hard_silu"),
    *("tanh_shrink", "soft_shrink", "hard_shrink", "squareplus", "sparse_plus", "sparse_sigmoid", "linear", "softmax"),
)


def functions(*more: str) -> Any:
    inputs = keras.Input((10,))
    parts = [layers.Activation(name)(layers.Dense(4)(inputs)) for name in (*FUNCTIONS, *more)]
    return trained(keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(parts))), DIABETES, PROGRESSION)


def function_layers() -> Any:
    inputs = keras.Input((10,))
    makers = [
        layers.ReLU(max_value=0.5, negative_slope=0.125, threshold=0.0625),
        layers.ReLU(negative_slope=0.25),
        layers.ReLU(max_value=6),
        layers.ELU(0.75),
        layers.PReLU(),
        layers.PReLU(alpha_initializer=keras.initializers.RandomNormal(stddev=0.3)),
        layers.Softmax(),
        layers.Dense(3, activation=layers.LeakyReLU(0.0625)),
    ]
    parts = [maker(layers.Dense(4)(inputs)) for maker in makers]
    return trained(keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(parts))), DIABETES, PROGRESSION)


def merges() -> Any:
    inputs = keras.Input((10,))
    one, two, three = (layers.Dense(6, activation="tanh")(inputs) for _ in range(3))
    every = [layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Add]
    parts = [merge()([one, two, three]) for merge in every]
    parts += [layers.Subtract()([one, two]), layers.Add()([one, one]), layers.Multiply()([layers.Dense(1)(two), three])]
    return trained(keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(parts))), DIABETES, PROGRESSION)


def operators() -> Any:
    inputs = keras.Input((10,))
    x = layers.Dense(6)(inputs)
    x = ops.relu(x * 2.0 + 1.0) - (0.5 - x) / 4.0
    x = ops.maximum(x, -x) * ops.sigmoid(x)
    return trained(keras.Model(inputs, layers.Dense(1)(x)), DIABETES, PROGRESSION)


def embedded() -> Any:
    inputs = keras.Input((5,), dtype="int64")
    x = layers.Flatten()(layers.Embedding(200, 3)(inputs))
    return classes(keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), WHOLE, WINE_KINDS)


def averaged() -> Any:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Dense(6, activation="relu")(layers.Embedding(200, 4)(inputs))
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    return classes(keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), WHOLE, WINE_KINDS)


def prepared() -> Any:
    numbers, size = keras.Input((3,), name="numbers"), keras.Input((1,), name="size")
    code, kinds = keras.Input((1,), name="code", dtype="int64"), keras.Input((2,), name="kinds", dtype="int64")
    normalization, bins = layers.Normalization(), layers.Discretization(num_bins=4, output_mode="one_hot")
    lookup = layers.IntegerLookup(output_mode="one_hot")
    normalization.adapt(WINE[:, 6:9])
    bins.adapt(WINE[:, 9:10])
    lookup.adapt(WHOLE[:, 0:1].astype(int))
    index = layers.IntegerLookup(vocabulary=[1, 2, 3, 4, 5], mask_token=0)
    parts = [
        normalization(numbers),
        bins(size),
        lookup(code),
        layers.CategoryEncoding(num_tokens=7, output_mode="multi_hot")(kinds),
        layers.CategoryEncoding(num_tokens=7, output_mode="count")(kinds),
        layers.Flatten()(layers.Embedding(7, 2)(index(kinds))),
    ]
    outputs = layers.Dense(3, activation="softmax")(layers.Concatenate()(parts))
    given = [WINE[:, 6:9], WINE[:, 9:10], WHOLE[:, 0:1].astype(int), WHOLE[:, [3, 4]].astype(int)]
    return classes(keras.Model([numbers, size, code, kinds], outputs), given, WINE_KINDS)


def worded() -> Any:
    word, length = keras.Input((1,), name="word", dtype="string"), keras.Input((2,), name="length")
    adapted = layers.StringLookup(output_mode="one_hot")
    adapted.adapt(WORDS[["word"]].to_numpy(dtype=str))
    given = layers.StringLookup(vocabulary=["setosa", "virginica"], output_mode="int")
    parts = [adapted(word), layers.Flatten()(layers.Embedding(3, 2)(given(word))), length]
    return keras.Model([word, length], layers.Dense(2)(layers.Concatenate()(parts)))


def worded_without_unknown() -> Any:
    word, length = keras.Input((1,), name="word", dtype="string"), keras.Input((2,), name="length")
    known = {"vocabulary": ["setosa", "versicolor", "virginica"], "num_oov_indices": 0}
    hot, index = layers.StringLookup(output_mode="one_hot", **known), layers.StringLookup(output_mode="int", **known)
    parts = [hot(word), layers.Flatten()(layers.Embedding(3, 2)(index(word))), length]
    return keras.Model([word, length], layers.Dense(2)(layers.Concatenate()(parts)))


def predicted_of_words(model: Any, frame: Any) -> Any:
    words = keras.ops.convert_to_tensor(frame[["word"]].to_numpy(dtype=str))
    return np.asarray(model([words, keras.ops.convert_to_tensor(frame[["length_0", "length_1"]].to_numpy())]))


WORDS = pd.DataFrame(IRIS[:, :2], columns=["length_0", "length_1"])
WORDS.insert(0, "word", np.array(["setosa", "versicolor", "virginica"], dtype=object)[IRIS_KINDS])
PREPARED = np.concatenate([WINE[:, 6:9], WINE[:, 9:10], WHOLE[:, 0:1], WHOLE[:, [3, 4]]], axis=1)


def pooled() -> Any:
    model = Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8)),
            layers.Permute((2, 1)),
            layers.MaxPooling1D(3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.AveragePooling1D(2),
            layers.Dense(4, activation="tanh"),
            layers.UpSampling1D(2),
            layers.Cropping1D((1, 0)),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return classes(model, PIXELS, DIGIT)


def pictures() -> Any:
    inputs = keras.Input((8, 8, 1))
    parts = [layers.GlobalAveragePooling2D()(inputs), layers.GlobalMaxPooling2D(keepdims=True)(inputs)]
    x = layers.Concatenate()([layers.Flatten()(part) for part in (*parts, inputs)])
    return classes(keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), PIXELS.reshape(-1, 8, 8, 1), DIGIT)


def nested() -> Any:
    inner = Sequential(
        [keras.Input((8,)), layers.Dense(8, activation="relu"), layers.BatchNormalization()], name="inner"
    )
    given = keras.Input((8,))
    block = keras.Model(given, layers.Add()([given, inner(given)]), name="block")
    inputs = keras.Input((10,))
    x = block(layers.Dense(8)(inputs))
    return trained(keras.Model(inputs, layers.Dense(1)(block(x))), DIABETES, PROGRESSION)


def deep() -> Any:
    widths = [30, 64, 64, 48, 32, 16]
    hidden = [layers.Dense(nodes, activation="elu") for _, nodes in pairwise(widths)]
    model = Sequential([keras.Input((30,)), layers.Rescaling(1 / 64), *hidden, layers.Dense(1, activation="sigmoid")])
    return trained(model, CANCER, MALIGNANT, "binary_crossentropy")


_MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Sequential, Dense": (perceptron, IRIS),
    "Sequential, from a file": (saved, IRIS),
    "Sequential, six layers": (deep, CANCER),
    "BatchNormalization, LayerNormalization, Rescaling, Dropout": (normalized, CANCER),
    "residual": (residual, DIABETES),
    "wide and deep, two inputs": (wide_and_deep, DIABETES),
    "two inputs, two outputs, a shared layer": (several_outputs, DIABETES),
    "all activation functions": (functions, DIABETES),
    "ReLU, ELU, PReLU, Softmax with parameters": (function_layers, DIABETES),
    "Average, Maximum, Minimum, Multiply, Subtract": (merges, DIABETES),
    "operators and keras.ops": (operators, DIABETES),
    "Embedding, Flatten": (embedded, WHOLE),
    "Embedding, Dense on each place, pooled": (averaged, WHOLE),
    "Normalization, Discretization, CategoryEncoding, IntegerLookup": (prepared, PREPARED),
    "Reshape, Permute, 1-D pooling": (pooled, PIXELS),
    "GlobalAveragePooling2D, GlobalMaxPooling2D": (pictures, PIXELS),
    "models within models": (nested, DIABETES),
    **convolutional.MODELS,
    **recurrent.MODELS,
    **architectures.MODELS,
}

_IN_FLOAT32: dict[str, tuple[Callable[[], Any], Any]] = {
    "Sequential, Dense": (perceptron, IRIS),
    # TensorFlow has the square root of 2 and the slope of 0.2 of these in float32 only.
    "all activation functions": (partial(functions, "gelu", "leaky_relu"), DIABETES),
    convolutional.MNIST: convolutional.MODELS[convolutional.MNIST],
}

CASES: Cases = {
    "StringLookup, one-hot and embedded": Case(make=worded, predict=predicted_of_words, rows=WORDS),
    "StringLookup, no unknown words": Case(make=worded_without_unknown, predict=predicted_of_words, rows=WORDS),
    **{name: Case(make=make, predict=predicted, rows=rows) for name, (make, rows) in _MODELS.items()},
    **{
        f"{name}, in float32": Case(make=partial(in_float32, make), predict=predicted, rows=rows, tolerance=1e-4)
        for name, (make, rows) in _IN_FLOAT32.items()
    },
}
