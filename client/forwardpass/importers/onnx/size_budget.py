"""Bounds on the memory and time that one graph may cost, checked before arrays are made."""

from typing import Final

from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits

MAX_ELEMENTS: Final = 8_388_608
"""Elements of all tensors of a graph together, for one row; bounds the time of reading."""

MAX_EXPANDED_WEIGHTS: Final = 1_048_576
"""Weights or windows of a layer that the file does not list as numbers."""

MAX_COMPUTED_CONSTANTS: Final = 1_048_576
"""Elements of all computed constants together, besides four times those in the file."""


class SizeBudget:
    """The elements that a graph may still make.

    Args:
        limits: The limits of a spec.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._elements = 0
        self._constants = MAX_COMPUTED_CONSTANTS

    def claim_elements(self, elements: int) -> None:
        """Claim the elements of a tensor for one row.

        Raises:
            UnsupportedError: The tensor is empty or too large, or all tensors together are too large.
        """
        if elements < 1:
            raise UnsupportedError("makes a tensor of no elements")
        if elements > self._limits.max_width:
            raise UnsupportedError(
                f"has {elements:,} elements for each row; at most {self._limits.max_width:,} are allowed"
            )
        self._elements += elements
        if self._elements > MAX_ELEMENTS:
            raise UnsupportedError(
                f"is one tensor too many: together they have more than {MAX_ELEMENTS:,} elements for a row"
            )

    def check_weights(self, outputs: int, inputs: int, *, expanded: bool = False) -> None:
        """Check the size of the weights or windows of a layer.

        Args:
            outputs: The nodes of the layer.
            inputs: The weights of each node.
            expanded: Whether they are more than the numbers in the file.

        Raises:
            UnsupportedError: They are too many.
        """
        largest = MAX_EXPANDED_WEIGHTS if expanded else self._limits.max_parameters
        if outputs * inputs > largest:
            raise UnsupportedError(
                f"would be a layer of {outputs:,} x {inputs:,} weights; at most {largest:,} are allowed"
            )

    def allow_constant(self, elements: int) -> None:
        """Allow constants to be computed of a constant in the file, four times its size."""
        self._constants += 4 * elements

    def claim_constant(self, elements: int) -> None:
        """Claim the elements of a constant that is computed of others.

        Raises:
            UnsupportedError: All computed constants together are too large.
        """
        self._constants -= elements
        if self._constants < 0:
            raise UnsupportedError(f"makes a constant of {elements:,} elements, with which all are too many")
