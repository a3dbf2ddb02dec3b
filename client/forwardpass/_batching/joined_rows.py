"""Results of the pieces of one call as one result: its arrays are written piece by piece, so that there is no copy."""

from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

import numpy as np

from forwardpass.models import Explanation, InputWarning, LayerAttributions, LayerTrace, Prediction, Trace

ROW_ARRAYS: Final[dict[type, tuple[str, ...]]] = {
    Prediction: ("outputs",),
    Trace: ("outputs", "inputs", "input_percentiles", "output_percentiles"),
    LayerTrace: ("pre_activation", "activation", "contributions", "merged", "percentiles"),
    Explanation: (
        "attributions",
        "outputs",
        "input_values",
        "explained_values",
        "baseline_outputs",
        "completeness_error",
        "standard_error",
    ),
    LayerAttributions: ("attributions",),
}
"""The arrays of each kind of result whose first axis is the rows."""

ROW_TUPLES: Final[dict[type, tuple[str, ...]]] = {
    Prediction: ("classifications",),
    Trace: ("classifications",),
    Explanation: ("classifications", "explained_outputs", "steps", "converged"),
}
"""The tuples with an item for each row; they may be empty. Everything else is the same for all rows."""

MAX_WARNINGS: Final = 100
"""Warnings that a result lists; the others are counted."""

Result = TypeVar("Result", bound=Any)


class _JoinedArrays:
    """The arrays of one result, or of one of its layers."""

    def __init__(self, first: Any, rows: int) -> None:
        self._first = first
        self._arrays = {
            name: np.empty((rows, *array.shape[1:]), array.dtype)
            for name in ROW_ARRAYS[type(first)]
            if (array := getattr(first, name)) is not None
        }

    def write(self, start: int, end: int, part: Any) -> None:
        for name, array in self._arrays.items():
            array[start:end] = getattr(part, name)

    def result(self, **others: Any) -> Any:
        for array in self._arrays.values():
            array.flags.writeable = False
        return replace(self._first, **self._arrays, **others)


class JoinedRows(Generic[Result]):
    """One result of all rows.

    Args:
        first: The result of some rows, which says what all of them have in common.
        rows: The number of all rows.
    """

    def __init__(self, first: Result, rows: int) -> None:
        self._tuples = ROW_TUPLES[type(first)]
        self._arrays = _JoinedArrays(first, rows)
        self._layers = [_JoinedArrays(layer, rows) for layer in getattr(first, "layers", ())]
        self._parts: list[tuple[int, dict[str, tuple[Any, ...]]]] = []
        self._warnings: list[InputWarning] = []
        self._warning_count = 0

    def write(self, start: int, part: Result) -> None:
        """Add the result of the rows from `start` on."""
        end = start + len(part.outputs)
        self._arrays.write(start, end, part)
        for joined, layer in zip(self._layers, getattr(part, "layers", ()), strict=True):
            joined.write(start, end, layer)
        self._parts.append((start, {name: getattr(part, name) for name in self._tuples}))
        self._warnings += [replace(warning, row=start + warning.row) for warning in part.warnings]
        self._warning_count += part.warning_count

    def result(self) -> Result:
        """Return the result."""
        self._parts.sort(key=lambda part: part[0])
        others: dict[str, Any] = {
            name: tuple([item for _, values in self._parts for item in values[name]]) for name in self._tuples
        }
        if self._layers:
            others["layers"] = tuple([layer.result() for layer in self._layers])
        warnings = sorted(self._warnings, key=lambda warning: warning.row)[:MAX_WARNINGS]
        result: Result = self._arrays.result(warnings=tuple(warnings), warning_count=self._warning_count, **others)
        return result
