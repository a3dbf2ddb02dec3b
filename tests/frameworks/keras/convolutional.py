"""Small convolutional Keras models, trained on the spot on scikit-learn's digits."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import Sequential, layers

from tests.frameworks.keras.training import DIGIT, PIXELS, classes

MNIST = "the convnet of Keras's MNIST example"
LARGE = np.pad(np.kron(PIXELS[:200].reshape(-1, 8, 8), np.ones((3, 3))), [(0, 0), (2, 2), (2, 2)]).reshape(200, -1)
"""Digits of 28 x 28 pixels, as those of MNIST."""


def mnist() -> Any:
    """Return the model of https://keras.io/examples/vision/mnist_convnet."""
    model = Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return classes(model, LARGE.reshape(-1, 28, 28, 1), DIGIT[:200])


def branches() -> Any:
    """Return a model of separable, depthwise, grouped, strided and dilated convolutions, padded and cropped."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    parts = [
        layers.Conv2D(4, (3, 2), strides=2, groups=2, padding="same", use_bias=False)(x),
        layers.AveragePooling2D(3, strides=2, padding="same")(layers.DepthwiseConv2D(3, padding="same")(x)),
        layers.MaxPooling2D((3, 2), strides=2, padding="same")(layers.SeparableConv2D(4, 3, padding="same")(x)),
        layers.UpSampling2D(2)(layers.Conv2D(4, 3, dilation_rate=3)(x)),
        layers.Cropping2D(((1, 0), (0, 1)))(layers.Conv2D(4, 3, strides=2)(layers.ZeroPadding2D(((2, 1), (1, 2)))(x))),
    ]
    x = layers.Activation("tanh")(layers.Concatenate()([layers.Add()(parts[:3]), *parts[3:]]))
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8, 1), DIGIT)


def sequences() -> Any:
    """Return a model of convolutions of one axis, causal and dilated as those of WaveNet."""
    inputs = keras.Input((8, 8))
    x = inputs
    for gap in (1, 2, 4):
        inner = layers.Conv1D(8, 2, dilation_rate=gap, padding="causal", activation="silu")(x)
        x = layers.Add()([x, layers.Conv1D(8, 1)(inner)])
    x = layers.SeparableConv1D(6, 3, strides=2, padding="same")(layers.ZeroPadding1D(1)(x))
    x = layers.AveragePooling1D(3, strides=2, padding="same")(layers.DepthwiseConv1D(2, depth_multiplier=2)(x))
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8), DIGIT)


def residual() -> Any:
    """Return a model of residual blocks with batch normalization, as those of ResNet."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, padding="same")(inputs)
    for _ in range(2):
        inner = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", use_bias=False)(x)))
        inner = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", use_bias=False)(inner))
        x = layers.ReLU(max_value=6)(layers.Add()([x, inner]))
    x = layers.GlobalAveragePooling2D()(x)
    return classes(keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), PIXELS.reshape(-1, 8, 8, 1), DIGIT)


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    MNIST: (mnist, LARGE),
    "convolutions: separable, depthwise, grouped, strided, dilated, padded": (branches, PIXELS),
    "convolutions of one axis, causal": (sequences, PIXELS),
    "residual convolutions, BatchNormalization": (residual, PIXELS),
}
"""The maker of each model and its rows, by architecture."""
