"""The shapes of a module's inputs, which a module does not declare: found by calling it.

Each input is a tensor of rows, of numbers or categories. A shape counts when the module accepts it and no other.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_SMALL: Final = 64
"""Every width up to this is tried, and every larger size of a parameter."""
_SHAPES: Final[Sequence[tuple[int, ...]]] = ((), *((size,) for size in range(1, _SMALL + 1)))
_MAX_CALLS: Final = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleInput:
    """An input of a module.

    Attributes:
        name: Its name.
        shape: The shape of one row of it.
        is_integer: Whether it is a tensor of integers.
    """

    name: str
    shape: tuple[int, ...]
    is_integer: bool = False


def infer_inputs(
    module: Any, names: Sequence[str], dtype: str, hints: Mapping[str, Sequence[ModuleInput]]
) -> tuple[ModuleInput, ...] | None:
    """Find the shapes of the inputs.

    Args:
        module: The module, called with a tensor for each input.
        names: The inputs.
        dtype: The dtype of inputs that are numbers.
        hints: The possible forms of an input, where they are known.

    Returns:
        The inputs, or None where several shapes work or none does.
    """
    sizes = {size for parameter in module.parameters() for size in parameter.shape}
    # No parameter has this size, so that nothing works by chance.
    rows = next(count for count in itertools.count(_SMALL + 1) if count not in sizes)
    shapes = [*_SHAPES, *((size,) for size in sorted(sizes) if size > _SMALL)]
    options = [
        hints.get(name)
        or [ModuleInput(name=name, shape=shape, is_integer=whole) for whole in (False, True) for shape in shapes]
        for name in names
    ]
    if all(len(each) == 1 for each in options):
        # Any output will do: the interpreter reports what cannot be a network.
        alone = tuple(each[0] for each in options)
        return None if _outputs_of(module, alone, rows, dtype) is None else alone
    found = next((inputs for inputs in _combined(options) if _works(module, inputs, rows, dtype)), None)
    if found is None:
        return None
    for place, others in enumerate(options):
        for other in others:
            differs = other.shape != found[place].shape and other.is_integer == found[place].is_integer
            if differs and _works(module, (*found[:place], other, *found[place + 1 :]), rows, dtype):
                return None
    return found


def category_shapes(name: str) -> list[ModuleInput]:
    """Return the possible shapes of an input of categories: one for each row, or several."""
    return [ModuleInput(name=name, shape=shape, is_integer=True) for shape in _SHAPES]


def _combined(options: Sequence[Sequence[ModuleInput]]) -> Iterator[tuple[ModuleInput, ...]]:
    """Yield combinations, first those in which inputs with the same options are alike."""
    kinds = [tuple((each.shape, each.is_integer) for each in known) for known in options]
    # Inputs with fewer options change last.
    different = sorted(set(kinds), key=len)
    for places in itertools.product(*(range(len(kind)) for kind in different)):
        chosen = dict(zip(different, places, strict=True))
        yield tuple(known[chosen[kind]] for known, kind in zip(options, kinds, strict=True))
    if len(different) < len(options):
        yield from itertools.islice(itertools.product(*options), _MAX_CALLS)


def _works(module: Any, inputs: Sequence[ModuleInput], rows: int, dtype: str) -> bool:
    """Return whether a module accepts such inputs and returns tensors with that number of rows."""
    outputs = _outputs_of(module, inputs, rows, dtype)
    return outputs is not None and all(getattr(each, "ndim", 0) > 0 and len(each) == rows for each in outputs)


def _outputs_of(module: Any, inputs: Sequence[ModuleInput], rows: int, dtype: str) -> list[Any] | None:
    """Return the outputs of a module for such inputs, or None where it does not accept them."""
    import torch

    numbers = getattr(torch, dtype)
    tensors = [torch.zeros((rows, *each.shape), dtype=torch.int64 if each.is_integer else numbers) for each in inputs]
    try:
        with torch.no_grad():
            outputs = module(*tensors)
    except Exception:  # noqa: BLE001 - whatever it is, these are not the inputs
        return None
    leaves: list[Any] = torch.utils._pytree.tree_leaves(outputs)  # noqa: SLF001 - what tuples and dicts have
    return leaves
