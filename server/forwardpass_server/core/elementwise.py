"""Activation functions that are expressions: a tree of operations, computed on whole arrays one step after another."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import pi, sqrt
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core import costs
from forwardpass_server.core.activations import GRADIENTS, relu, sigmoid, softplus
from forwardpass_server.core.arrays import Array
from forwardpass_server.core.erf import erf, erfc

Tree: TypeAlias = float | bool | str | tuple[Any, ...]
"""A constant, a variable such as `"x"`, or a tuple of a name in `FUNCTIONS` and its operands, which are trees too."""

CHUNK_NUMBERS: Final = 2**14
"""About how many numbers go through all steps together, so that the values between two steps stay in a core's cache."""


class Elementwise:
    """A compiled expression over `x`, or several variables, computed number by number in one dtype.

    It is called with `z`, `(rows, nodes)` in that dtype, and perhaps `out`, like the functions of `ACTIVATIONS`. Where
    the expression has no value, the result is NaN; where the value is too large, it is infinity.

    Attributes:
        flops: What it costs for one number, in floating-point operations.
    """

    def __init__(self, tree: Tree, dtype: "np.dtype[Any]", variables: Sequence[str] = ("x",)) -> None:
        """Compile a tree to steps; constants are rounded to the dtype."""
        self.flops = 0
        self._dtype = dtype
        self._tree = tree
        self._variables = tuple(variables)
        self._out = len(self._variables)
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        # The variables, the result, and then constants, and the dtypes of the buffers that a chunk needs.
        self._places: list[Any] = [None] * (self._out + 1)
        self._free: dict[object, list[int]] = {dtype: [], np.dtype(bool): []}
        result = self._place(tree)
        if self._steps:
            function, operands, _ = self._steps.pop()
            self._steps.append((function, operands, self._out))
        else:
            self._steps.append((_copy, (result,), self._out))

    @property
    def steps(self) -> int:
        """The calls of numpy for a chunk."""
        return len(self._steps)

    def __call__(self, z: Array, *, out: Array | None = None) -> Array:
        """Return the function of every number of `z`."""
        return self.compute((z,), np.empty_like(z) if out is None else out)

    @np.errstate(all="ignore")
    def compute(self, operands: Sequence[Array], out: Array) -> Array:
        """Compute the function of the numbers of each variable, `(rows, nodes)` each, into `out`."""
        rows, nodes = out.shape
        height = min(max(CHUNK_NUMBERS // max(nodes, 1), 1), rows)
        buffers = [np.empty((height, nodes), place) if isinstance(place, np.dtype) else place for place in self._places]
        for start in range(0, rows, max(height, 1)):
            chunk = out[start : start + height]
            values = [buffer[: len(chunk)] if isinstance(buffer, np.ndarray) else buffer for buffer in buffers]
            values[: self._out] = [operand[start : start + height] for operand in operands]
            values[self._out] = chunk
            for function, places, target in self._steps:
                function(*[values[place] for place in places], out=values[target])
        return out

    def gradient(self, gradient: Array, z: Array) -> Array:
        """Return the gradient at `z` of a gradient at the function of `z`, both `(rows, nodes)`."""
        (result,) = self.gradients(gradient, (z,))
        return result

    @np.errstate(all="ignore")
    def gradients(self, gradient: Array, operands: Sequence[Array]) -> list[Array]:
        """Return the gradient at each variable of a gradient at the function, all `(rows, nodes)`.

        Each part of the expression gets its value and its derivative, from the inside out: differentiation in forward
        mode (Wengert, 1964). A condition has no derivative, and `where` takes that of the chosen operand alone.
        """
        results = [np.empty_like(gradient) for _ in operands]
        height = max(CHUNK_NUMBERS // max(gradient.shape[1], 1), 1)
        for start in range(0, len(gradient), height):
            rows = slice(start, start + height)
            values = dict(zip(self._variables, (operand[rows] for operand in operands), strict=True))
            for variable, result in zip(self._variables, results, strict=True):
                _, slope = self._differentiate(self._tree, values, variable)
                product = gradient[rows] * (0 if slope is None else slope)
                result[rows] = np.where(gradient[rows] == 0, 0, product)
        return results

    def _differentiate(self, tree: Tree, values: Mapping[str, Array], by: str) -> tuple[Any, Any]:
        """Return the value of a tree and its derivative by a variable, None where that is 0 everywhere."""
        if isinstance(tree, str):
            return values[tree], np.ones_like(values[tree]) if tree == by else None
        if not isinstance(tree, tuple):
            return tree if isinstance(tree, bool) else self._dtype.type(tree), None
        name, *parts = tree
        known, slopes = zip(*(self._differentiate(part, values, by) for part in parts), strict=True)
        x = values[by]
        value = np.empty(x.shape, bool if name in _CONDITIONS else x.dtype)
        FUNCTIONS[name](*known, out=value)
        if name in _CONDITIONS or all(slope is None for slope in slopes):
            return value, None
        if name == "where":
            condition, chosen, other = known[0], slopes[1], slopes[2]
            return value, np.where(condition, *(x.dtype.type(0) if one is None else one for one in (chosen, other)))
        terms = [
            np.where(slope == 0, 0, partial(*known, value) * slope).astype(x.dtype, copy=False)
            for partial, slope in zip(DERIVATIVES[name], slopes, strict=True)
            if slope is not None
        ]
        return value, sum(terms[1:], start=terms[0])

    def _place(self, tree: Tree) -> int:
        """Append the steps of a tree, and return the index of its value."""
        if isinstance(tree, str):
            return self._variables.index(tree)
        if not isinstance(tree, tuple):
            self._places.append(tree if isinstance(tree, bool) else self._dtype.type(tree))
            return len(self._places) - 1
        name, *parts = tree
        self.flops += costs.EXPRESSION.get(name, costs.FUNCTION)
        operands = tuple(map(self._place, parts))
        for operand in operands:
            dtype = self._places[operand]
            if isinstance(dtype, np.dtype):
                self._free[dtype].append(operand)
        dtype = np.dtype(bool) if name in _CONDITIONS else self._dtype
        if not self._free[dtype]:
            self._places.append(dtype)
            self._free[dtype].append(len(self._places) - 1)
        target = self._free[dtype].pop()
        self._steps.append((FUNCTIONS[name], operands, target))
        return target


def _copy(x: Array, *, out: Array) -> None:
    out[...] = x


def _where(condition: npt.NDArray[np.bool_], x: Array, y: Array, *, out: Array) -> None:
    out[...] = np.where(condition, x, y)


def _power(x: Array, exponent: Array, *, out: Array) -> None:
    """Multiply where the exponent is the constant 2 or 3, which is much faster and equally accurate."""
    if np.ndim(exponent) == 0 and exponent == 2:
        np.multiply(x, x, out=out)
    elif np.ndim(exponent) == 0 and exponent == 3:
        np.multiply(x * x, x, out=out)
    else:
        np.power(x, exponent, out=out)


def _clip(x: Array, low: Array, high: Array, *, out: Array) -> None:
    np.minimum(np.maximum(x, low), high, out=out)


def _erf(x: Array, *, out: Array) -> None:
    out[...] = erf(x)


def _erfc(x: Array, *, out: Array) -> None:
    out[...] = erfc(x)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "or": np.logical_or,
        "and": np.logical_and,
        "not": np.logical_not,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
        "!=": np.not_equal,
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "**": _power,
        "neg": np.negative,
        "where": _where,
        "min": np.minimum,
        "max": np.maximum,
        "clip": _clip,
        "abs": np.absolute,
        "sqrt": np.sqrt,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "floor": np.floor,
        "ceil": np.ceil,
        "round": np.rint,
        "mod": np.mod,
        "erf": _erf,
        "erfc": _erfc,
        "relu": relu,
        "sigmoid": sigmoid,
        "softplus": partial(softplus, beta=1.0),
    }
)
"""Each function by its name in an expression. It may write its result over an operand."""

_CONDITIONS: Final = frozenset({"or", "and", "not", "<", "<=", ">", ">=", "==", "!="})

_BELL_HEIGHT: Final = 2 / sqrt(pi)

_Partials: TypeAlias = tuple[Callable[..., Any], ...]


def _of_base(base: Array, exponent: Array, _: Array) -> Array:
    return np.where(np.equal(exponent, 0), 0, exponent * np.power(base, exponent - 1)).astype(base.dtype)


def _of_exponent(base: Array, exponent: Array, power: Array) -> Array:
    return np.where(np.equal(base, 0) & np.greater_equal(exponent, 0), 0, power * np.log(base)).astype(power.dtype)


def _share(is_chosen: Callable[..., npt.NDArray[np.bool_]]) -> Callable[..., Any]:
    """Return the derivative by an operand of a minimum or maximum: 1 where it is chosen, 1/2 where both are equal."""
    return lambda x, y, value: np.where(np.equal(x, y), 0.5, is_chosen(x, y)).astype(value.dtype)


DERIVATIVES: Final[Mapping[str, _Partials]] = MappingProxyType(
    {
        "+": (lambda x, y, value: np.ones_like(value), lambda x, y, value: np.ones_like(value)),
        "-": (lambda x, y, value: np.ones_like(value), lambda x, y, value: -np.ones_like(value)),
        "*": (lambda x, y, value: y, lambda x, y, value: x),
        "/": (lambda x, y, value: 1 / y, lambda x, y, value: -value / y),
        "**": (_of_base, _of_exponent),
        "neg": (lambda x, value: -np.ones_like(value),),
        "min": (_share(np.less), _share(np.greater)),
        "max": (_share(np.greater), _share(np.less)),
        "clip": (
            lambda x, low, high, value: (x >= low) & (x <= high),
            lambda x, low, high, value: (x < low) & (low <= high),
            lambda x, low, high, value: (x > high) | (high < low),
        ),
        "abs": (lambda x, value: np.sign(x),),
        "sqrt": (lambda x, value: 0.5 / value,),
        "exp": (lambda x, value: value,),
        "expm1": (lambda x, value: np.exp(x),),
        "log": (lambda x, value: 1 / x,),
        "log1p": (lambda x, value: 1 / (1 + x),),
        "sin": (lambda x, value: np.cos(x),),
        "cos": (lambda x, value: -np.sin(x),),
        "tanh": (lambda x, value: GRADIENTS["tanh"](np.ones_like(x), x),),
        "asin": (lambda x, value: 1 / np.sqrt((1 - x) * (1 + x)),),
        "acos": (lambda x, value: -1 / np.sqrt((1 - x) * (1 + x)),),
        "atan": (lambda x, value: 1 / (1 + x * x),),
        **{name: (lambda x, value: np.zeros_like(value),) for name in ("floor", "ceil", "round")},
        "mod": (lambda x, y, value: np.ones_like(value), lambda x, y, value: -np.floor(x / y)),
        "erf": (lambda x, value: _BELL_HEIGHT * np.exp(-x * x),),
        "erfc": (lambda x, value: -_BELL_HEIGHT * np.exp(-x * x),),
        "relu": (lambda x, value: x > 0,),
        "sigmoid": (lambda x, value: GRADIENTS["sigmoid"](np.ones_like(x), x),),
        "softplus": (lambda x, value: sigmoid(x),),
    }
)
"""The derivative of each function by each operand, from the operands and the value. Where one has a kink, PyTorch's
choice: 0 at the kinks of abs and relu, 1 at the bounds of clip, 1/2 for each of two equal operands of min and max.
`where` and the conditions need none."""
