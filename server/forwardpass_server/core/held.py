"""The memory of the arrays that a plan holds, those that its compiled operations have made for themselves included."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

_PACKAGE: Final = __name__.rpartition(".")[0]
_AnyArray: TypeAlias = npt.NDArray[Any]


def held_bytes(holder: object) -> int:
    """Return the bytes of all arrays that an object holds; arrays that share memory count once.

    They are found in its attributes, in containers, and in what functions have bound: arguments and closures.

    Args:
        holder: A plan, or anything else of this package.
    """
    sizes: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [holder]
    while waiting:
        each = waiting.pop()
        if isinstance(each, np.ndarray):
            owner = _owner(each)
            sizes[id(owner)] = owner.nbytes
        elif id(each) not in seen:
            seen.add(id(each))
            waiting += _held(each)
    return sum(sizes.values())


def _owner(array: _AnyArray) -> _AnyArray:
    """Return the array that owns the memory of another."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _held(each: object) -> Iterable[object]:
    """Return what an object holds directly, as far as that may hold arrays."""
    if isinstance(each, (tuple, list)):
        # All texts, or all numbers: there may be many, as of the names of nodes.
        return () if each and isinstance(each[0], (str, int, float)) else each
    if isinstance(each, Mapping):
        return each.values()
    if isinstance(each, partial):
        return (each.func, each.args, each.keywords)
    if isinstance(each, MethodType):
        return (each.__self__,)
    if isinstance(each, FunctionType):
        return [cell.cell_contents for cell in each.__closure__ or ()]
    if isinstance(each, type) or not type(each).__module__.startswith(_PACKAGE):
        return ()
    if is_dataclass(each):
        return [getattr(each, field.name) for field in fields(each)]
    return vars(each).values()
