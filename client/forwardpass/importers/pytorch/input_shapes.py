"""What a module's inputs are like, which a module does not say: told by what it can be called with.

Each input is a tensor of rows, of numbers or of categories. Shapes are tried; one counts when no other one works.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_SMALL: Final = 64
"""Every width up to this is tried, and beside them every size that a parameter has."""
_SHAPES: Final[Sequence[tuple[int, ...]]] = ((), *((size,) for size in range(1, _SMALL + 1)))
_MAX_CALLS: Final = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleInput:
    """An input of a module.

    Attributes:
        name: Its name.
        shape: The shape of one row of it.
        whole: Whether it is a tensor of whole numbers.
    """

    name: str
    shape: tuple[int, ...]
    whole: bool = False


def infer_inputs(
    module: Any, names: Sequence[str], dtype: str, hints: Mapping[str, Sequence[ModuleInput]]
) -> tuple[ModuleInput, ...] | None:
    """Find the shapes of the inputs.

    Args:
        module: The module, called with a tensor for each input.
        names: The inputs.
        dtype: Of those that are numbers.
        hints: What an input may be, where that is known.

    Returns:
        The inputs, or None when several shapes work, or none does.
    """
    sizes = {size for parameter in module.parameters() for size in parameter.shape}
    # No parameter has so many rows, so that nothing works by chance.
    rows = next(count for count in itertools.count(_SMALL + 1) if count not in sizes)
    shapes = [*_SHAPES, *((size,) for size in sorted(sizes) if size > _SMALL)]
    options = [
        hints.get(name)
        or [ModuleInput(name=name, shape=shape, whole=whole) for whole in (False, True) for shape in shapes]
        for name in names
    ]
    if all(len(each) == 1 for each in options):
        # Whatever it answers: what makes it no network is told when it is followed.
        alone = tuple(each[0] for each in options)
        return None if _answers(module, alone, rows, dtype) is None else alone
    found = next((inputs for inputs in _combined(options) if _works(module, inputs, rows, dtype)), None)
    if found is None:
        return None
    for place, others in enumerate(options):
        for other in others:
            differs = other.shape != found[place].shape and other.whole == found[place].whole
            if differs and _works(module, (*found[:place], other, *found[place + 1 :]), rows, dtype):
                return None
    return found


def category_shapes(name: str) -> list[ModuleInput]:
    """Return what an input of categories may be: one for each row, or several."""
    return [ModuleInput(name=name, shape=shape, whole=True) for shape in _SHAPES]


def _combined(options: Sequence[Sequence[ModuleInput]]) -> Iterator[tuple[ModuleInput, ...]]:
    """Yield combinations: first those in which inputs are alike of which the same is known."""
    kinds = [tuple((each.shape, each.whole) for each in known) for known in options]
    # What has fewer options changes last.
    different = sorted(set(kinds), key=len)
    for places in itertools.product(*(range(len(kind)) for kind in different)):
        chosen = dict(zip(different, places, strict=True))
        yield tuple(known[chosen[kind]] for known, kind in zip(options, kinds, strict=True))
    if len(different) < len(options):
        yield from itertools.islice(itertools.product(*options), _MAX_CALLS)


def _works(module: Any, inputs: Sequence[ModuleInput], rows: int, dtype: str) -> bool:
    """Say whether a module can be called with such inputs, and answers with tensors of so many rows."""
    answers = _answers(module, inputs, rows, dtype)
    return answers is not None and all(getattr(each, "ndim", 0) > 0 and len(each) == rows for each in answers)


def _answers(module: Any, inputs: Sequence[ModuleInput], rows: int, dtype: str) -> list[Any] | None:
    """Return what a module answers to such inputs, or None when it cannot be called with them."""
    import torch

    numbers = getattr(torch, dtype)
    tensors = [torch.zeros((rows, *each.shape), dtype=torch.int64 if each.whole else numbers) for each in inputs]
    try:
        with torch.no_grad():
            answer = module(*tensors)
    except Exception:  # noqa: BLE001 - whatever it is, these are not the inputs
        return None
    leaves: list[Any] = torch.utils._pytree.tree_leaves(answer)  # noqa: SLF001 - what tuples and dicts have
    return leaves
