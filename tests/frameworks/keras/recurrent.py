"""Recurrent Keras models: one that is trained on scikit-learn's digits row by row, and random ones."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import Sequential, layers

from tests.frameworks.keras.training import DIGIT, PIXELS, classes

CELLS = ("SimpleRNN", "GRU", "LSTM")


def rows_of_digits() -> Any:
    """Return a model that reads a digit as a sequence of eight rows, in both directions."""
    model = Sequential(
        [
            keras.Input((8, 8)),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True, dropout=0.1)),
            layers.GRU(5, return_sequences=True, reset_after=False),
            layers.SimpleRNN(4, activation="relu", go_backwards=True),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return classes(model, PIXELS.reshape(-1, 8, 8) / 16, DIGIT)


def translator() -> Any:
    """Return a model whose decoder starts from the states of its encoder."""
    inputs = keras.Input((8, 8))
    encoded, *states = layers.LSTM(5, return_state=True)(inputs)
    decoded = layers.LSTM(5, return_sequences=True)(layers.RepeatVector(3)(encoded), initial_state=states)
    steps = layers.TimeDistributed(layers.Dense(4, activation="tanh"))(decoded)
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(steps))
    return classes(keras.Model(inputs, outputs), PIXELS.reshape(-1, 8, 8) / 16, DIGIT)


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "recurrent: LSTM in both directions, GRU, SimpleRNN": (rows_of_digits, PIXELS),
    "recurrent: an encoder and a decoder": (translator, PIXELS),
}


def random_model(random: np.random.Generator) -> Any:
    """Return a model of one to three recurrent layers of any kind, over sequences of numbers or categories."""
    steps = int(random.integers(1, 9))
    if random.random() < 0.2:
        inputs = keras.Input((steps,), dtype="int32")
        x = layers.Embedding(7, int(random.integers(1, 5)))(inputs)
    else:
        inputs = x = keras.Input((steps, int(random.integers(1, 6))))
    for _ in range(random.integers(0, 3)):
        x = _layer(random, returns_sequence=True)(x)
        if random.random() < 0.3:
            x = layers.TimeDistributed(layers.Dense(3, activation="tanh"))(x)
    if random.random() < 0.3:
        _, *states = (made := layers.LSTM(4, return_state=True))(x)
        x = layers.LSTM(4, go_backwards=made.units > 3)(x, initial_state=states)
    else:
        x = _layer(random, returns_sequence=random.random() < 0.5)(x)
    outputs = layers.Dense(2)(layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def _layer(random: np.random.Generator, *, returns_sequence: bool) -> Any:
    kind, units = str(random.choice(CELLS)), int(random.integers(1, 7))
    options: dict[str, Any] = {"use_bias": bool(random.random() < 0.8)}
    if random.random() < 0.4:
        options["activation"] = str(random.choice(["relu", "sigmoid", "softsign", "linear"]))
    if kind != "SimpleRNN" and random.random() < 0.3:
        options["recurrent_activation"] = "hard_sigmoid"
    if kind == "GRU":
        options["reset_after"] = bool(random.random() < 0.5)
    if random.random() < 0.15:
        cells = [getattr(layers, f"{kind}Cell")(units, **options), layers.LSTMCell(3)]
        return layers.RNN(cells[: random.integers(1, 3)], return_sequences=returns_sequence)
    options["return_sequences"] = returns_sequence
    if random.random() < 0.6:
        return getattr(layers, kind)(units, go_backwards=bool(random.random() < 0.4), **options)
    layer = getattr(layers, kind)(units, **options)
    return layers.Bidirectional(layer, merge_mode=str(random.choice(["concat", "sum", "mul", "ave"])))
