"""The table of supported operations, and their names in a traced graph."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import LayerOperations
from forwardpass.importers.pytorch.arranging import ARRANGING
from forwardpass.importers.pytorch.choosing import CHOOSING
from forwardpass.importers.pytorch.convolutions import CONVOLUTIONS
from forwardpass.importers.pytorch.elementwise import ELEMENTWISE, join
from forwardpass.importers.pytorch.integers import IntegerRef, adds_a_whole_number
from forwardpass.importers.pytorch.losses import LOSSES
from forwardpass.importers.pytorch.products import PRODUCTS
from forwardpass.importers.pytorch.recurrent import RECURRENT
from forwardpass.importers.pytorch.reductions import POOLS, REDUCTIONS
from forwardpass.importers.pytorch.reshaping import RESHAPING
from forwardpass.importers.pytorch.resizing import RESIZING
from forwardpass.importers.pytorch.rows_axis import MovedRef
from forwardpass.importers.pytorch.unsupported import REASONS, UNKNOWN
from forwardpass.importers.pytorch.weighted import CATEGORICAL, WEIGHTED, to_integers
from forwardpass.importers.pytorch.writing import WRITING
from forwardpass.importers.unsupported import UnsupportedError

OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **ELEMENTWISE,
        **RESHAPING,
        **ARRANGING,
        **RESIZING,
        **WRITING,
        **LOSSES,
        **REDUCTIONS,
        **PRODUCTS,
        **WEIGHTED,
        **CHOOSING,
        **CONVOLUTIONS,
        **RECURRENT,
    }
)
"""The function for each operation; it gets the builder and the operation's arguments."""

_ANY_ROWS: Final = frozenset(
    {
        *RESHAPING,
        *RECURRENT,
        *(REDUCTIONS.keys() - POOLS.keys()),
        *PRODUCTS,
        *ARRANGING,
        *RESIZING,
        *WRITING,
        *LOSSES,
        "gather",
        "take_along_dim",
    }
    | {*("linear", "addmm", "layer_norm", "rms_norm", "embedding_bag", "to", "_to_copy", "type", "type_as")}
    | {*("float", "double", "long", "int", "short")}
)
"""Operations of tensors whose rows may be any axis."""

_PACKAGES: Final = frozenset({"torch", "_operator", "math", "builtins"})
_IN_PLACE_OPERATORS: Final = frozenset({"iadd", "isub", "imul", "itruediv", "ipow", "iand", "ior", "ixor"})
_FIRST: Final = ("input", "self")
_WORDS: Final[Mapping[str, str]] = MappingProxyType({"other": "y", "axis": "dim", "keepdims": "keepdim"})


def name_of(target: Any) -> str:
    """Return the name of a function that a graph calls, with `aten.` before it in a graph of `torch.export`.

    Raises:
        UnsupportedError: It is not torch's.
    """
    if isinstance(target, str):
        return target
    schema = getattr(target, "_schema", None)
    if schema is not None:
        namespace, _, name = schema.name.partition("::")
        return f"aten.{name}" if namespace == "aten" else schema.name
    name = getattr(target, "__name__", repr(target))
    if (getattr(target, "__module__", None) or "torch").partition(".")[0] not in _PACKAGES:
        raise UnsupportedError(f"{name} is a custom function that is not traced; leave out torch.fx.wrap")
    return str(name)


def changes_its_input(name: str, options: Mapping[str, Any]) -> bool:
    """Return whether an operation writes its result into the tensor that it reads."""
    plain = name.removeprefix("aten.")
    in_place = plain.endswith("_") and not plain.endswith("__")
    return in_place or plain in _IN_PLACE_OPERATORS or bool(options.get("inplace"))


def _check_rows(parts: list[Any]) -> None:
    """Reject a tensor whose rows are not its first axis, or that axis with others."""
    if any(isinstance(part, MovedRef) for part in parts):
        raise UnsupportedError("gets its rows elsewhere than as the first axis; bring them there, as by `movedim`")


def operate(graph: LayerOperations, name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Apply an operation to tensors.

    Raises:
        UnsupportedError: The operation, or the way it is called, is not supported.
    """
    plain = name.removeprefix("aten.")
    plain = plain[1:] if plain in _IN_PLACE_OPERATORS else plain
    plain = plain.removesuffix("_") if not plain.endswith("__") else plain
    operation = (OPERATIONS.get(f"aten.{plain}") if name.startswith("aten.") else None) or OPERATIONS.get(plain)
    if operation is None:
        raise UnsupportedError(f"{plain} {REASONS.get(plain, UNKNOWN)}")
    given = {_WORDS.get(key, key): value for key, value in options.items() if key not in _FIRST}
    first = [options[key] for key in _FIRST if key in options]
    is_shifted = plain in {"add", "sub"} and adds_a_whole_number(*first, *args, *given.values())
    if plain not in CATEGORICAL and not is_shifted and any(isinstance(arg, IntegerRef) for arg in (*first, *args)):
        raise UnsupportedError(
            f"{plain} reads what was cut to whole numbers; only categories that are looked up may be"
        )
    try:
        bound = inspect.signature(operation).bind(graph, *first, *args, **given)
    except TypeError as error:
        raise UnsupportedError(f"{plain} is called in a way that is not supported: {error}") from None
    try:
        if plain in ELEMENTWISE:
            result = join(graph, operation, *bound.args[1:], **bound.kwargs)
            return to_integers(graph, result) if is_shifted else result
        if plain not in _ANY_ROWS:
            _check_rows([*bound.args[1:], *bound.kwargs.values()])
        return operation(*bound.args, **bound.kwargs)
    except UnsupportedError as error:
        raise UnsupportedError(f"{plain} {error}") from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise UnsupportedError(f"{plain} is called in a way that is not supported: {error}") from error
