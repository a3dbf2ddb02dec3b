"""Operations of `keras.ops`, as Keras computes them, in float64 and in float32."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from keras import layers, ops

from tests.frameworks.keras.training import predicted

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning"),
]
ROWS = 7


def _joined(*parts: Any) -> Any:
    """Join tensors of any shape and dtype by their rows."""
    return ops.concatenate([ops.reshape(ops.cast(part, keras.config.floatx()), (-1, _size(part))) for part in parts], 1)


def _size(part: Any) -> int:
    return int(np.prod(part.shape[1:], dtype=int))


def _constant(*numbers: float) -> Any:
    return ops.convert_to_tensor(np.array(numbers, keras.config.floatx()))


def _reduced(function: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: _joined(
        function(x, axis=1), function(x, axis=-1), function(x, axis=(1, 2))[:, None], function(x, axis=1, keepdims=True)
    )


OF_ONE: dict[str, Callable[[Any], Any]] = {
    "any number": lambda x: _joined(ops.sin(x), ops.cos(x), ops.square(x), ops.abs(x), ops.erf(x), ops.tan(x), -x),
    "steps": lambda x: _joined(
        ops.floor(x), ops.ceil(x), ops.round(x), ops.trunc(x), ops.sign(x), ops.cast(x, "int32")
    ),
    "numbers above 0": lambda x: _joined(
        *(function(ops.abs(x) + 1) for function in (ops.sqrt, ops.rsqrt, ops.reciprocal, ops.log, ops.log2, ops.log10))
    ),
    "numbers near 0": lambda x: _joined(
        ops.log1p(ops.abs(x)),
        ops.expm1(-ops.abs(x)),
        *(function(0.9 * ops.tanh(x)) for function in (ops.arcsin, ops.arccos, ops.arctanh)),
    ),
    "hyperbolic": lambda x: _joined(
        ops.sinh(ops.tanh(x)), ops.cosh(ops.tanh(x)), ops.arcsinh(x), ops.arccosh(ops.abs(x) + 1.5), ops.arctan(x)
    ),
    "activations": lambda x: _joined(
        ops.elu(x, 0.5), ops.celu(x, 0.5), ops.hard_tanh(x), ops.tanh_shrink(x), ops.sparse_plus(x), ops.relu6(x)
    ),
    "activations with numbers": lambda x: _joined(
        ops.leaky_relu(x, 0.25),
        ops.hard_shrink(x, 0.25),
        ops.soft_shrink(x, 0.25),
        ops.squareplus(x, b=2),
        ops.threshold(x, 0.125, 0.25),
        ops.clip(x, -1, 0.5),
    ),
    "is it a number": lambda x: _joined(ops.isnan(x), ops.isinf(x), ops.isfinite(x), ops.logical_not(x)),
    "slices": lambda x: _joined(x[:, 0], x[:, -1, ::2], x[:, 1:3, 0], x[..., 0], x[:, ::-1, 2], x[:, None, :, 1]),
    "orders": lambda x: _joined(
        ops.transpose(x, (0, 2, 1)), ops.swapaxes(x, 1, -1), ops.moveaxis(x, 1, 2), ops.moveaxis(x, [1, 2], [2, 1])
    ),
    "shapes": lambda x: _joined(
        ops.reshape(x, (-1, 8, 3))[:, 0], ops.squeeze(ops.expand_dims(x, 2), 2), ops.expand_dims(x, -1)
    ),
    "parts": lambda x: _joined(
        ops.stack([*ops.split(x, 2, axis=-1), *ops.split(x, [3], axis=2)], axis=1), *ops.unstack(x, axis=1)[::2]
    ),
    "repetitions": lambda x: _joined(
        ops.take(x, [2, 0], axis=1), ops.flip(x, axis=1), ops.roll(x, 1, axis=1), ops.repeat(x, 2, axis=1)
    ),
    "tiles": lambda x: _joined(ops.tile(x, [1, 2, 1]), ops.hstack([x, x])),
    "padding": lambda x: _joined(
        ops.pad(x, ((0, 0), (1, 2), (0, 0))),
        ops.pad(x, ((0, 0), (1, 2), (0, 0)), constant_values=0.5),
        ops.pad(x, ((0, 0), (1, 2), (0, 0)), mode="reflect"),
        ops.pad(x, ((0, 0), (0, 0), (2, 1)), mode="symmetric"),
    ),
    "constants of a shape": lambda x: ops.ones_like(x) - x + ops.zeros_like(x) + ops.full_like(x, 2.5),
    **{
        f"{name} along axes": _reduced(getattr(ops, name))
        for name in ("sum", "mean", "max", "min", "amax", "amin", "prod", "logsumexp", "var", "std")
    },
    "any and all": lambda x: _joined(ops.any(x > 1, axis=1), ops.all(x > -1, axis=-1)),
    "norms": lambda x: _joined(
        ops.norm(x, axis=-1), ops.norm(x, ord=1, axis=-1), ops.norm(x, ord=2, axis=1), ops.norm(x, ord=np.inf, axis=1)
    ),
    "normalized": lambda x: _joined(ops.normalize(x, axis=-1), ops.normalize(x, axis=1, order=1)),
    "places": lambda x: _joined(ops.argmax(x, axis=-1), ops.argmin(x, axis=1)),
    "running": lambda x: _joined(ops.cumsum(x, axis=1), ops.cumprod(x, axis=-1)),
    "softmax": lambda x: _joined(ops.softmax(x), ops.softmax(x, axis=1), ops.log_softmax(x, axis=-1)),
    "gated": lambda x: _joined(ops.glu(x), ops.glu(x, axis=1)),
    "moments": lambda x: _joined(*ops.moments(x, axes=[1])),
    "normalizations": lambda x: _joined(
        ops.layer_normalization(x), ops.layer_normalization(x, axis=1), ops.rms_normalization(x)
    ),
    "with constants": lambda x: _joined(
        ops.add(x, _constant(0, 1, 2, 3, 4, 5)),
        ops.greater(x, _constant(0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ops.where(x > 0, x, _constant(0, 1, 2, 3, 4, 5)),
        ops.where(_constant(0, 1, 0, 1, 0, 1) > 0, x, -1e-3),
        ops.power(x, _constant(1, 2, 3, 1, 2, 3)),
        ops.subtract(_constant(0, 1, 2, 3, 4, 5), x),
    ),
    "with numbers": lambda x: _joined(
        x**2, x % 2, x // 0.5, ops.floor(1.5 / (x + 9)), 1 / (x + 20), 3 - x, x / 3, 2 * x
    ),
    "products with constants": lambda x: _joined(
        ops.tensordot(x, ops.ones((6, 3)), axes=1),
        ops.dot(x, ops.ones((6, 3))),
        x @ ops.ones((6, 2)),
        ops.ones((2, 4)) @ x,
    ),
    "factorization machine": lambda x: ops.sum(
        ops.square(ops.sum(x, axis=1)) - ops.sum(ops.square(x), axis=1), axis=-1, keepdims=True
    ),
}

OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, y: _joined(
        x + y, x - y, x * y, x / (ops.abs(y) + 1), ops.abs(x) ** y, ops.minimum(x, y), ops.maximum(x, y)
    ),
    "functions of two": lambda x, y: _joined(ops.arctan2(x, y), ops.hypot(x, y), ops.logaddexp(x, y)),
    "choices": lambda x, y: _joined(
        ops.where(ops.logical_and(x > y, ops.logical_not(y > 0.5)), x, 0.25),
        ops.where(ops.logical_or(x < -0.1, ops.logical_xor(x >= 0, y <= 0)), y, -1e-3),
        ops.where(ops.equal(x, y), x, y) + ops.where(ops.not_equal(x, y), x, y),
    ),
    "matrices": lambda x, y: _joined(x @ ops.transpose(y, (0, 2, 1)), ops.matmul(ops.swapaxes(x, 1, 2), y)),
    "einsum": lambda x, y: _joined(
        ops.einsum("bij,bkj->bik", x, y), ops.einsum("...ij,...kj->...ik", x, y), ops.einsum("bij,bij->bj", x, y)
    ),
    "attention": lambda x, y: _joined(
        ops.dot_product_attention(x[:, :, None, :4], y[:, :, None, :4], y[:, :, None, 2:]),
        ops.dot_product_attention(x[:, :, None], y[:, :, None], y[:, :, None], is_causal=True, scale=0.5),
    ),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("function", [*OF_ONE.values(), *OF_TWO.values()], ids=[*OF_ONE, *OF_TWO])
def test_an_operation(function: Callable[..., Any], dtype: str, tolerance: float) -> None:
    keras.config.set_floatx(dtype)
    try:
        count = 2 if function in OF_TWO.values() else 1
        inputs = [keras.Input((4, 6), name=f"given_{number}") for number in range(count)]
        model = keras.Model(inputs, function(*inputs))
        network = import_model(model).spec
        rows = np.random.default_rng(0).normal(size=(ROWS, 24 * count)).astype(dtype)
        theirs = predicted(model, rows)
        found = np.abs(forward(compile_plan(network), rows) - theirs).max() / max(1, np.abs(theirs).max())
        assert (str(network.dtype), found <= tolerance) == (dtype, True), found
    finally:
        keras.config.set_floatx("float64")


@pytest.mark.filterwarnings("ignore:Layer 'sequential.* was passed an input with a mask:UserWarning")
def test_a_mask_goes_through_layers_that_scale_and_models_within() -> None:
    inputs = keras.Input((8, 3))
    steps = layers.Rescaling(2.0, offset=1.0)(layers.Masking()(inputs))
    steps = layers.Normalization(mean=0.5, variance=2.0)(steps)
    steps = keras.Sequential([keras.Input((8, 3)), layers.Dense(5), layers.SpatialDropout1D(0.1)])(steps)
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(steps))
    rows = np.random.default_rng(0).normal(size=(ROWS, 8, 3))
    rows[:, 5:] = rows[3, 2] = 0
    rows = rows.reshape(ROWS, -1)
    network = import_model(model).spec
    np.testing.assert_allclose(forward(compile_plan(network), rows), predicted(model, rows), rtol=1e-12, atol=1e-13)
