"""Activation functions: a closed table of plain functions.

Each takes pre-activations `z`, shape `(..., nodes)`, float32 or float64, and returns a new
array of the same shape and dtype. Each is stable over the whole range of finite numbers:
where the mathematical value is representable, it is returned, and only what is truly too
large becomes infinity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import pi, sqrt
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.erf import erfc


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """A function of the table.

    Attributes:
        function: Called with `z` and a keyword for each parameter.
        defaults: Each parameter's value where a spec does not say it.
    """

    function: Callable[..., Array]
    defaults: Mapping[str, float] = field(default_factory=dict)


def identity(z: Array) -> Array:
    """Return `z` as it is."""
    return z.copy()


def relu(z: Array) -> Array:
    """Return `max(0, z)` (Nair & Hinton, 2010)."""
    return np.maximum(z, z.dtype.type(0))


def leaky_relu(z: Array, *, negative_slope: float) -> Array:
    """Return `z` where positive, else `negative_slope * z` (Maas et al., 2013)."""
    return np.where(z > 0, z, z * z.dtype.type(negative_slope))


def prelu(z: Array, *, slope: float) -> Array:
    """Return `z` where positive, else `slope * z`, the slope being learned (He et al., 2015)."""
    return leaky_relu(z, negative_slope=slope)


def relu6(z: Array) -> Array:
    """Return `min(max(0, z), 6)` (Krizhevsky, 2010)."""
    return np.clip(z, z.dtype.type(0), z.dtype.type(6))


def elu(z: Array, *, alpha: float) -> Array:
    """Return `z` where positive, else `alpha * (exp(z) - 1)` (Clevert et al., 2015)."""
    return np.where(z > 0, z, z.dtype.type(alpha) * np.expm1(np.minimum(z, 0)))


def selu(z: Array) -> Array:
    """Return `scale * elu(z, alpha)` with the constants of Klambauer et al., 2017."""
    scaled = elu(z, alpha=1.6732632423543772848170429916717)
    with np.errstate(over="ignore"):
        scaled *= z.dtype.type(1.0507009873554804934193349852946)
    return scaled


def celu(z: Array, *, alpha: float) -> Array:
    """Return `z` where positive, else `alpha * (exp(z / alpha) - 1)` (Barron, 2017)."""
    a = z.dtype.type(alpha)
    return np.where(z > 0, z, a * np.expm1(np.minimum(z, 0) / a))


def gelu(z: Array) -> Array:
    """Return `z * Phi(z)`, Phi being the normal distribution function (Hendrycks & Gimpel, 2016).

    `Phi(z) = erfc(-z / sqrt(2)) / 2` keeps the digits of the negative tail, which
    `1 + erf` would cancel.
    """
    wide = z.astype(np.float64)
    return (wide * (0.5 * erfc(wide * -sqrt(0.5)))).astype(z.dtype)


def gelu_tanh(z: Array) -> Array:
    """Return `z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3))) / 2` (Hendrycks & Gimpel, 2016).

    Computed as `z * sigmoid(2 * ...)`, which is the same and does not cancel.
    """
    wide = z.astype(np.float64)
    with np.errstate(over="ignore"):  # an infinite argument gives the right 0 or z
        return (wide * sigmoid(2 * sqrt(2 / pi) * wide * (1 + 0.044715 * wide * wide))).astype(z.dtype)


def silu(z: Array) -> Array:
    """Return `z * sigmoid(z)`, also called swish (Elfwing et al., 2017; Ramachandran et al., 2017)."""
    return z * sigmoid(z)


def mish(z: Array) -> Array:
    """Return `z * tanh(softplus(z))` (Misra, 2019)."""
    return z * np.tanh(softplus(z, beta=1.0))


def softplus(z: Array, *, beta: float) -> Array:
    """Return `log(1 + exp(beta * z)) / beta` (Dugas et al., 2001), without overflow."""
    b = z.dtype.type(beta)
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(b * z))) / b


def softsign(z: Array) -> Array:
    """Return `z / (1 + |z|)` (Bergstra et al., 2009)."""
    size: Array = 1 + np.abs(z)
    return z / size


def tanh(z: Array) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(z)


def sigmoid(z: Array) -> Array:
    """Return `1 / (1 + exp(-z))`, the logistic function, from `exp(-|z|)`, which cannot overflow."""
    small: Array = np.exp(-np.abs(z))
    value: Array = np.where(z >= 0, z.dtype.type(1), small) / (1 + small)
    return value


def hard_sigmoid(z: Array) -> Array:
    """Return `relu6(z + 3) / 6` (Howard et al., 2019)."""
    return relu6(z + 3) / 6


def hard_tanh(z: Array, *, min_value: float, max_value: float) -> Array:
    """Return `z`, bounded by `min_value` and `max_value` (Collobert, 2004)."""
    return np.clip(z, z.dtype.type(min_value), z.dtype.type(max_value))


def hard_swish(z: Array) -> Array:
    """Return `z * relu6(z + 3) / 6` (Howard et al., 2019)."""
    return z * hard_sigmoid(z)


def log_sigmoid(z: Array) -> Array:
    """Return `log(sigmoid(z))`, from `exp(-|z|)`, so that it neither overflows nor loses its digits."""
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """Return `exp(z_i) / sum_j exp(z_j)` over the nodes (Bridle, 1990), shifted by the largest."""
    with np.errstate(over="ignore"):  # minus infinity, whose exponential is the right 0
        powers: Array = np.exp(z - z.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def log_softmax(z: Array) -> Array:
    """Return `log(softmax(z))`, as `z - max - log(sum(exp(z - max)))`."""
    with np.errstate(over="ignore"):
        shifted: Array = z - z.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def exp(z: Array) -> Array:
    """Return `exp(z)`; what is too large for the dtype is infinity."""
    with np.errstate(over="ignore"):
        return np.exp(z)


def sin(z: Array) -> Array:
    """Return the sine of `z` radians (Sitzmann et al., 2020)."""
    return np.sin(z)


def cos(z: Array) -> Array:
    """Return the cosine of `z` radians."""
    return np.cos(z)


def gaussian(z: Array) -> Array:
    """Return `exp(-z^2)` (Broomhead & Lowe, 1988)."""
    wide = z.astype(np.float64)  # the rounding of a float32 square would be magnified
    with np.errstate(over="ignore"):
        return np.exp(-wide * wide).astype(z.dtype)


def step(z: Array, *, threshold: float) -> Array:
    """Return 1 where `z >= threshold`, else 0 (McCulloch & Pitts, 1943)."""
    return (z >= z.dtype.type(threshold)).astype(z.dtype)


def square(z: Array) -> Array:
    """Return `z^2`; what is too large for the dtype is infinity."""
    with np.errstate(over="ignore"):
        return z * z


ACTIVATIONS: Final[Mapping[str, Activation]] = MappingProxyType(
    {
        "identity": Activation(function=identity),
        "relu": Activation(function=relu),
        "leaky_relu": Activation(function=leaky_relu, defaults={"negative_slope": 0.01}),
        "prelu": Activation(function=prelu, defaults={"slope": 0.25}),
        "relu6": Activation(function=relu6),
        "elu": Activation(function=elu, defaults={"alpha": 1.0}),
        "selu": Activation(function=selu),
        "celu": Activation(function=celu, defaults={"alpha": 1.0}),
        "gelu": Activation(function=gelu),
        "gelu_tanh": Activation(function=gelu_tanh),
        "silu": Activation(function=silu),
        "mish": Activation(function=mish),
        "softplus": Activation(function=softplus, defaults={"beta": 1.0}),
        "softsign": Activation(function=softsign),
        "tanh": Activation(function=tanh),
        "sigmoid": Activation(function=sigmoid),
        "hard_sigmoid": Activation(function=hard_sigmoid),
        "hard_tanh": Activation(function=hard_tanh, defaults={"min_value": -1.0, "max_value": 1.0}),
        "hard_swish": Activation(function=hard_swish),
        "log_sigmoid": Activation(function=log_sigmoid),
        "softmax": Activation(function=softmax),
        "log_softmax": Activation(function=log_softmax),
        "exp": Activation(function=exp),
        "sin": Activation(function=sin),
        "cos": Activation(function=cos),
        "gaussian": Activation(function=gaussian),
        "step": Activation(function=step, defaults={"threshold": 0.0}),
        "square": Activation(function=square),
    }
)
"""Every activation function by its name in a spec."""
