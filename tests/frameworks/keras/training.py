"""Data, training and prediction that the models of this folder share; sets the arithmetic to float64."""

import logging
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, or it chats

import keras
import numpy as np
from sklearn import datasets

keras.config.set_floatx("float64")
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it counts models, and warns of many

IRIS, IRIS_KINDS = datasets.load_iris(return_X_y=True)
WINE, WINE_KINDS = datasets.load_wine(return_X_y=True)
CANCER, MALIGNANT = datasets.load_breast_cancer(return_X_y=True)
DIABETES, PROGRESSION = datasets.load_diabetes(return_X_y=True)
DIGITS, DIGIT = datasets.load_digits(return_X_y=True)
PIXELS = DIGITS / 16
WHOLE = np.round(WINE[:, [0, 1, 2, 5, 6]])
"""Whole numbers, which are categories for some."""
PROGRESSION = PROGRESSION / 100


def trained(model: Any, x: Any, y: Any, loss: str = "mse") -> Any:
    """Train a little, so that no weight is where it began."""
    keras.utils.set_random_seed(0)
    model.compile("adam", loss)
    model.fit(x, y, epochs=2, verbose=0)
    return model


def classes(model: Any, x: Any, y: Any) -> Any:
    return trained(model, x, y, "sparse_categorical_crossentropy")


def predicted(model: Any, rows: Any) -> Any:
    """What Keras says of rows whose columns are the inputs side by side."""
    ends = np.cumsum([int(np.prod(given.shape[1:])) for given in model.inputs])[:-1]
    parts = [
        part.reshape(-1, *given.shape[1:]).astype(given.dtype)
        for part, given in zip(np.split(rows, ends, axis=1), model.inputs, strict=True)
    ]
    responses = model.predict(parts if len(parts) > 1 else parts[0], verbose=0)
    responses = responses if isinstance(responses, list) else [responses]
    return np.concatenate([np.asarray(response).reshape(len(rows), -1) for response in responses], axis=1)
