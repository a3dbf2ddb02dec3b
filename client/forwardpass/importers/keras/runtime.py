"""Keras itself: loads models and computes the rows that a network is compared on."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import prod
from os import PathLike
from typing import Any

import numpy as np

from forwardpass.importers.input_constraints import Category, with_texts
from forwardpass.importers.unsupported import UnsupportedModelError
from forwardpass.tensors import Array


def import_keras() -> Any:
    """Return Keras.

    Raises:
        UnsupportedModelError: It is not installed, or has no backend.
    """
    try:
        import keras  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise UnsupportedModelError(
            "an imported model is compared with what Keras computes, and Keras cannot be loaded here "
            f"({error}): pip install keras, and a backend for it such as tensorflow, torch or jax"
        ) from error
    return keras


def check_weights(config: Mapping[str, Any], stored: int) -> None:
    """Reject a configuration whose layers have more weights than a file stores, before Keras makes them.

    Args:
        config: A model's configuration.
        stored: The number of weights that the file has.

    Raises:
        UnsupportedModelError: They have, or Keras cannot read the configuration.
    """
    keras = import_keras()
    with keras.StatelessScope(initialize_variables=False):  # in which variables have shapes and no memory
        try:
            kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
            count = int(kind.from_config(deepcopy(config["config"])).count_params())  # which Keras changes
        except Exception as error:
            raise UnsupportedModelError(
                f"keras {keras.__version__} cannot read the configuration: {error!r}"
            ) from error
    if count > stored:
        keras.utils.clear_session(free_memory=False)  # or the next scope would make them
        raise UnsupportedModelError(f"the configuration has {count:,} weights, and the file {stored:,}")


def load_file(path: str | PathLike[str]) -> Any:
    """Load a file by Keras, after its configuration was found to name only objects of Keras.

    Raises:
        UnsupportedModelError: It cannot.
    """
    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise UnsupportedModelError(f"keras {keras.__version__} cannot load the file: {error!r}") from error


def predictor(
    model: Any, shapes: Sequence[tuple[int, ...]], categories: Mapping[int, Category]
) -> Callable[[Array], Array]:
    """Return a function that computes rows by Keras.

    Args:
        model: The model.
        shapes: The shape of each input in order, without the axis of rows.
        categories: The columns of texts.
    """
    keras = import_keras()
    ends = np.cumsum([prod(shape) for shape in shapes])[:-1]

    def compute(rows: Array) -> Array:
        parts = np.split(with_texts(rows, categories), ends, axis=1)
        tensors = [
            part.reshape(-1, *shape).astype(str if given.dtype == "string" else given.dtype)
            for part, shape, given in zip(parts, shapes, model.inputs, strict=True)
        ]
        structure = getattr(model, "_inputs_struct", None)
        given = tensors[0] if len(tensors) == 1 else tensors
        if structure is not None:
            given = keras.tree.pack_sequence_as(structure, tensors)
        outputs = keras.tree.flatten(model(given, training=False))
        arrays = [np.asarray(keras.ops.convert_to_numpy(output), dtype=np.float64) for output in outputs]
        return np.concatenate([array.reshape(len(rows), -1) for array in arrays], axis=1)

    return compute
