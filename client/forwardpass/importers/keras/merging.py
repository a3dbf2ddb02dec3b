"""Layers and operations of several tensors, or of one tensor and numbers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.drafts import PASS, Values
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.keras.step import Read, Step, check_width, row_axis

_MERGES: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "sum", "Multiply": "multiply", "Average": "mean", "Maximum": "max"}
)


def _merge(step: Step) -> Values:
    return _together(step, step.several, _MERGES[step.kind])


def _subtract(step: Step) -> Values:
    first, second = _pair(step)
    return _together(step, [first, _negative(step, second)], "sum")


def _minimum(step: Step) -> Values:
    """Compute the smallest, as minus the largest of all with their signs turned."""
    turned = [_negative(step, values) for values in step.several]
    return _negative(step, _together(step, turned, "max"))


def _concatenate(step: Step) -> Values:
    several = step.several
    axis = row_axis(step.whole("axis", -1), len(several[0].shape))
    check_width(sum(values.width for values in several))
    try:
        return step.draft.join(several, axis)
    except ValueError as error:
        raise Refused(f"puts tensors side by side that do not fit: {error}") from None


def _together(step: Step, several: list[Values], merge: str) -> Values:
    if len(several) == 1:
        return several[0]
    try:
        shape = np.broadcast_shapes(*(values.shape for values in several))
    except ValueError:
        shapes = ", ".join(str(list(values.shape)) for values in several)
        raise Refused(f"merges tensors of {shapes}, which do not fit") from None
    check_width(int(np.prod(shape)))
    spread = [Values(sources=values.sources, index=np.broadcast_to(values.index, shape)) for values in several]
    return step.layer(spread, merge=merge, **PASS).reshaped(*shape)


def _negative(step: Step, values: Values) -> Values:
    return step.each(values, {"kind": "scale_shift", "scale": -np.ones(values.width)}, hint="_minus")


def _pair(step: Step) -> list[Values]:
    several = step.several
    if len(several) != 2:
        raise Refused(f"is given {len(several)} tensors, where two are read")
    return several


MERGING: Final[Mapping[str, Read]] = MappingProxyType(
    {**dict.fromkeys(_MERGES, _merge), "Subtract": _subtract, "Minimum": _minimum, "Concatenate": _concatenate}
)
"""By class; operations such as `+` have the same classes' names."""


def _arithmetic(step: Step) -> Values:
    """Compute a tensor and a number, or two tensors."""
    constants = [value for value in step.arguments if isinstance(value, int | float)]
    if not constants:
        if step.kind not in MERGING:
            raise Refused(f"of two tensors is not read; {', '.join(MERGING)} are")
        return MERGING[step.kind](step)
    if len(step.arguments) != 2 or len(step.several) != 1:
        raise Refused("is given other things than a tensor and a number")
    number, values = float(constants[0]), step.several[0]
    is_first = isinstance(step.arguments[0], Values)
    known = _WITH_NUMBER.get((step.kind, is_first))
    if known is None:
        raise Refused("of a number and a tensor in this order is not read")
    scale, shift = known(number)
    parts = {key: np.full(values.width, part) for key, part in (("scale", scale), ("shift", shift)) if part is not None}
    return step.each(values, {"kind": "scale_shift", **parts})


_WITH_NUMBER: Final[Mapping[tuple[str, bool], Callable[[float], tuple[Any, Any]]]] = MappingProxyType(
    {
        ("Add", True): lambda number: (None, number),
        ("Add", False): lambda number: (None, number),
        ("Subtract", True): lambda number: (None, -number),
        ("Subtract", False): lambda number: (-1.0, number),
        ("Multiply", True): lambda number: (number, None),
        ("Multiply", False): lambda number: (number, None),
        ("TrueDivide", True): lambda number: (1 / number if number else np.inf, None),
        ("Divide", True): lambda number: (1 / number if number else np.inf, None),
    }
)
"""Scale and shift of a tensor, by the operation's class and whether the tensor comes first."""


def _minus(step: Step) -> Values:
    return _negative(step, step.values)


ARITHMETIC: Final[Mapping[str, Read]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum"), _arithmetic),
        "Concatenate": _concatenate,
        "Negative": _minus,
    }
)
"""Operations by class."""
