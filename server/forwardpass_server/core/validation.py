"""Validation of inputs by the rules of their features, and the replacement of missing and unknown values.

A category is the index of a category and a boolean is 1 or 0, so both are whole numbers from 0 to a largest one. A
missing value is NaN. No names or texts occur here: a violation is a row and a column.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array

Places = npt.NDArray[np.intp]
"""`(count, 2)`: the row and column of each violation."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rules:
    """The rules of all inputs.

    Attributes:
        low: `(inputs,)` in the plan's dtype: the smallest number in range; -infinity for no end.
        high: `(inputs,)` in the plan's dtype: the largest number in range; infinity for no end.
        is_whole: `(inputs,)`: whether the input is a category or a boolean.
        is_category: `(inputs,)`: whether the input is a category.
        refuses_beyond: `(inputs,)`: whether a number out of range is refused; else it is a warning.
        missing: `(inputs,)` in the plan's dtype: the fill value of a missing value; NaN where there is none.
        refuses_missing: `(inputs,)`: whether a missing value is refused.
        unknown: `(inputs,)` in the plan's dtype: the fill value of an unknown category.
        refuses_unknown: `(inputs,)`: whether an unknown category is refused.
        allow_infinite: Whether infinity is accepted as a number.
        whole: The columns where `is_whole` is true; computed.
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
        """Find the columns of whole numbers, and put infinity out of range where it is not accepted."""
        object.__setattr__(self, "whole", np.flatnonzero(self.is_whole))
        if not self.allow_infinite:
            largest = np.finfo(self.low.dtype).max
            object.__setattr__(self, "low", np.maximum(self.low, -largest))
            object.__setattr__(self, "high", np.minimum(self.high, largest))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FeatureViolations:
    """The places of all violations in a matrix of inputs. A request with any but warnings is rejected.

    Attributes:
        missing: Missing values without a fill value.
        infinite: Infinities where they are not accepted.
        unknown: Unknown categories without a fill value.
        neither: Booleans that are neither 1 nor 0.
        refused: Numbers out of a range that refuses them.
        warned: Numbers out of a range that warns.
    """

    missing: Places
    infinite: Places
    unknown: Places
    neither: Places
    refused: Places
    warned: Places

    @property
    def rejected(self) -> Places:
        """The places of all violations but the warnings."""
        return np.concatenate([self.missing, self.infinite, self.unknown, self.neither, self.refused])


def validate_and_fill(rules: Rules, values: Array) -> tuple[Array, FeatureViolations | None]:
    """Check inputs and replace missing values and unknown categories by their fill values.

    Args:
        rules: The rules of the inputs.
        values: `(rows, inputs)` in the plan's dtype; not changed.

    Returns:
        The inputs to compute with, and the violations; None where there are none.
    """
    fits = (values >= rules.low) & (values <= rules.high)  # NaN never does
    if rules.whole.size:
        some = values[:, rules.whole]
        fits[:, rules.whole] &= some == np.floor(some)
    if fits.all():
        return values, None
    missing = np.isnan(values)
    misfit = ~(fits | missing)
    unknown = misfit & rules.is_category
    beyond = misfit & ~rules.is_whole
    infinite = np.isinf(values) & beyond if not rules.allow_infinite else np.zeros_like(misfit)
    beyond &= ~infinite
    filled = np.where(missing, rules.missing, np.where(unknown, rules.unknown, values))
    violations = FeatureViolations(
        missing=np.argwhere(missing & rules.refuses_missing),
        infinite=np.argwhere(infinite),
        unknown=np.argwhere(unknown & rules.refuses_unknown),
        neither=np.argwhere(misfit & rules.is_whole & ~rules.is_category),
        refused=np.argwhere(beyond & rules.refuses_beyond),
        warned=np.argwhere(beyond & ~rules.refuses_beyond),
    )
    count = len(violations.warned) + len(violations.rejected)
    return filled, violations if count else None
