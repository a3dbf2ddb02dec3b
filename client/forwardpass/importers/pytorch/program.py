"""A traced module, and how one is unsupported_model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from forwardpass.errors import Fault
from forwardpass.importers.pytorch.input_shapes import ModuleInput
from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_parts

_DTYPES: Final = frozenset({"float32", "float64"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A traced module.

    Attributes:
        model_name: What was traced.
        graph: A `torch.fx.Graph`.
        inputs: What it reads, by the names of the graph's placeholders.
        constants: What placeholders are that are no inputs: parameters and buffers.
        root: What the graph's modules and attributes are looked up in.
        call: Calls the model with a tensor for each input.
        answer: Puts what the graph returns into the form that the model returns.
        dtype: In which it computes.
        batch: How many rows it is called with, or None when that is left open.
    """

    model_name: str
    graph: Any
    inputs: tuple[ModuleInput, ...]
    constants: Mapping[str, Any]
    root: Any
    call: Callable[..., Any]
    answer: Callable[[Any], Any]
    dtype: str
    batch: int | None = None


def dtype_of(state: Mapping[str, Any]) -> str:
    """Return in what a model computes, by its parameters and buffers.

    Raises:
        UnsupportedModelError: In several dtypes, or in one that no network has.
    """
    import torch

    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if _is_floating(tensor)}
    kinds = kinds or {str(torch.get_default_dtype()).removeprefix("torch.")}
    if len(kinds) > 1 or not kinds <= _DTYPES:
        raise unsupported_module(
            "model", f"computes in {', '.join(sorted(kinds))}; call `.float()` or `.double()` before"
        )
    return kinds.pop()


def unsupported_module(path: str, message: str) -> UnsupportedModelError:
    """Return the error of one fault."""
    return unsupported_parts([Fault(path=path, message=message)], kind="module")


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _is_floating(tensor: Any) -> bool:
    return hasattr(tensor, "dtype") and bool(tensor.dtype.is_floating_point)
