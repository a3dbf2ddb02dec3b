"""What may stand in each input, and what stands in for what may not: one look over a whole matrix.

A category is the index of a category and a boolean 1 or 0, so both are whole numbers from 0 to a largest one. What is
missing is NaN. Nothing here knows a name or a text: what is to be told of is told by its place.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array

Places = npt.NDArray[np.intp]
"""`(count, 2)`: row and column of each."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rules:
    """What inputs are held to.

    Attributes:
        low: `(inputs,)` in the plan's dtype: the smallest number that needs no word; -infinity where any does.
        high: `(inputs,)`: the largest one.
        is_whole: `(inputs,)`: whether the input is a category's index or a boolean.
        is_category: `(inputs,)`: whether it is a category's index.
        refuses_beyond: `(inputs,)`: whether a number out of range is refused, not only told.
        missing: `(inputs,)` in the plan's dtype: what stands in for NaN; NaN itself where nothing does.
        refuses_missing: `(inputs,)`: whether NaN is refused.
        unknown: `(inputs,)` in the plan's dtype: the fill value of a value that is no category.
        refuses_unknown: `(inputs,)`: whether what is no category is refused.
        allow_infinite: Whether infinity is a number like others.
        whole: The columns of `is_whole`.
    """

    low: Array
    high: Array
    is_whole: Mask
    is_category: Mask
    refuses_beyond: Mask
    missing: Array
    refuses_missing: Mask
    unknown: Array
    refuses_unknown: Mask
    allow_infinite: bool
    whole: npt.NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        """Find the columns that are looked at for fractions, and let infinity be looked at where it is refused."""
        object.__setattr__(self, "whole", np.flatnonzero(self.is_whole))
        if not self.allow_infinite:
            largest = np.finfo(self.low.dtype).max
            object.__setattr__(self, "low", np.maximum(self.low, -largest))
            object.__setattr__(self, "high", np.minimum(self.high, largest))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FeatureViolations:
    """What is to be told of some inputs; all but the last are refused.

    Attributes:
        missing: NaN, where it has no fill value.
        infinite: Infinity, where it is no number like others.
        unknown: What is no category, where it has no fill value.
        neither: Booleans that are neither 1 nor 0.
        refused: Numbers out of range, where that is refused.
        warned: Numbers out of range, where that is only told.
    """

    missing: Places
    infinite: Places
    unknown: Places
    neither: Places
    refused: Places
    warned: Places

    @property
    def refusals(self) -> Places:
        """The places of everything that is refused."""
        return np.concatenate([self.missing, self.infinite, self.unknown, self.neither, self.refused])


def validate_and_fill(rules: Rules, values: Array) -> tuple[Array, FeatureViolations | None]:
    """Let what stands in take its place.

    Args:
        rules: What the inputs are held to.
        values: `(rows, inputs)` in the plan's dtype; not changed.

    Returns:
        The inputs to compute with, and what is to be told; None where there is nothing.
    """
    fits = (values >= rules.low) & (values <= rules.high)  # NaN never does
    if rules.whole.size:
        some = values[:, rules.whole]
        fits[:, rules.whole] &= some == np.floor(some)
    if fits.all():
        return values, None
    missing = np.isnan(values)
    odd = ~(fits | missing)
    unknown = odd & rules.is_category
    beyond = odd & ~rules.is_whole
    infinite = np.isinf(values) & beyond if not rules.allow_infinite else np.zeros_like(odd)
    beyond &= ~infinite
    filled = np.where(missing, rules.missing, np.where(unknown, rules.unknown, values))
    violations = FeatureViolations(
        missing=np.argwhere(missing & rules.refuses_missing),
        infinite=np.argwhere(infinite),
        unknown=np.argwhere(unknown & rules.refuses_unknown),
        neither=np.argwhere(odd & rules.is_whole & ~rules.is_category),
        refused=np.argwhere(beyond & rules.refuses_beyond),
        warned=np.argwhere(beyond & ~rules.refuses_beyond),
    )
    told = len(violations.warned) + len(violations.refusals)
    return filled, violations if told else None
