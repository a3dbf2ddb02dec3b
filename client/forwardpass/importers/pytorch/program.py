"""A traced module, and the errors about it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.pytorch.input_shapes import ModuleInput
from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_parts
from forwardpass.tensors import Array

_DTYPES: Final = frozenset({"float32", "float64"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A traced module.

    Attributes:
        model_name: The name of the traced module.
        graph: A `torch.fx.Graph`.
        inputs: The inputs, named as the placeholders of the graph.
        constants: The values of the other placeholders: parameters and buffers.
        root: The module that has the graph's submodules and attributes.
        call: Calls the model with a tensor for each input.
        restore_outputs: Converts the outputs of the graph to the structure that the model returns.
        dtype: The dtype that it computes in.
        batch: The fixed number of rows of a call, or None where it may be any.
        otherwise: Traces the module by `torch.export`, whose operations are fewer and have no side effects, or None.
    """

    model_name: str
    graph: Any
    inputs: tuple[ModuleInput, ...]
    constants: Mapping[str, Any]
    root: Any
    call: Callable[..., Any]
    restore_outputs: Callable[[Any], Any]
    dtype: str
    batch: int | None = None
    otherwise: Callable[[], Any] | None = None


def dtype_of(state: Mapping[str, Any]) -> str:
    """Return the dtype that a model computes in, by its parameters and buffers.

    Raises:
        UnsupportedModelError: It computes in several dtypes, or in another than float32 and float64.
    """
    import torch

    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if _is_floating(tensor)}
    kinds = kinds or {str(torch.get_default_dtype()).removeprefix("torch.")}
    if len(kinds) > 1 or not kinds <= _DTYPES:
        raise unsupported_module(
            "model", f"computes in {', '.join(sorted(kinds))}; call `.float()` or `.double()` before"
        )
    return kinds.pop()


def compute_rows(call: Callable[..., Any], inputs: Sequence[ModuleInput], dtype: str, rows: Array) -> Array:
    """Compute rows, `(rows, inputs)` float64, by a model in its own dtype; return `(rows, outputs)` float64."""
    import torch

    widths = [math.prod(each.shape) for each in inputs]
    tensors = []
    for known, end, width in zip(inputs, accumulate(widths), widths, strict=True):
        columns = rows[:, end - width : end]
        if known.is_integer and (columns != np.rint(columns)).any():
            raise ValueError(f"the input {known.name!r} is of whole numbers")
        kind = torch.int64 if known.is_integer else getattr(torch, dtype)
        tensors.append(torch.from_numpy(np.array(columns)).to(kind).reshape(len(rows), *known.shape))
    with torch.no_grad():
        outputs = call(*tensors)
    leaves = torch.utils._pytree.tree_leaves(outputs)  # noqa: SLF001 - tuples and dicts of tensors, as torch has them
    return np.concatenate([leaf.to(torch.float64).reshape(len(rows), -1).numpy() for leaf in leaves], axis=1)


def unsupported_module(path: str, message: str) -> UnsupportedModelError:
    """Return the error for one fault."""
    return unsupported_parts([Fault(path=path, message=message)], kind="module")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _is_floating(tensor: Any) -> bool:
    return hasattr(tensor, "dtype") and bool(tensor.dtype.is_floating_point)
