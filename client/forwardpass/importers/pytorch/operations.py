"""All operations that are read, and how a traced graph names them."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.pytorch.building import Builder, RefusedError
from forwardpass.importers.pytorch.elementwise import ELEMENTWISE
from forwardpass.importers.pytorch.reducing import REDUCING
from forwardpass.importers.pytorch.refusals import UNKNOWN, WHY
from forwardpass.importers.pytorch.rows import Rows
from forwardpass.importers.pytorch.shaping import SHAPING
from forwardpass.importers.pytorch.weighted import LEVELS, WEIGHTED

OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {**ELEMENTWISE, **SHAPING, **REDUCING, **WEIGHTED}
)
"""What each operation does: with the builder, and the operation's arguments."""

_PACKAGES: Final = frozenset({"torch", "_operator", "math", "builtins"})
_IN_PLACE_OPERATORS: Final = frozenset({"iadd", "isub", "imul", "itruediv", "ipow"})
_FIRST: Final = ("input", "self")
_WORDS: Final[Mapping[str, str]] = MappingProxyType({"other": "y", "axis": "dim", "keepdims": "keepdim"})


def name_of(target: Any) -> str:
    """Return the name of a function that a graph calls, with `aten.` before it in a graph of `torch.export`.

    Raises:
        RefusedError: It is none of torch's.
    """
    if isinstance(target, str):
        return target
    schema = getattr(target, "_schema", None)
    if schema is not None:
        namespace, _, name = schema.name.partition("::")
        return f"aten.{name}" if namespace == "aten" else schema.name
    name = getattr(target, "__name__", repr(target))
    if (getattr(target, "__module__", None) or "torch").partition(".")[0] not in _PACKAGES:
        raise RefusedError(f"{name} is a function of one's own that is not traced; leave out torch.fx.wrap")
    return str(name)


def changes_its_input(name: str, options: Mapping[str, Any]) -> bool:
    """Say whether an operation writes what it computes into the tensor that it reads."""
    plain = name.removeprefix("aten.")
    in_place = plain.endswith("_") and not plain.endswith("__")
    return in_place or plain in _IN_PLACE_OPERATORS or bool(options.get("inplace"))


def operate(build: Builder, name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Do what an operation does to rows.

    Raises:
        RefusedError: It is none that is read, or is called in a way that is not.
    """
    plain = name.removeprefix("aten.")
    plain = plain[1:] if plain in _IN_PLACE_OPERATORS else plain
    plain = plain.removesuffix("_") if not plain.endswith("__") else plain
    operation = (OPERATIONS.get(f"aten.{plain}") if name.startswith("aten.") else None) or OPERATIONS.get(plain)
    if operation is None:
        raise RefusedError(f"{plain} {WHY.get(plain, UNKNOWN)}")
    given = {_WORDS.get(key, key): value for key, value in options.items() if key not in _FIRST}
    first = [options[key] for key in _FIRST if key in options]
    if plain not in LEVELS and any(isinstance(arg, Rows) and arg.whole for arg in (*first, *args)):
        raise RefusedError(f"{plain} reads what was cut to whole numbers; only categories that are looked up may be")
    try:
        bound = inspect.signature(operation).bind(build, *first, *args, **given)
    except TypeError as error:
        raise RefusedError(f"{plain} is called in a way that is not read: {error}") from None
    try:
        return operation(*bound.args, **bound.kwargs)
    except RefusedError as error:
        raise RefusedError(f"{plain} {error}") from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise RefusedError(f"{plain} is called in a way that is not read: {error}") from error
