"""Activation functions: a closed table of plain functions.

Each function takes pre-activations `z`, `(..., nodes)` float32 or float64, and a keyword for each of its parameters. It
returns a new array with the shape and dtype of `z`, or writes to `out` and returns that, as numpy does; `out` may be
`z` itself. Otherwise `z` does not change.

Each function is stable over the whole range of finite numbers: it returns the mathematical value where the dtype can
represent it, and infinity only where the value is too large.

The first line of each docstring is the row of the function in docs/reference/activations.md.

`GRADIENTS`, at the end, has the derivative of each function.
"""

from collections.abc import Callable, Mapping
from math import pi, sqrt
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.erf import erfc


def identity(z: Array, *, out: Array | None = None) -> Array:
    """Return `z` as it is."""
    return z if out is z else _written(z.copy(), z, out)


def relu(z: Array, *, out: Array | None = None) -> Array:
    """Return `max(0, z)` (Nair & Hinton, 2010)."""
    zero, zeros = _ZEROS[z.dtype.char]
    if _FEW < z.size <= zeros.size:
        zero = zeros[: z.size].reshape(z.shape)
    return np.maximum(z, zero, out=out)


def leaky_relu(z: Array, *, negative_slope: float, out: Array | None = None) -> Array:
    """Return `z` where positive, else `negative_slope * z` (Maas et al., 2013)."""
    return _written(np.where(z > 0, z, z * z.dtype.type(negative_slope)), z, out)


def prelu(z: Array, *, slope: float, out: Array | None = None) -> Array:
    """Return `z` where positive, else `slope * z`, the slope being learned (He et al., 2015)."""
    return leaky_relu(z, negative_slope=slope, out=out)


def relu6(z: Array, *, out: Array | None = None) -> Array:
    """Return `min(max(0, z), 6)` (Krizhevsky, 2010)."""
    return np.clip(z, z.dtype.type(0), z.dtype.type(6), out=out)


def elu(z: Array, *, alpha: float, out: Array | None = None) -> Array:
    """Return `z` where positive, else `alpha * (exp(z) - 1)` (Clevert et al., 2015)."""
    below = np.minimum(z, 0)
    np.expm1(below, out=below)
    below *= z.dtype.type(alpha)
    return _written(np.where(z > 0, z, below), z, out)


@np.errstate(over="ignore")
def selu(z: Array, *, out: Array | None = None) -> Array:
    """Return `scale * elu(z, alpha)` with the constants of Klambauer et al., 2017."""
    scaled = elu(z, alpha=1.6732632423543772848170429916717, out=out)
    scaled *= z.dtype.type(1.0507009873554804934193349852946)
    return scaled


def celu(z: Array, *, alpha: float, out: Array | None = None) -> Array:
    """Return `z` where positive, else `alpha * (exp(z / alpha) - 1)` (Barron, 2017)."""
    a = z.dtype.type(alpha)
    below = np.minimum(z, 0)
    below /= a
    np.expm1(below, out=below)
    below *= a
    return _written(np.where(z > 0, z, below), z, out)


def gelu(z: Array, *, out: Array | None = None) -> Array:
    """Return `z * Phi(z)`, Phi being the normal distribution function (Hendrycks & Gimpel, 2016).

    `Phi(z) = erfc(-z / sqrt(2)) / 2` keeps the digits of the negative tail, which
    `1 + erf` would cancel.
    """
    wide = z.astype(np.float64)
    return _written(wide * (0.5 * erfc(wide * -sqrt(0.5))), z, out)


@np.errstate(over="ignore")
def gelu_tanh(z: Array, *, out: Array | None = None) -> Array:
    """Return `z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3))) / 2` (Hendrycks & Gimpel, 2016).

    Computed as `z * sigmoid(2 * ...)`, which is the same and does not cancel; an infinite
    argument gives the right 0 or z.
    """
    wide = z.astype(np.float64)
    return _written(wide * sigmoid(2 * sqrt(2 / pi) * wide * (1 + 0.044715 * wide * wide)), z, out)


def silu(z: Array, *, out: Array | None = None) -> Array:
    """Return `z * sigmoid(z)`, also called swish (Elfwing et al., 2017; Ramachandran et al., 2017)."""
    return np.multiply(z, sigmoid(z), out=out)


def mish(z: Array, *, out: Array | None = None) -> Array:
    """Return `z * tanh(softplus(z))` (Misra, 2019)."""
    soft = softplus(z, beta=1.0)
    return np.multiply(z, np.tanh(soft, out=soft), out=out)


def softplus(z: Array, *, beta: float, out: Array | None = None) -> Array:
    """Return `log(1 + exp(beta * z)) / beta` (Dugas et al., 2001), without overflow."""
    b = z.dtype.type(beta)
    rest = np.log1p(_small(b * z))
    rest /= b
    return np.add(np.maximum(z, 0), rest, out=out)


def softsign(z: Array, *, out: Array | None = None) -> Array:
    """Return `z / (1 + |z|)` (Bergstra et al., 2009)."""
    size = np.abs(z)
    size += 1
    return np.divide(z, size, out=out)


def tanh(z: Array, *, out: Array | None = None) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(z, out=out)


def sigmoid(z: Array, *, out: Array | None = None) -> Array:
    """Return `1 / (1 + exp(-z))`, the logistic function, from `exp(-|z|)`, which cannot overflow."""
    small = _small(z)
    above = np.where(z >= 0, z.dtype.type(1), small)
    small += 1
    return np.divide(above, small, out=out)


def hard_sigmoid(z: Array, *, out: Array | None = None) -> Array:
    """Return `relu6(z + 3) / 6` (Howard et al., 2019)."""
    return np.divide(relu6(z + 3), z.dtype.type(6), out=out)


def hard_tanh(z: Array, *, min_value: float, max_value: float, out: Array | None = None) -> Array:
    """Return `z`, bounded by `min_value` and `max_value` (Collobert, 2004)."""
    return np.clip(z, z.dtype.type(min_value), z.dtype.type(max_value), out=out)


def hard_swish(z: Array, *, out: Array | None = None) -> Array:
    """Return `z * relu6(z + 3) / 6` (Howard et al., 2019)."""
    return np.multiply(z, hard_sigmoid(z), out=out)


def log_sigmoid(z: Array, *, out: Array | None = None) -> Array:
    """Return `log(sigmoid(z))`, from `exp(-|z|)`, so that it neither overflows nor loses its digits."""
    small = _small(z)
    return np.subtract(np.minimum(z, 0), np.log1p(small, out=small), out=out)


@np.errstate(over="ignore")
def softmax(z: Array, *, out: Array | None = None) -> Array:
    """Return `exp(z_i) / sum_j exp(z_j)` over the nodes (Bridle, 1990), shifted by the largest.

    What overflows in the shift is minus infinity, whose exponential is the right 0.
    """
    powers: Array = np.subtract(z, z.max(axis=-1, keepdims=True), out=out)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


@np.errstate(over="ignore")
def log_softmax(z: Array, *, out: Array | None = None) -> Array:
    """Return `log(softmax(z))`, as `z - max - log(sum(exp(z - max)))`."""
    shifted: Array = np.subtract(z, z.max(axis=-1, keepdims=True), out=out)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


@np.errstate(over="ignore")
def sparsemax(z: Array, *, out: Array | None = None) -> Array:
    """Return `max(z - t, 0)` over the nodes, the `t` being that by which they add up to 1 (Martins & Astudillo, 2016).

    With the distances `d` below the largest, in ascending order, that is `max(s - d, 0)` with the smallest of all
    `s = (1 + d_1 + ... + d_k) / k`. Minus infinity gets 0. Where a value is NaN or infinity, or all are minus infinity,
    the largest has no distance, and all values are NaN, as those of softmax.
    """
    below = z.max(axis=-1, keepdims=True).astype(np.float64) - z
    sums = np.add.accumulate(np.sort(below, axis=-1), axis=-1)  # one after the other, in every batch
    sums += 1
    sums /= np.arange(1.0, z.shape[-1] + 1)
    return _written(np.maximum(sums.min(axis=-1, keepdims=True) - below, 0), z, out)


@np.errstate(over="ignore")
def exp(z: Array, *, out: Array | None = None) -> Array:
    """Return `exp(z)`, infinity where that is too large for the dtype."""
    return np.exp(z, out=out)


def sin(z: Array, *, out: Array | None = None) -> Array:
    """Return the sine of `z` radians (Sitzmann et al., 2020)."""
    return np.sin(z, out=out)


def cos(z: Array, *, out: Array | None = None) -> Array:
    """Return the cosine of `z` radians."""
    return np.cos(z, out=out)


@np.errstate(over="ignore")
def gaussian(z: Array, *, out: Array | None = None) -> Array:
    """Return `exp(-z^2)` (Broomhead & Lowe, 1988)."""
    wide = z.astype(np.float64)  # the rounding of a float32 square would be magnified
    return _written(np.exp(-wide * wide), z, out)


def step(z: Array, *, threshold: float, out: Array | None = None) -> Array:
    """Return 1 where `z >= threshold`, else 0 (McCulloch & Pitts, 1943)."""
    return _written(z >= z.dtype.type(threshold), z, out)


@np.errstate(over="ignore")
def square(z: Array, *, out: Array | None = None) -> Array:
    """Return `z^2`, infinity where that is too large for the dtype."""
    return np.multiply(z, z, out=out)


def _small(z: Array) -> Array:
    """Return `exp(-|z|)`, which is at most 1."""
    small = np.abs(z)
    np.negative(small, out=small)
    return np.exp(small, out=small)


def _written(value: npt.NDArray[Any], z: Array, out: Array | None) -> Array:
    """Return `value` in the dtype of `z`, or write it to `out` and return that."""
    if out is None:
        return value.astype(z.dtype, copy=False)
    out[...] = value
    return out


_FEW: Final = 256
_ZEROS: Final = {code: (np.zeros((), code), np.zeros(2**20, code)) for code in "fd"}
"""One zero, and an array of zeros: numpy compares two arrays four times as fast as an array with a scalar. The pages of
the array are only read, so they take addresses but no memory."""

ACTIVATIONS: Final[Mapping[str, Callable[..., Array]]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            identity,
            relu,
            leaky_relu,
            prelu,
            relu6,
            elu,
            selu,
            celu,
            gelu,
            gelu_tanh,
            silu,
            mish,
            softplus,
            softsign,
            tanh,
            sigmoid,
            hard_sigmoid,
            hard_tanh,
            hard_swish,
            log_sigmoid,
            softmax,
            log_softmax,
            sparsemax,
            exp,
            sin,
            cos,
            gaussian,
            step,
            square,
        )
    }
)
"""Each activation function by its name in a spec."""

OF_ALL_NODES: Final = frozenset({"softmax", "log_softmax", "sparsemax"})
"""The activations of which each depends on the pre-activations of all nodes."""


def _through(slope: Callable[..., npt.NDArray[Any]]) -> Callable[..., Array]:
    """Return the vector-Jacobian product of a function of each node by itself, from its derivative at `z`."""

    @np.errstate(all="ignore")
    def multiply(gradient: Array, z: Array, **parameters: float) -> Array:
        product = gradient * slope(z, **parameters).astype(z.dtype, copy=False)
        # What does not reach the output is 0, even where there is no slope.
        return np.where(gradient == 0, gradient, product)

    return multiply


def _exp_below(z: Array) -> Array:
    """Return `exp(min(z, 0))`."""
    return np.exp(np.minimum(z, 0))


def _bell(z: Array) -> Array:
    """Return the derivative of sigmoid, `s(z) * s(-z)`, which keeps the digits of both tails."""
    small = _small(z)
    return small / np.square(1 + small)


def _gelu_slope(z: Array) -> Array:
    """Return `Phi(z) + z * phi(z)`, with the normal distribution and its density."""
    wide = z.astype(np.float64)
    return 0.5 * erfc(wide * -sqrt(0.5)) + wide * np.exp(-0.5 * wide * wide) / sqrt(2 * pi)


def _gelu_tanh_slope(z: Array) -> Array:
    """Return `s(u) + z * s'(u) * u'`, the function being `z * s(u)` with the sigmoid s."""
    wide, factor = z.astype(np.float64), 2 * sqrt(2 / pi)
    u = factor * wide * (1 + 0.044715 * wide * wide)
    bell = _bell(u)
    # Where the bell has vanished, infinity times 0 would have no value.
    inner = np.where(bell > 0, wide * factor * (1 + 3 * 0.044715 * wide * wide), 0)
    return sigmoid(u) + bell * inner


def _silu_slope(z: Array) -> Array:
    """Return `s(z) + z * s'(z)`."""
    return sigmoid(z) + z * _bell(z)


def _mish_slope(z: Array) -> Array:
    """Return `tanh(p) + z * sech(p)^2 * s(z)` with the softplus p and the sigmoid s."""
    soft = softplus(z, beta=1.0)
    return np.tanh(soft) + z * (4 * _bell(2 * soft) * sigmoid(z))


@np.errstate(all="ignore")
def _softmax_gradient(gradient: Array, z: Array) -> Array:
    """Return `s * (g - sum(g * s))` over the nodes, with the softmax s."""
    share = softmax(z)
    result: Array = share * (gradient - (gradient * share).sum(axis=-1, keepdims=True))
    return result


@np.errstate(all="ignore")
def _log_softmax_gradient(gradient: Array, z: Array) -> Array:
    """Return `g - s * sum(g)` over the nodes, with the softmax s."""
    result: Array = gradient - softmax(z) * gradient.sum(axis=-1, keepdims=True)
    return result


@np.errstate(all="ignore")
def _sparsemax_gradient(gradient: Array, z: Array) -> Array:
    """Return `g - mean(g)` of the nodes above the threshold, else 0 (Martins & Astudillo, 2016, equation 9)."""
    share = sparsemax(z)
    above = share > 0
    mean = np.where(above, gradient, 0).sum(axis=-1, keepdims=True) / above.sum(axis=-1, keepdims=True)
    return np.where(above, gradient - mean.astype(z.dtype), share)


GRADIENTS: Final[Mapping[str, Callable[..., Array]]] = MappingProxyType(
    {
        "identity": _through(np.ones_like),
        "relu": _through(lambda z: z > 0),
        "leaky_relu": _through(lambda z, negative_slope: np.where(z > 0, 1, negative_slope)),
        "prelu": _through(lambda z, slope: np.where(z > 0, 1, slope)),
        "relu6": _through(lambda z: (z > 0) & (z < 6)),
        "elu": _through(lambda z, alpha: np.where(z > 0, 1, alpha * _exp_below(z))),
        "selu": _through(lambda z: np.where(z > 0, 1.0507009873554805, 1.7580993408473766 * _exp_below(z))),
        "celu": _through(lambda z, alpha: _exp_below(z / z.dtype.type(alpha))),
        "gelu": _through(_gelu_slope),
        "gelu_tanh": _through(_gelu_tanh_slope),
        "silu": _through(_silu_slope),
        "mish": _through(_mish_slope),
        "softplus": _through(lambda z, beta: sigmoid(z.dtype.type(beta) * z)),
        "softsign": _through(lambda z: 1 / np.square(1 + np.abs(z))),
        "tanh": _through(lambda z: 4 * _bell(2 * z)),
        "sigmoid": _through(_bell),
        "hard_sigmoid": _through(lambda z: np.where((z > -3) & (z < 3), 1 / 6, 0)),
        "hard_tanh": _through(lambda z, min_value, max_value: (z > min_value) & (z < max_value)),
        "hard_swish": _through(lambda z: np.where(z <= -3, 0, np.where(z < 3, z / 3 + 0.5, 1))),
        "log_sigmoid": _through(lambda z: sigmoid(-z)),
        "softmax": _softmax_gradient,
        "log_softmax": _log_softmax_gradient,
        "sparsemax": _sparsemax_gradient,
        "exp": _through(np.exp),
        "sin": _through(np.cos),
        "cos": _through(lambda z: -np.sin(z)),
        "gaussian": _through(lambda z: z * (-2 * gaussian(z))),
        "step": _through(lambda z, threshold: np.zeros_like(z)),
        "square": _through(lambda z: 2 * z),
    }
)
"""The vector-Jacobian product of each function of `ACTIVATIONS`: called with the gradient at the activations, the
pre-activations `z`, both `(rows, nodes)`, and the parameters, it returns the gradient at the pre-activations.

Where a function has a kink, the slope is the one that PyTorch takes: 0 at the kinks of relu, relu6, hard_sigmoid and
hard_tanh; that of the side below at 0 of leaky_relu, prelu, elu, selu and celu; 0 at the threshold of sparsemax.
"""
