"""Base class of frozen values that can be pickled and copied, for process pools, joblib and `deepcopy`."""

from collections.abc import Callable
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np


class PicklableValue:
    """Frozen dataclass whose pickle restores what the plain protocol loses.

    Read-only mappings cannot be pickled as they are, and numpy restores every array as writable.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        state = {}
        for field in fields(self):  # type: ignore[arg-type] # each subclass is a dataclass
            value = getattr(self, field.name)
            state[field.name] = _ReadOnly(dict(value)) if isinstance(value, MappingProxyType) else value
        return _restore, (type(self), state)


class _ReadOnly:
    """Items of a read-only mapping inside a pickle."""

    __slots__ = ("items",)

    def __init__(self, items: dict[Any, Any]) -> None:
        self.items = items

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _ReadOnly, (self.items,)


def _restore(kind: type[Any], state: dict[str, Any]) -> Any:
    """Build a value without its constructor, with the read-only arrays and mappings that it had."""
    restored = object.__new__(kind)
    for name, stored in state.items():
        value = stored
        if isinstance(value, _ReadOnly):
            value = MappingProxyType(value.items)
        elif isinstance(value, np.ndarray):
            value = value.view()
            value.setflags(write=False)
        object.__setattr__(restored, name, value)
    return restored
