"""Models as the examples of keras.io have them: attention, masks, mixers, towers, and layers that work in training."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from tests.frameworks.keras.training import DIABETES, DIGIT, PIXELS, PROGRESSION, WHOLE, WINE_KINDS, classes, trained

WORDS = (20, 20, 20, 200, 20)
"""More than the largest category of each column of `WHOLE`."""


def transformer_block(x: Any, heads: int = 2, size: int = 4) -> Any:
    attended = layers.Dropout(0.1)(layers.MultiHeadAttention(heads, size)(x, x))
    x = layers.LayerNormalization(epsilon=1e-6)(x + attended)
    hidden = layers.Dense(x.shape[-1])(layers.Dense(16, activation="relu")(x))
    return layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(hidden))


def text_transformer(*, mask_zero: bool = True) -> Any:
    """Return a classifier of rows of words, in which 0 is no word."""
    inputs = keras.Input((5,), dtype="int32")
    x = transformer_block(layers.Embedding(200, 12, mask_zero=mask_zero)(inputs))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    return classes(keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), WHOLE % 20, WINE_KINDS)


def tabular_transformer() -> Any:
    """Return a model of columns that attend to each other."""
    inputs = keras.Input((5,), dtype="int32")
    columns = [layers.Embedding(words, 8)(inputs[:, place]) for place, words in enumerate(WORDS)]
    x = transformer_block(ops.stack(columns, axis=1))
    return classes(keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x))), WHOLE, WINE_KINDS)


def mixer() -> Any:
    """Return an MLP-Mixer (Tolstikhin et al., 2021) of the rows of a digit."""
    inputs = keras.Input((8, 8))
    mixed = layers.Permute((2, 1))(layers.LayerNormalization()(inputs))
    mixed = layers.Permute((2, 1))(layers.Dense(8)(layers.Dense(6, activation="relu")(mixed)))
    x = layers.Add()([inputs, mixed])
    x = layers.Add()([x, layers.Dense(8)(layers.Dense(6, activation="relu")(layers.LayerNormalization()(x)))])
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8), DIGIT)


def towers() -> Any:
    """Return two towers whose cosine is a score."""
    first, second = keras.Input((5,), name="first"), keras.Input((5,), name="second")
    ends = [layers.Dense(4)(layers.Dense(8, activation="tanh")(tower)) for tower in (first, second)]
    outputs = layers.Dense(1)(layers.Dot(-1, normalize=True)(ends))
    return trained(keras.Model([first, second], outputs), [DIABETES[:, :5], DIABETES[:, 5:]], PROGRESSION)


def siamese() -> Any:
    """Return the distance of two inputs in a space that one model spans."""
    base = keras.Sequential([keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dense(4)])
    first, second = keras.Input((5,), name="first"), keras.Input((5,), name="second")
    apart = ops.sum(ops.square(base(first) - base(second)), axis=1, keepdims=True)
    outputs = layers.Dense(1)(ops.sqrt(ops.maximum(apart, 1e-7)))
    return trained(keras.Model([first, second], outputs), [DIABETES[:, :5], DIABETES[:, 5:]], PROGRESSION)


def normalizations() -> Any:
    inputs = keras.Input((8, 8))
    parts = [
        layers.LayerNormalization(axis=1)(inputs),
        layers.LayerNormalization(axis=[1, 2])(inputs),
        layers.RMSNormalization()(inputs),
        layers.UnitNormalization()(inputs),
        layers.GroupNormalization(4)(inputs),
        layers.Softmax(axis=1)(inputs),
    ]
    x = layers.EinsumDense("abc,cd->abd", output_shape=(8, 4), bias_axes="d")(layers.Concatenate()(parts))
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8), DIGIT)


def attentions() -> Any:
    inputs = keras.Input((8, 8))
    steps = layers.Masking()(inputs)
    parts = [
        layers.Attention(use_scale=True)([steps, inputs]),
        layers.Attention(score_mode="concat")([steps, steps], use_causal_mask=True),
        layers.AdditiveAttention()([steps, steps]),
        layers.MultiHeadAttention(2, 4, value_dim=3, dropout=0.1)(steps, inputs, use_causal_mask=True),
        layers.GroupQueryAttention(4, 4, 2)(inputs, inputs),
    ]
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(layers.Concatenate()(parts)))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8), DIGIT)


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "a text transformer, mask_zero": (text_transformer, WHOLE % 20),
    "a tabular transformer": (tabular_transformer, WHOLE),
    "MLP-Mixer": (mixer, PIXELS),
    "two towers, Dot": (towers, DIABETES),
    "siamese": (siamese, DIABETES),
    "normalizations of parts, EinsumDense": (normalizations, PIXELS),
    "attention: additive, causal, masked, in heads": (attentions, PIXELS),
}
