"""Base classes of frozen values: with pickles that restore all of them, and with arrays that compare by their bits."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np

_SHOWN_ELEMENTS: Final = 8
_SHOWN_CHARACTERS: Final = 40


class PicklableValue:
    """Frozen dataclass whose pickle restores what the plain protocol loses, for process pools, joblib and `deepcopy`.

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


class Value(PicklableValue):
    """Frozen dataclass that may have arrays, which compare by shape, dtype and bits, and are short in its repr."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type] # each heir is a dataclass
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        values = [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]
        return hash(tuple(value for value in values if not isinstance(value, np.ndarray | Mapping)))

    def __repr__(self) -> str:
        said = [field.name for field in fields(self) if field.repr]  # type: ignore[arg-type]
        pairs = [(name, getattr(self, name)) for name in said]
        shown = [f"{name}={_shown(value)}" for name, value in pairs if not _is_nothing(value)]
        return f"{type(self).__name__}({', '.join(shown)})"


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return bool(one == other) if type(one) is type(other) else False


def _is_nothing(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str | tuple | Mapping) and not value)


def _shown(value: object) -> str:
    """Return a repr of one line: large arrays as their dtype and shape, long texts and tuples shortened."""
    if isinstance(value, np.ndarray):
        small = value.size <= _SHOWN_ELEMENTS
        return " ".join(repr(value).split()) if small else f"<{value.dtype} {value.shape}>"
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return repr(value[:_SHOWN_CHARACTERS] + "...")
    if isinstance(value, tuple) and len(value) > _SHOWN_ELEMENTS:
        return f"({', '.join(map(_shown, value[:3]))}, ... {len(value)} in all)"
    return str(value) if isinstance(value, datetime) else repr(value)
