"""Activation functions that are expressions: a tree of operations, computed on whole arrays one step after another."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.activations import relu, sigmoid, softplus
from forwardpass_server.core.arrays import Array
from forwardpass_server.core.erf import erf, erfc

Tree: TypeAlias = float | bool | str | tuple[Any, ...]
"""A constant, `"x"`, or a tuple of a name in `FUNCTIONS` and its operands, which are trees too."""

CHUNK_NUMBERS: Final = 2**14
"""About how many numbers go through all steps together, so that the values between two steps stay in a core's cache."""

_X, _OUT = 0, 1
"""The indices of the argument and of the result among the values of a chunk."""


class Elementwise:
    """A compiled expression over `x`, computed number by number in one dtype.

    It is called with `z`, `(rows, nodes)` in that dtype, and perhaps `out`, like the functions of `ACTIVATIONS`. Where
    the expression has no value, the result is NaN; where the value is too large, it is infinity.
    """

    def __init__(self, tree: Tree, dtype: "np.dtype[Any]") -> None:
        """Compile a tree to steps; constants are rounded to the dtype."""
        self._dtype = dtype
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        self._places: list[Any] = [None, None]  # a constant, or the dtype of the buffer that a chunk needs
        self._free: dict[object, list[int]] = {dtype: [], np.dtype(bool): []}
        result = self._place(tree)
        if self._steps:
            function, operands, _ = self._steps.pop()
            self._steps.append((function, operands, _OUT))
        else:
            self._steps.append((_copy, (result,), _OUT))

    @np.errstate(all="ignore")
    def __call__(self, z: Array, *, out: Array | None = None) -> Array:
        """Return the function of every number of `z`."""
        result = np.empty_like(z) if out is None else out
        rows, nodes = z.shape
        height = min(max(CHUNK_NUMBERS // max(nodes, 1), 1), rows)
        buffers = [np.empty((height, nodes), place) if isinstance(place, np.dtype) else place for place in self._places]
        for start in range(0, rows, max(height, 1)):
            chunk = result[start : start + height]
            values = [buffer[: len(chunk)] if isinstance(buffer, np.ndarray) else buffer for buffer in buffers]
            values[_X], values[_OUT] = z[start : start + height], chunk
            for function, operands, target in self._steps:
                function(*[values[operand] for operand in operands], out=values[target])
        return result

    def _place(self, tree: Tree) -> int:
        """Append the steps of a tree, and return the index of its value."""
        if isinstance(tree, str):
            return _X
        if not isinstance(tree, tuple):
            self._places.append(tree if isinstance(tree, bool) else self._dtype.type(tree))
            return len(self._places) - 1
        name, *parts = tree
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
        "erf": _erf,
        "erfc": _erfc,
        "relu": relu,
        "sigmoid": sigmoid,
        "softplus": partial(softplus, beta=1.0),
    }
)
"""Each function by its name in an expression. It may write its result over an operand."""

_CONDITIONS: Final = frozenset({"or", "and", "not", "<", "<=", ">", ">=", "==", "!="})
