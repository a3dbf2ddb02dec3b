"""Functions of one element of `keras.ops`, as Keras computes them."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from forwardpass.importers import import_model
from keras import ops

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "any number": lambda x: ops.concatenate([ops.sin(x), ops.cos(x), ops.square(x), ops.abs(x), ops.erf(x)], -1),
    "steps": lambda x: ops.floor(x) + ops.ceil(x),
    "numbers above 0": lambda x: ops.concatenate(
        [function(ops.abs(x) + 1) for function in (ops.sqrt, ops.rsqrt, ops.reciprocal, ops.log, ops.log2, ops.log10)],
        -1,
    ),
    "numbers near 0": lambda x: ops.concatenate([ops.log1p(ops.abs(x)), ops.expm1(-ops.abs(x))], -1),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_one_element(function: Callable[[Any], Any]) -> None:
    inputs = keras.Input((4,))
    assert import_model(keras.Model(inputs, function(inputs))).certificate.relative <= 1e-4
