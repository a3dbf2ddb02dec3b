"""Models of Keras that cannot be networks are rejected with their place and what to do, and run no code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model, load_object
from keras import Sequential, layers, ops

# Keras's own, on its way to a file.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer 'flatten':UserWarning"),
]

RAN: list[str] = []


@keras.saving.register_keras_serializable("mine")
class Mine(layers.Layer):
    def call(self, x: Any) -> Any:
        RAN.append("a custom layer")
        return x


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def subclassed() -> Any:
    model = Subclass()
    model(np.zeros((1, 4)))
    return model


def row(*parts: Any) -> Any:
    return Sequential([keras.Input((4,)), *parts])


def masked() -> Any:
    return Sequential([keras.Input((3,)), layers.Embedding(4, 2, mask_zero=True), layers.LSTM(2)])


def half() -> Any:
    return row(layers.Dense(2, dtype="float16"))


def texts() -> Any:
    lookup = layers.StringLookup(vocabulary=["a"], output_mode="one_hot", num_oov_indices=2)
    return Sequential([keras.Input((1,), dtype="string"), lookup])


def operation() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, ops.sort(inputs, axis=1))


def across_rows() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, inputs - ops.mean(inputs))


def rows_by_rows() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, ops.reshape(inputs, (-1, 2)))


def of_several_ranks() -> Any:
    first, second = keras.Input((4,)), keras.Input((3, 4))
    return keras.Model([first, second], first + second)


def at_inference() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dropout(0.5)(inputs, training=True))


def whole_numbers() -> Any:
    inputs = keras.Input((4,), dtype="int32")
    return keras.Model(inputs, ops.cast(ops.mod(inputs, 10), "float32"))


def shifted() -> Any:
    inputs = keras.Input((4,), dtype="int32")
    return keras.Model(inputs, ops.cast(inputs + 5, "float32"))


def compared_with_a_large_number() -> Any:
    inputs = keras.Input((4,), dtype="int32")
    return keras.Model(inputs, ops.cast(ops.equal(inputs, 2**24 + 1), "float32"))


def rounded_quotients() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, ops.floor_divide(inputs, 0.1))


UNSUPPORTED: dict[str, tuple[Callable[[], Any], str]] = {
    "a custom layer": (lambda: row(Mine()), r"layers\[mine\]: mine>Mine of .* is no layer of Keras's own"),
    "Lambda": (lambda: row(layers.Lambda(lambda x: x + 1)), r"layers\[lambda\]: Lambda runs code from the file"),
    "a custom model": (subclassed, "Subclass is no Sequential or functional model"),
    "an enlargement by interpolation": (
        lambda: row(layers.Reshape((2, 2, 1)), layers.UpSampling2D(2, interpolation="bilinear")),
        "use interpolation='nearest'",
    ),
    "a state that is kept for the next call": (
        lambda: Sequential([keras.Input((4, 1), batch_size=2), layers.LSTM(2, stateful=True)]),
        "LSTM keeps its state for the next call",
    ),
    "a cell with another function": (
        lambda: row(layers.Reshape((4, 1)), layers.LSTM(2, activation="elu")),
        "LSTM has activation='elu' in its cell",
    ),
    "steps that are left out": (
        lambda: row(layers.Reshape((4, 1)), layers.Masking(), layers.GRU(2)),
        "send sequences of one length",
    ),
    "an open number of steps": (
        lambda: Sequential([keras.Input((None, 2)), layers.LSTM(2)]),
        "fix them by `fixed = keras.models.clone_model",
    ),
    "a mask": (masked, "build the model with mask_zero=False"),
    "half precision": (half, "computes in 'float16'; float32 and float64 are read"),
    "an open length": (
        lambda: Sequential([keras.Input((None, 2)), layers.GlobalAveragePooling1D()]),
        "each row needs a fixed number of values",
    ),
    "texts by a hash": (texts, "use num_oov_indices=1"),
    "texts of all rows together": (
        lambda: Sequential(
            [keras.Input((), dtype="string"), layers.StringLookup(vocabulary=["a"], output_mode="count")]
        ),
        r"joins all rows of an input of shape \(\); give it shape \(1,\)",
    ),
    "hashing": (
        lambda: Sequential([keras.Input((1,), dtype="int64"), layers.Hashing(4)]),
        "use IntegerLookup or StringLookup",
    ),
    "an operation": (operation, r"layers\[.*\]: Sort .*is not supported"),
    "an operation across rows": (across_rows, "works along all axes, that of the rows too; name the axes, `axis=1`"),
    "an operation that cuts rows": (rows_by_rows, "of rows of .*, which mixes rows"),
    "an operation of rows and other rows": (of_several_ranks, "combines rows with other rows, of shapes .rows, 4."),
    "arithmetic of whole numbers": (whole_numbers, "cast them before, `keras.ops.cast"),
    "sums of whole numbers": (shifted, "adds to inputs of whole numbers .* that nothing looks up"),
    "a large whole number": (compared_with_a_large_number, "which float32 holds up to 2.24 only"),
    "quotients that are rounded": (rounded_quotients, r"use keras.ops.floor\(x / y\)"),
    "a mask behind a scale": (
        lambda: row(layers.Reshape((4, 1)), layers.Masking(), layers.Rescaling(2.0), layers.LSTM(2)),
        "send sequences of one length",
    ),
    "dropout at inference": (at_inference, "call it without, as a served model is"),
}


@pytest.mark.parametrize(("make", "words"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_it_is_rejected_as_an_object_and_in_a_file(make: Callable[[], Any], words: str, tmp_path: Path) -> None:
    model = make()
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(model)
    model.save(tmp_path / "model.keras")
    RAN.clear()
    with pytest.raises(UnsupportedModelError, match=words):
        load_object(str(tmp_path / "model.keras"))
    assert RAN == []
